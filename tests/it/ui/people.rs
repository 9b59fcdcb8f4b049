//! Who comes in, and how: the first administrator, whom they invite, and what each has on the own account.

use super::walk;
use crate::routes::setup::empty;

#[tokio::test]
async fn from_the_first_administrator_to_a_second_factor() {
    let (env, token) = empty().await;
    walk(&env, "people.mjs", &env.base, &[], &[("CLAWDEPLOY_TEST_SETUP_TOKEN", &token)]).await;
    env.finish().await;
}
