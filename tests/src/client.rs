//! A client of the API.

use std::time::Duration;

use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::{Value, json};

/// A client with certain credentials, or none.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
    cookie: Option<String>,
}

/// A response of the API.
#[derive(Debug, Clone)]
pub struct Answer {
    pub request: String,
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
    /// The body, or null if it is not JSON.
    pub json: Value,
}

/// The response to an accepted change of an instance.
#[derive(Debug, Clone)]
pub struct Accepted {
    pub instance: String,
    pub job: String,
    pub answer: Answer,
}

impl Client {
    pub(crate) fn new(base: &str, token: Option<String>) -> Self {
        let http = crate::http()
            // Longer than the API waits for a command in a container (50 s), so that the API's own time limit shows.
            .timeout(Duration::from_mins(1))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("an HTTP client");
        Self { http, base: base.to_owned(), token, cookie: None }
    }

    /// The same client with another token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// A browser with the session cookie that a response has set.
    #[must_use]
    pub fn signed_in(&self, answer: &Answer) -> Self {
        let set = answer.header("set-cookie").unwrap_or_else(|| panic!("{} set no cookie", answer.request));
        let cookie = set.split(';').next().unwrap_or_default().to_owned();
        Self { token: None, cookie: Some(cookie), ..self.clone() }
    }

    /// The cookie of a browser, as `name=value`.
    pub fn cookie(&self) -> Option<&str> {
        self.cookie.as_deref()
    }

    /// The token, for requests that are made by hand.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// The same client at another address of the API.
    #[must_use]
    pub fn at(&self, base: &str) -> Self {
        Self { base: base.to_owned(), ..self.clone() }
    }

    /// A request with the client's credentials.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match (&self.token, &self.cookie) {
            (Some(token), _) => request.bearer_auth(token),
            (None, Some(cookie)) => request.header("cookie", cookie).header("sec-fetch-site", "same-origin"),
            (None, None) => request,
        }
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let request = request.build().expect("a request");
        let shown = format!("{} {}", request.method(), request.url().path());
        let response = self.http.execute(request).await.unwrap_or_else(|error| panic!("{shown}: {error:?}"));
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.unwrap_or_else(|error| panic!("{shown}: {error:?}"));
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Answer { request: shown, status, headers, text, json }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    pub async fn post_empty(&self, path: &str) -> Answer {
        self.send(self.request(Method::POST, path)).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::PATCH, path).json(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// Creates an instance of this name; the request must be accepted.
    pub async fn create(&self, name: &str) -> Accepted {
        self.create_with(&json!({ "name": name })).await
    }

    pub async fn create_with(&self, body: &Value) -> Accepted {
        self.post("/api/instances", body).await.accepted()
    }

    /// Requests `start`, `stop`, ...; the request must be accepted.
    pub async fn act(&self, instance: &str, verb: &str) -> Accepted {
        self.post_empty(&format!("/api/instances/{instance}/{verb}")).await.accepted()
    }

    /// Requests the deletion of an instance; the request must be accepted.
    pub async fn remove(&self, instance: &str) -> Accepted {
        self.delete(&format!("/api/instances/{instance}")).await.accepted()
    }

    /// The instance as the API returns it.
    pub async fn instance(&self, instance: &str) -> Value {
        self.get(&format!("/api/instances/{instance}")).await.expect(200).json
    }
}

impl Answer {
    /// Panics unless the response has this status.
    #[track_caller]
    #[expect(clippy::return_self_not_must_use, reason = "often the status is all that matters")]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{} answered {}", self.request, self.text);
        self
    }

    /// Panics unless the response is a 202 with instance and job.
    #[track_caller]
    pub fn accepted(self) -> Accepted {
        let answer = self.expect(202);
        let id = |value: &Value| value["id"].as_str().unwrap_or_else(|| panic!("no id in {}", answer.text)).to_owned();
        Accepted { instance: id(&answer.json["instance"]), job: id(&answer.json["job"]), answer }
    }

    /// The stable code of an error.
    pub fn code(&self) -> &str {
        self.json["code"].as_str().unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Status, code and invalid fields in one line.
    pub fn brief(&self) -> String {
        let fields = self.json["errors"].as_array().into_iter().flatten();
        let fields: Vec<_> = fields
            .map(|e| format!("{}: {}", e["field"].as_str().unwrap_or("?"), e["code"].as_str().unwrap_or("?")))
            .collect();
        let parts = [self.status.as_u16().to_string(), self.code().to_owned(), fields.join(", ")];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
    }
}
