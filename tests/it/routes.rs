//! Routes whose responses need a worker; the others are in `api/tests/it/routes`. Each has the same cases: ok,
//! anonymous, another's, missing, invalid. No refusal changes the database.

use clawdeploy_tests::{
    Client, TestEnv,
    cases::{NO_INSTANCE, NO_UUID, bare, with},
};

mod admin;
mod build_log;
mod changes;
mod devices;
mod idempotency;
mod instances;
mod jobs;
mod power;
mod protocol;
mod queues;
mod rollouts;
pub(crate) mod setup;
mod terminals;
mod texts;
mod usage;

/// An installation and its clients.
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

    /// The refusals in a table; none of them may change a row.
    async fn refusals(&self, cases: Vec<(&str, reqwest::RequestBuilder)>) -> String {
        self.env.refusals(cases).await
    }
}
