//! Sign-in: the first administrator, invitations, and the pages of one's own account.

use std::time::Duration;

use clawdeploy_tests::{TestEnv, identity_provider::IdentityProvider};

use super::walk;
use crate::routes::setup::empty;

#[tokio::test]
async fn from_the_first_administrator_to_a_second_factor() {
    let (env, token) = empty().await;
    let variables = [("CLAWDEPLOY_TEST_SETUP_TOKEN", token.as_str())];
    walk(&env, "people.mjs", &env.base, &[], &variables).await;
    env.finish().await;
}

/// The provider needs the public address of the API, so that API is started after the provider.
#[tokio::test]
async fn at_a_provider_of_identities() {
    let env = TestEnv::builder().workers(0).build().await;
    env.user("eve").await;
    let base = format!("http://127.0.0.1:{}", env.slot.api_port(1));
    let provider = IdentityProvider::start(&format!("{base}/api/auth/oidc/callback")).await;
    let set = |(name, value): (&str, &str)| (format!("CLAWDEPLOY_{name}"), value.to_owned());
    let settings = [
        ("PUBLIC_URL", base.as_str()),
        ("OIDC_ISSUER", &provider.issuer),
        ("OIDC_ACCOUNTS", "email"),
        ("OIDC_CLIENT_ID", "panel"),
        ("OIDC_CLIENT_SECRET", &provider.secret),
        ("OIDC_NAME", "Test"),
    ];
    let (api, _) = env.start_api(1, &settings.map(set));
    let up = async || api.log().contains("Serving").then_some(());
    env.wait_for("the API that browsers open", Duration::from_secs(20), up).await;
    walk(&env, "oidc.mjs", &base, &[], &[]).await;
    env.finish().await;
}
