//! Many requests to one route, and a table of the responses.

use serde_json::Value;

use crate::{Answer, Client, installation::Installation};

/// Well-formed ids that do not exist.
pub const NO_INSTANCE: &str = "zzzzzzzzzzzz";
pub const NO_UUID: &str = "01900000-0000-7000-8000-000000000000";

pub fn bare(client: &Client, method: &str, path: &str) -> reqwest::RequestBuilder {
    client.request(method.parse().unwrap(), path)
}

pub fn with(client: &Client, method: &str, path: &str, body: &Value) -> reqwest::RequestBuilder {
    bare(client, method, path).json(body)
}

impl Installation {
    /// Sends the requests and returns a table of the refusals. None of them may change a row.
    pub async fn refusals(&self, cases: Vec<(&str, reqwest::RequestBuilder)>) -> String {
        let (before, anon) = (self.fingerprint().await, self.anon());
        let mut answers: Vec<(&str, Answer)> = Vec::new();
        for (case, request) in cases {
            let answer = anon.send(request).await;
            assert!(answer.status.is_client_error(), "{case}: {} {}", answer.status, answer.text);
            assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{case}");
            answers.push((case, answer));
        }
        assert_eq!(self.fingerprint().await, before, "a refused request changed something");
        table(&answers)
    }
}

/// Responses as lines `case: status code`.
pub fn table(cases: &[(&str, Answer)]) -> String {
    let lines: Vec<_> = cases.iter().map(|(case, answer)| format!("{case}: {}", answer.brief())).collect();
    lines.join("\n")
}

/// A body in which all values that differ between runs are replaced by their kind.
pub fn redacted(value: &Value) -> Value {
    match value {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), redacted_field(key, value))).collect(),
        Value::Array(items) => items.iter().map(redacted).collect(),
        other => other.clone(),
    }
}

fn redacted_field(key: &str, value: &Value) -> Value {
    let Some(text) = value.as_str() else {
        return match (key, value) {
            ("port", Value::Number(_)) => "[port]".into(),
            ("pid" | "durationMs", Value::Number(_)) => "[number]".into(),
            (_, other) => redacted(other),
        };
    };
    let shown = match key {
        "gatewayToken" | "token" => "[token]",
        "requestId" => "[request]",
        "dashboardUrl" => "[url]",
        "nextCursor" => "[cursor]",
        "host" | "version" => "[this]",
        "id" | "instanceId" | "targetId" if text.len() == 12 => "[instance]",
        _ if uuid::Uuid::parse_str(text).is_ok() => "[uuid]",
        "id" if text.contains('-') => "[worker]",
        "at" | "since" => "[time]",
        _ if key.ends_with("At") || key.ends_with("Until") => "[time]",
        _ => text,
    };
    shown.into()
}
