//! Routes, each with the same cases: ok, anonymous, another's, missing, invalid. No refusal changes the database. Cases
//! that need a worker are in `tests/it/routes`.

use clawdeploy_tests::{
    Client,
    cases::{NO_INSTANCE, NO_UUID, bare, with},
};

use crate::support::TestApi;

mod account;
mod admin;
mod audit;
mod audit_actions;
mod auth;
mod authz;
mod capacity;
mod create;
mod following;
mod hold;
mod idempotency;
mod instances;
mod jobs;
mod people;
mod protocol;
mod queues;
mod quotas;
mod recoverable;
mod rollouts;
mod sessions;
mod setup;
mod sleep;
mod tenants;
mod texts;
mod tokens;
mod usage;
mod warm_pool;

/// An API and its clients.
struct Site {
    env: TestApi,
    anon: Client,
    ann: Client,
    bob: Client,
    admin: Client,
}

impl Site {
    async fn new() -> Self {
        Self::with(&[]).await
    }

    async fn with(settings: &[(&str, &str)]) -> Self {
        let env = TestApi::start(settings).await;
        let (anon, ann, bob) = (env.anon(), env.user("ann").await, env.user("bob").await);
        let admin = env.admin().await;
        Self { env, anon, ann, bob, admin }
    }

    /// The refusals in a table; none of them may change a row.
    async fn refusals(&self, cases: Vec<(&str, reqwest::RequestBuilder)>) -> String {
        self.env.refusals(cases).await
    }
}
