//! An identity provider for a test (`tests/browser/provider.mjs`), and a client that signs in there like a browser.

use std::{collections::HashMap, process::Stdio, time::Duration};

use reqwest::{Method, Url, header::HeaderMap};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::programs::workspace_root;

/// A running provider. It ends when this is dropped.
#[derive(Debug)]
pub struct IdentityProvider {
    pub issuer: String,
    pub secret: String,
    http: reqwest::Client,
    _process: Child,
}

impl IdentityProvider {
    /// Starts a provider that sends browsers back to `redirect_uri`.
    pub async fn start(redirect_uri: &str) -> Self {
        let port = crate::port::take();
        let secret = format!("canary{}", hex::encode(rand::random::<[u8; 16]>()));
        let mut command = Command::new("node");
        command.arg(workspace_root().join("tests/browser/provider.mjs")).args([
            &port.to_string(),
            redirect_uri,
            &secret,
        ]);
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut process = command.spawn().expect("node");
        let mut lines = BufReader::new(process.stdout.take().expect("its output")).lines();
        let first = timeout(Duration::from_secs(30), lines.next_line()).await.expect("a provider that starts");
        assert_eq!(first.expect("a line").as_deref(), Some("listening"));
        let http = crate::http().redirect(reqwest::redirect::Policy::none());
        let http = http.timeout(Duration::from_secs(20)).build().expect("an HTTP client");
        Self { issuer: format!("http://127.0.0.1:{port}"), secret, http, _process: process }
    }

    /// A token with these claims, signed with the provider's key.
    pub async fn sign(&self, header: &Value, claims: &Value) -> String {
        let body = serde_json::json!({ "header": header, "claims": claims });
        let answer = self.http.post(format!("{}/sign", self.issuer)).json(&body).send().await.expect("an answer");
        answer.text().await.expect("a token")
    }

    /// Follows the redirects from `start`, signs in as `login` and consents. Returns the address that the browser is
    /// sent back to.
    pub async fn sign_in(&self, start: &str, login: &str) -> Url {
        let mut cookies = HashMap::new();
        let mut url: Url = start.parse().expect("a URL");
        for _ in 0..12 {
            if !url.as_str().starts_with(&self.issuer) {
                return url;
            }
            let interaction = url.path().starts_with("/interaction/");
            let mut request = self.http.request(if interaction { Method::POST } else { Method::GET }, url.clone());
            let line: Vec<_> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header("cookie", line.join("; "));
            if interaction {
                let prompt = self.prompt(&url, &line.join("; ")).await;
                let form = format!("prompt={prompt}&login={login}&password=any");
                request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
            }
            let answer = request.send().await.expect("an answer");
            keep(&mut cookies, answer.headers());
            let to = answer.headers().get("location").map(|to| to.to_str().expect("an address").to_owned());
            let Some(to) = to else { panic!("{url}: {} {}", answer.status(), answer.text().await.unwrap_or_default()) };
            url = url.join(&to).expect("an address");
        }
        panic!("the provider redirects without end, last to {url}")
    }

    /// The prompt of the provider's page: `login` or `consent`.
    async fn prompt(&self, url: &Url, cookies: &str) -> &'static str {
        let page = self.http.get(url.clone()).header("cookie", cookies).send().await.expect("an answer");
        if page.text().await.expect("a page").contains("value=\"login\"") { "login" } else { "consent" }
    }
}

fn keep(cookies: &mut HashMap<String, String>, headers: &HeaderMap) {
    for line in headers.get_all("set-cookie") {
        let pair = line.to_str().expect("a cookie").split(';').next().unwrap_or_default();
        if let Some((name, value)) = pair.split_once('=') {
            cookies.insert(name.to_owned(), value.to_owned());
        }
    }
}
