//! What one does inside an instance: terminals, logs, graphs.

use clawdeploy_tests::{FakeMode, TestEnv};

use super::{EMAIL, walk};
use crate::routes::auth::account;

#[tokio::test]
async fn terminals_logs_and_graphs() {
    let env = TestEnv::builder().image(FakeMode::Shell).build().await;
    account(&env, EMAIL).await;
    walk(&env, "inside.mjs", &env.base, &[], &[]).await;
    env.finish().await;
}
