//! Secrets of all kinds go through the life of an instance. Then all places that store or print anything are searched
//! for them. None may be found in clear or in a simple encoding.
//!
//! Legitimate places are not searched: the instance's own files (0600, owned by its user), the key file, and responses
//! that show a token to its owner.

mod places;
mod real;

use std::{process::Stdio, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use clawdeploy_tests::{Answer, Client, FakeMode, TestEnv, WorkerOptions, docker, process::Process, programs::Program};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, process::Command};

use self::places::{Arguments, database_dump, redis_dump};
use crate::support::{deleted, done, wait_job};

/// Secrets in the recorded output of OpenClaw's command line.
const OF_THE_COMMAND_LINE: [&str; 2] =
    ["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "GkqBXhwwdmTsG9AwLiAlXUuXsXzOQLXu7U7HQzdzJ3w"];

/// All secrets with their descriptions.
#[derive(Default)]
struct Secrets(Vec<(String, String)>);

impl Secrets {
    fn add(&mut self, what: &str, secret: &str) {
        assert!(secret.len() >= 12, "{what} is too short to search for");
        self.0.push((what.to_owned(), secret.to_owned()));
    }

    /// Generates a new secret.
    fn make(&mut self, what: &str, before: &str) -> String {
        let secret = format!("{before}{}", hex::encode(rand::random::<[u8; 16]>()));
        self.add(what, &secret);
        secret
    }

    /// Descriptions of the secrets in a text, in clear or in a common encoding.
    fn found_in(&self, text: &str) -> Vec<&str> {
        let forms = |secret: &str| {
            let percent = secret.bytes().fold(String::new(), |text, b| text + &format!("%{b:02X}"));
            [secret.to_owned(), BASE64.encode(secret), hex::encode(secret), percent]
        };
        self.0
            .iter()
            .filter(|(_, s)| forms(s).iter().any(|form| text.contains(form)))
            .map(|(w, _)| w.as_str())
            .collect()
    }

    #[track_caller]
    fn assert_none_in(&self, place: &str, text: &str) {
        assert!(!text.is_empty(), "nothing to search in {place}");
        let found = self.found_in(text);
        let line = text.lines().find(|line| !self.found_in(line).is_empty()).unwrap_or_default();
        assert!(found.is_empty(), "{place} contains {found:?}: {}", &line[..line.len().min(2000)]);
    }
}

/// Creates an account with a password, by the command of the API.
async fn account(env: &TestEnv, email: &str, password: &str) {
    let mut command = Command::new(Program::Api.path());
    command.args(["user", "create", "--email", email, "--name", "Eve", "--password-stdin"]);
    command.env_clear().envs(env.settings().iter().cloned()).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(password.as_bytes()).await.unwrap();
    assert!(child.wait().await.unwrap().success());
}

/// An installation with metrics. Its settings' secrets are registered.
async fn installation(secrets: &mut Secrets) -> (TestEnv, Process, Client, Vec<String>) {
    let env = TestEnv::builder().workers(0).build().await;
    for (name, value) in env.settings() {
        match name.as_str() {
            "CLAWDEPLOY_DATABASE_URL" | "CLAWDEPLOY_REDIS_URL" => {
                let url: reqwest::Url = value.parse().unwrap();
                secrets.add(name, url.password().unwrap());
            }
            "CLAWDEPLOY_KEY_FILE" => secrets.add("the key", std::fs::read_to_string(value).unwrap().trim()),
            _ => {}
        }
    }
    let metrics = [2, 3].map(|nth| format!("127.0.0.1:{}", env.slot.api_port(nth)));
    env.add_worker(&WorkerOptions::default().set("CLAWDEPLOY_METRICS_LISTEN", &metrics[0])).await;
    let (api, base) = env.start_api(1, &[("CLAWDEPLOY_METRICS_LISTEN".into(), metrics[1].clone())]);
    let client = env.user("ann").await.at(&base);
    let up = async || api.log().contains("listening").then_some(()).or(reachable(&base).await);
    env.wait_for("the second API", std::time::Duration::from_secs(20), up).await;
    (env, api, client, metrics.map(|address| format!("http://{address}/metrics")).into())
}

async fn reachable(base: &str) -> Option<()> {
    let client = clawdeploy_tests::http().build().unwrap();
    client.get(format!("{base}/healthz")).send().await.ok().map(drop)
}

/// Responses to invalid requests that contain secrets.
async fn refusals(ann: &Client, id: &str, secrets: &mut Secrets) -> Vec<Answer> {
    let path = format!("/api/instances/{id}");
    let bad = secrets.make("a refused bot token", "not a token ");
    let key = secrets.make("a refused key", "with\"quote-");
    let variable = secrets.make("a refused variable", "a\u{0}b");
    let password = secrets.make("a wrong password", "wrong-");
    let token = secrets.make("a wrong token", "claw_");
    let in_query = secrets.make("a secret in a query", "query-");
    let half = format!("{{\"botToken\":\"{}", secrets.make("a body that ends early", "half-"));
    let raw = ann.request(reqwest::Method::POST, "/api/instances").header("content-type", "application/json");
    vec![
        ann.post("/api/instances", &json!({ "name": "x", "channel": "telegram", "botToken": bad })).await,
        ann.post("/api/instances", &json!({ "name": "x", "channel": "telegram", "botToken": [bad] })).await,
        ann.post("/api/instances", &json!({ "name": "x", "aiProvider": "openai", "apiKey": key })).await,
        ann.post("/api/instances", &json!({ "name": "x", "secret": key })).await,
        ann.send(raw.body(half)).await,
        ann.patch(&path, &json!({ "env": { "NAME": variable } })).await,
        ann.patch(&path, &json!({ "env": { "NAME": [variable] } })).await,
        ann.patch(&path, &json!({ "env": { variable: "x" } })).await,
        ann.post("/api/auth/login", &json!({ "email": "eve@test.example", "password": password })).await,
        ann.post("/api/auth/login", &json!({ "email": "eve@test.example", "password": [password] })).await,
        ann.with_token(&token).get(&path).await,
        ann.get(&format!("/api/instances?cursor={in_query}")).await,
        ann.get(&format!("/api/instances/{in_query}")).await,
    ]
}

/// Body for creating an instance.
fn form(secrets: &mut Secrets) -> Value {
    json!({
        "name": "first", "channel": "telegram", "botToken": secrets.make("a bot token", "123456789:"),
        "aiProvider": "openai", "apiKey": secrets.make("an API key", "sk-"),
    })
}

/// Body that changes secrets, including two variables.
fn changes(secrets: &mut Secrets) -> Value {
    json!({
        "channel": "discord", "botToken": secrets.make("another bot token", "discord."),
        "aiProvider": "anthropic", "apiKey": secrets.make("another API key", "sk-ant-"),
        "env": { "MINE": secrets.make("a variable", ""), "OURS": secrets.make("another variable", "") },
    })
}

/// Sets the behavior of the fake gateway at its next start.
fn fate(env: &TestEnv, id: &str, fate: &str) {
    let file = env.data_dir.join(id).join("config/fate");
    std::io::Write::write_all(&mut std::fs::File::create(file).unwrap(), fate.as_bytes()).unwrap();
}

/// Signs in with a password and creates an API token.
async fn people(env: &TestEnv, ann: &Client, secrets: &mut Secrets) {
    let password = secrets.make("a password", "horse-");
    account(env, "eve@test.example", &password).await;
    let signed_in = ann.post("/api/auth/login", &json!({ "email": "eve@test.example", "password": password })).await;
    let signed_in = signed_in.expect(200);
    if let Some(token) = signed_in.json["token"].as_str() {
        secrets.add("a session", token);
    }
    if let Some(cookie) = signed_in.header("set-cookie") {
        secrets.add("a cookie", cookie.split(['=', ';']).nth(1).unwrap());
    }
    let made = ann.post("/api/tokens", &json!({ "name": "backup", "expiresInDays": 7 })).await.expect(201);
    secrets.add("a token for programs", made.json["token"].as_str().unwrap());
}

#[tokio::test]
async fn no_secret_is_told_in_the_life_of_an_instance() {
    let arguments = Arguments::watch();
    let mut secrets = Secrets::default();
    let (env, api, ann, metrics) = installation(&mut secrets).await;
    secrets.add("the token of whoever asks", ann.token().unwrap());
    people(&env, &ann, &mut secrets).await;
    for printed in OF_THE_COMMAND_LINE {
        secrets.add("what OpenClaw printed", printed);
    }

    let made = ann.create_with(&form(&mut secrets)).await;
    wait_job(&env, &made.job, "succeeded").await;
    let id = &made.instance;
    let shown = ann.instance(id).await;
    secrets.add("a gateway token", shown["gatewayToken"].as_str().unwrap());
    ann.post_empty(&format!("/api/instances/{id}/dashboard-link")).await.expect(200);
    let mut containers = docker::docker(&["inspect", &format!("claw-{id}")]).await;

    // Changed secrets: the row keeps pending ones, and the snapshot keeps the former ones.
    let path = format!("/api/instances/{id}");
    ann.patch(&path, &changes(&mut secrets)).await.expect(200);
    let waiting = database_dump(&env).await;
    let asked = ann.patch(&path, &json!({ "memoryMb": 3072, "applyNow": true })).await.accepted();
    wait_job(&env, &asked.job, "succeeded").await;
    containers.push_str(&docker::docker(&["inspect", &format!("claw-{id}")]).await);
    let pid: u32 = docker::inspect(&format!("claw-{id}"), "{{.State.Pid}}").await.parse().unwrap();
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap();

    // This gateway prints its files when it exits. The job and the row show its last output.
    fate(&env, id, "exit");
    done(&env, id, "stop").await;
    let failed = env.user("ann").await.act(id, "start").await;
    let failed = wait_job(&env, &failed.job, "failed").await;
    let words = failed["error_message"].as_str().unwrap();
    for line in ["\"token\": \"•••\"", "MINE=\"•••\"", "ANTHROPIC_API_KEY=\"•••\""] {
        assert!(words.contains(line), "{line} in {words}");
    }
    let refused = refusals(&ann, id, &mut secrets).await;
    let told = database_dump(&env).await;
    let kept = redis_dump(&env).await;
    let network = docker::docker(&["network", "inspect", &format!("claw-{id}")]).await;
    let images = docker::docker(&["history", "--no-trunc", &FakeMode::Ok.image()]).await;
    deleted(&env, id).await;

    for (place, text) in [
        ("what waits in the database", waiting.as_str()),
        ("the database", &told),
        ("the database after the end", &database_dump(&env).await),
        ("Redis", &kept),
        ("the containers", &containers),
        ("the environment of the gateway", &String::from_utf8_lossy(&environment)),
        ("the network", &network),
        ("the image", &images),
        ("the worker's log", &env.worker(0).log()),
        ("an API's log", &env.api.log()),
        ("the other API's log", &api.log()),
        ("what another person sees", &env.user("bob").await.get("/api/instances").await.text),
    ] {
        secrets.assert_none_in(place, text);
    }
    for answer in &refused {
        assert!(answer.status.is_client_error(), "{} answered {} {}", answer.request, answer.status, answer.text);
        secrets.assert_none_in(&answer.request, &answer.text);
    }
    for url in metrics {
        let client = clawdeploy_tests::http().build().unwrap();
        let text = client.get(&url).send().await.unwrap().text().await.unwrap();
        assert!(text.contains("clawdeploy_"), "{text}");
        secrets.assert_none_in(&url, &text);
    }
    // Without passwords of the shared services, which may be arguments of other tests' tools.
    let own = Secrets(secrets.0.into_iter().filter(|(what, _)| !what.ends_with("_URL")).collect());
    own.assert_none_in("arguments of a process", &arguments.seen());
    api.terminate().await;
    env.finish().await;
}

/// Checks that the search finds secrets.
#[tokio::test]
async fn a_secret_is_found_in_any_form() {
    let mut secrets = Secrets::default();
    let secret = secrets.make("it", "sk-");
    let arguments = Arguments::watch();
    let env = Arc::new(TestEnv::builder().workers(0).build().await);
    let sql = "INSERT INTO users (id, email, name, password_hash, role) VALUES (gen_random_uuid(), 'x@test.example', ";
    env.execute(&format!("{sql}'{secret}', '!', 'user')")).await;
    assert_eq!(secrets.found_in(&database_dump(&env).await), ["it"]);
    let mut sleeper = Command::new("sleep").arg("30").arg0(&secret).kill_on_drop(true).spawn().unwrap();
    let seen = async || (!secrets.found_in(&arguments.seen()).is_empty()).then_some(());
    env.wait_for("an argument to be seen", std::time::Duration::from_secs(10), seen).await;
    sleeper.kill().await.unwrap();
    for form in [BASE64.encode(&secret), hex::encode(&secret)] {
        assert_eq!(secrets.found_in(&format!("a line with {form} in it")), ["it"]);
    }
    assert_eq!(secrets.found_in("nothing"), Vec::<&str>::new());
    Arc::into_inner(env).unwrap().finish().await;
}
