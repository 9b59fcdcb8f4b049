//! The routes, each with the same list of cases: well, without a token, somebody else's, missing, unacceptable; and
//! after every refusal the database is as it was.

use clawdeploy_tests::{Answer, Client, TestEnv};

use crate::support::table;

mod account;
mod admin;
mod audit;
mod audit_actions;
pub(crate) mod auth;
mod authz;
mod build_log;
mod changes;
mod create;
mod devices;
mod idempotency;
mod instances;
mod jobs;
mod people;
mod power;
mod protocol;
mod queues;
mod quotas;
mod recoverable;
mod rollouts;
mod sessions;
pub(crate) mod setup;
mod tenants;
mod terminals;
mod texts;
mod tokens;
mod usage;

/// An installation without workers, and who talks to it.
struct Site {
    env: TestEnv,
    anon: Client,
    ann: Client,
    bob: Client,
    admin: Client,
}

impl Site {
    async fn new() -> Self {
        Self::with(TestEnv::builder().workers(0)).await
    }

    async fn with(builder: clawdeploy_tests::Builder) -> Self {
        let env = builder.build().await;
        let (anon, ann, bob) = (env.anon(), env.user("ann").await, env.user("bob").await);
        let admin = env.admin().await;
        Self { env, anon, ann, bob, admin }
    }

    /// The cases in a table, after a check that none of them changed a row.
    async fn refusals(&self, cases: Vec<(&str, reqwest::RequestBuilder)>) -> String {
        let before = self.env.fingerprint().await;
        let mut answers: Vec<(&str, Answer)> = Vec::new();
        for (case, request) in cases {
            let answer = self.anon.send(request).await;
            assert!(answer.status.is_client_error(), "{case}: {} {}", answer.status, answer.text);
            assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{case}");
            answers.push((case, answer));
        }
        assert_eq!(self.env.fingerprint().await, before, "a refused request changed something");
        table(&answers)
    }
}

/// An id of the right form that nothing has.
const NO_INSTANCE: &str = "zzzzzzzzzzzz";
const NO_UUID: &str = "01900000-0000-7000-8000-000000000000";

/// A request without a body.
fn bare(client: &Client, method: &str, path: &str) -> reqwest::RequestBuilder {
    client.request(method.parse().unwrap(), path)
}

/// A request with a body.
fn with(client: &Client, method: &str, path: &str, body: &serde_json::Value) -> reqwest::RequestBuilder {
    bare(client, method, path).json(body)
}
