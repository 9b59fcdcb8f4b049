//! The client and gateways that mean no good, in this process.

use std::future;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{WebSocketStream, accept_async, tungstenite::Message};

use super::*;

const REQUEST: &str = "022f54f2-0000-4000-8000-000000000001";
const CHALLENGE: &str = r#"{"type":"event","event":"connect.challenge","payload":{"nonce":"n","ts":1}}"#;

type Socket = WebSocketStream<TcpStream>;

/// What the client makes of a gateway that serves one connection in this way.
async fn asked<F: Future<Output = ()> + Send>(
    serve: impl FnOnce(Socket) -> F + Send + 'static,
) -> Result<Value, Failure> {
    asked_within(LIMIT, serve).await
}

async fn asked_within<F: Future<Output = ()> + Send>(
    limit: Duration,
    serve: impl FnOnce(Socket) -> F + Send + 'static,
) -> Result<Value, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        serve(accept_async(stream).await.unwrap()).await;
    });
    let device = |seed| Device::from_seed(&[seed; 32]).unwrap();
    let link = Link { address, proxied: true, token: "t".into(), device: device(1), retired: vec![device(2).id] };
    let got = link.devices(limit).await;
    task.abort();
    got
}

/// Answers requests in turn, each with `"ok"` and what follows it.
async fn answers(mut socket: Socket, answers: &[&str]) -> Vec<Value> {
    let mut requests = Vec::new();
    socket.send(Message::text(CHALLENGE)).await.unwrap();
    for answer in answers {
        let request: Value = serde_json::from_str(socket.next().await.unwrap().unwrap().to_text().unwrap()).unwrap();
        let health = r#"{"type":"event","event":"health","payload":{},"seq":1}"#;
        socket.send(Message::text(health)).await.unwrap();
        let said = format!(r#"{{"type":"res","id":{},"ok":{answer}}}"#, request["id"]);
        socket.send(Message::text(said)).await.unwrap();
        requests.push(request);
    }
    requests
}

#[tokio::test]
async fn a_paired_device_lists_and_removes_its_predecessor() {
    let retired = Device::from_seed(&[2; 32]).unwrap().id;
    let list = json!({ "pending": [], "paired": [{ "deviceId": retired }] });
    let listed = format!(r#"true,"payload":{list}"#);
    let (sender, requests) = tokio::sync::oneshot::channel();
    let got = asked(async move |socket| {
        let requests = answers(socket, &[r#"true,"payload":{}"#, &listed, r#"true,"payload":{}"#]).await;
        sender.send(requests).unwrap();
    });
    assert_eq!(got.await.unwrap(), list);
    let requests = requests.await.unwrap();
    let methods: Vec<_> = requests.iter().map(|request| request["method"].as_str().unwrap()).collect();
    assert_eq!(methods, ["connect", "device.pair.list", "device.pair.remove"]);
    assert_eq!(requests[2]["params"], json!({ "deviceId": retired }));
}

#[tokio::test]
async fn a_refusal_says_whether_to_pair() {
    let refusal = async |error: Value| {
        let answer = format!(r#"false,"error":{error}"#);
        asked(async move |socket| drop(answers(socket, &[&answer]).await)).await.unwrap_err()
    };
    let unpaired = json!({ "code": "NOT_PAIRED", "details": { "code": "PAIRING_REQUIRED", "requestId": REQUEST } });
    assert!(matches!(refusal(unpaired).await, Failure::NotPaired(id) if id.to_string() == REQUEST));
    for (error, code) in [
        (json!({ "code": "NOT_PAIRED", "details": { "requestId": "--latest" } }), "NOT_PAIRED"),
        (json!({ "code": "INVALID_REQUEST", "details": { "code": "AUTH_TOKEN_MISMATCH" } }), "AUTH_TOKEN_MISMATCH"),
        (json!({ "code": format!("\u{1b}[31m{}", "x".repeat(1000)) }), &*"x".repeat(60)),
        (json!(7), "no code"),
    ] {
        let got = refusal(error).await;
        assert!(matches!(&got, Failure::Refused(got) if got == code), "{got:?}");
    }
}

#[tokio::test]
async fn a_hostile_gateway_takes_little_of_us() {
    let silent = asked_within(Duration::from_millis(300), async |_socket| future::pending().await).await;
    assert!(matches!(silent, Err(Failure::TooSlow)), "{silent:?}");
    let huge = asked(async |mut socket| {
        // The client may be gone before all of it is sent.
        let _ = socket.send(Message::text("x".repeat(2 << 20))).await;
        future::pending::<()>().await;
    });
    let huge = huge.await;
    assert!(
        matches!(&huge, Err(Failure::Socket(error)) if matches!(**error, tungstenite::Error::Capacity(_))),
        "{huge:?}"
    );
    let flood = asked(async |mut socket| while socket.send(Message::text("{}")).await.is_ok() {}).await;
    assert!(matches!(flood, Err(Failure::TooMuch)), "{flood:?}");
    let gone = asked(async |mut socket| socket.close(None).await.unwrap()).await;
    assert!(matches!(gone, Err(Failure::Closed)), "{gone:?}");
    let deep = "[".repeat(500_000);
    let long = format!(r#"{{"event":"connect.challenge","payload":{{"nonce":"{}","ts":1}}}}"#, "n".repeat(1000));
    for (said, is) in [
        ("no JSON", "could not be parsed"),
        (&*deep, "could not be parsed"),
        (r#"{"event":"connect.challenge","payload":{"nonce":7}}"#, "could not be parsed"),
        (&long, "said too much"),
    ] {
        let said = Message::text(said.to_owned());
        let got = asked(async move |mut socket: Socket| {
            let _ = socket.send(said).await;
            future::pending::<()>().await;
        });
        let got = got.await.unwrap_err().to_string();
        assert!(got.contains(is), "{got}");
    }
}
