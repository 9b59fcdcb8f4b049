//! What an administrator sees of everything.

use clawdeploy_tests::{FakeMode, TestEnv};

use super::{EMAIL, walk};
use crate::routes::auth::administrator;

#[tokio::test]
async fn every_page_of_the_administration() {
    let env = TestEnv::builder().image(FakeMode::Ok).build().await;
    administrator(&env, EMAIL).await;
    walk(&env, "admin.mjs", &env.base, &[], &[]).await;
    env.finish().await;
}
