//! Sign-in with an identity provider: oidc-provider, which is certified for `OpenID` Connect.

use std::time::{SystemTime, UNIX_EPOCH};

use clawdeploy_tests::{Answer, Client, identity_provider::IdentityProvider};
use serde_json::{Value, json};

use crate::support::TestApi;

const PANEL: &str = "http://panel.test";
const CALLBACK: &str = "/api/auth/oidc/callback";

struct Site {
    env: TestApi,
    anon: Client,
    provider: IdentityProvider,
}

impl Site {
    async fn new(accounts: &str) -> Self {
        Self::with(accounts, &[]).await
    }

    /// With `CLAWDEPLOY_OIDC_EMAIL_TRUSTED`: addresses count even if the provider does not say that they are verified.
    async fn trusting(accounts: &str) -> Self {
        Self::with(accounts, &[("CLAWDEPLOY_OIDC_EMAIL_TRUSTED", "true")]).await
    }

    async fn with(accounts: &str, more: &[(&str, &str)]) -> Self {
        let provider = IdentityProvider::start(&format!("{PANEL}{CALLBACK}")).await;
        let settings = [
            ("CLAWDEPLOY_PUBLIC_URL", PANEL),
            ("CLAWDEPLOY_OIDC_ISSUER", &provider.issuer),
            ("CLAWDEPLOY_OIDC_ACCOUNTS", accounts),
            ("CLAWDEPLOY_OIDC_CLIENT_ID", "panel"),
            ("CLAWDEPLOY_OIDC_CLIENT_SECRET", &provider.secret),
            ("CLAWDEPLOY_OIDC_NAME", "Test"),
            ("CLAWDEPLOY_OIDC_PARTIES", "https://app.test, panel"),
        ];
        let env = TestApi::start(&[&settings, more].concat()).await;
        env.admin().await;
        let anon = env.anon();
        Self { env, anon, provider }
    }

    /// Signs in as `login` at the provider; returns the panel's response to the callback.
    async fn sign_in(&self, login: &str) -> Answer {
        let (start, browser) = self.start().await;
        let back = self.provider.sign_in(&start, login).await;
        browser.get(&Self::path(&back)).await.expect(303)
    }

    /// Starts an attempt: the provider's address, and the browser with the cookie of the attempt.
    async fn start(&self) -> (String, Client) {
        let answer = self.anon.get("/api/auth/oidc/start").await.expect(303);
        assert!(answer.header("set-cookie").unwrap().starts_with("__Host-clawdeploy-oidc=v1."));
        (answer.header("location").unwrap().to_owned(), self.anon.signed_in(&answer))
    }

    fn path(back: &reqwest::Url) -> String {
        assert!(back.as_str().starts_with(&format!("{PANEL}{CALLBACK}?")), "{back}");
        format!("{CALLBACK}?{}", back.query().unwrap())
    }

    async fn who(&self, answer: &Answer) -> Value {
        assert_eq!(answer.header("location"), Some("/"));
        let session = answer.headers.get_all("set-cookie").iter().map(|line| line.to_str().unwrap());
        let session = session.filter(|line| line.starts_with("__Host-clawdeploy=")).map(str::to_owned).next().unwrap();
        let request = self.anon.request("GET".parse().unwrap(), "/api/me");
        self.anon.send(request.header("cookie", session.split(';').next().unwrap())).await.expect(200).json
    }
}

#[tokio::test]
async fn a_person_signs_in_over_there_and_is_known_from_then_on() {
    let site = Site::new("email").await;
    let options = site.anon.get("/api/auth/options").await.expect(200).json;
    assert_eq!(options, json!({ "setupRequired": false, "oidc": { "name": "Test" } }));
    let id = site.env.user_id("eve", clawdeploy_shared::db::user::Role::User).await.to_string();

    let unknown = site.sign_in("dan").await;
    assert_eq!(unknown.header("location"), Some("/sign-in?error=oidc_unknown_account"));
    let unverified = site.sign_in("unverified-eve").await;
    assert_eq!(unverified.header("location"), Some("/sign-in?error=oidc_email_unverified"));
    let answer = site.sign_in("eve").await;
    assert_eq!(site.who(&answer).await["id"], id.as_str());
    // The identity is linked by now, so another email address changes nothing.
    site.env.execute("UPDATE users SET email = 'other@test.example' WHERE email = 'eve@test.example'").await;
    let answer = site.sign_in("eve").await;
    assert_eq!(site.who(&answer).await["id"], id.as_str());

    site.env.execute("UPDATE users SET suspended_at = now() WHERE email = 'other@test.example'").await;
    assert_eq!(site.sign_in("eve").await.header("location"), Some("/sign-in?error=oidc_unknown_account"));
    let audit = site.env.rows("SELECT action, outcome FROM audit ORDER BY id").await;
    let audit: Vec<_> =
        audit.iter().map(|row| format!("{} {}", row["action"], row["outcome"]).replace('"', "")).collect();
    let (failed, success) = ("auth.login failure", "auth.login success");
    assert_eq!(audit, [failed, failed, "user.link_identity success", success, success, failed]);
    site.env.finish().await;
}

#[tokio::test]
async fn a_new_person_gets_an_account_where_that_is_allowed() {
    let site = Site::new("new").await;
    let answer = site.sign_in("dan").await;
    let dan = site.who(&answer).await;
    assert_eq!(
        (&dan["email"], &dan["role"], &dan["name"]),
        (&json!("dan@test.example"), &json!("user"), &json!("Somebody"))
    );
    let unverified = site.sign_in("unverified-cid").await;
    assert_eq!(unverified.header("location"), Some("/sign-in?error=oidc_email_unverified"));
    site.env.finish().await;
}

/// Claims of other providers: other forms of a value count, and an error names a missing claim.
#[tokio::test]
async fn claims_of_other_makes() {
    let site = Site::new("email").await;
    let id = site.env.user_id("eve", clawdeploy_shared::db::user::Role::User).await.to_string();
    for (login, error) in
        [("entra-eve", "/sign-in?error=oidc_email_verified_missing"), ("upn-eve", "/sign-in?error=oidc_email_missing")]
    {
        assert_eq!(site.sign_in(login).await.header("location"), Some(error), "{login}");
    }
    let reasons =
        site.env.rows("SELECT detail ->> 'reason' AS reason FROM audit WHERE action = 'auth.login' ORDER BY id").await;
    assert!(reasons[0]["reason"].as_str().unwrap().contains("email_verified"), "{reasons:?}");
    assert!(reasons[1]["reason"].as_str().unwrap().contains("\"email\""), "{reasons:?}");
    for login in ["cognito-eve", "entra.edov-eve"] {
        let answer = site.sign_in(login).await;
        assert_eq!(site.who(&answer).await["id"], id.as_str(), "{login}");
    }
    site.env.finish().await;
}

/// If the operator trusts the provider's addresses, unverified ones count, unless the provider says that they are not
/// verified.
#[tokio::test]
async fn a_provider_that_is_trusted_with_addresses() {
    let site = Site::trusting("email").await;
    let id = site.env.user_id("eve", clawdeploy_shared::db::user::Role::User).await.to_string();
    for login in ["entra-eve", "upn-eve"] {
        let answer = site.sign_in(login).await;
        assert_eq!(site.who(&answer).await["id"], id.as_str(), "{login}");
    }
    let refused = site.sign_in("unverified-eve").await;
    assert_eq!(refused.header("location"), Some("/sign-in?error=oidc_email_unverified"));
    site.env.finish().await;
}

/// A callback works once, in the browser that started the attempt, and for that attempt only.
#[tokio::test]
async fn another_browser_or_attempt_signs_nobody_in() {
    let site = Site::new("new").await;
    let failed = Some("/sign-in?error=oidc_failed");
    let (start, browser) = site.start().await;
    let back = Site::path(&site.provider.sign_in(&start, "dan").await);
    let (_, other) = site.start().await;
    assert_eq!(site.anon.get(&back).await.header("location"), failed, "a browser without an attempt");
    assert_eq!(other.get(&back).await.header("location"), failed, "another attempt");
    let state = back.split("state=").nth(1).unwrap().split('&').next().unwrap();
    assert_eq!(browser.get(&format!("{CALLBACK}?code=nonsense&state={state}")).await.header("location"), failed);
    let refused = browser.get(&format!("{CALLBACK}?error=access_denied&state={state}")).await;
    assert_eq!(refused.header("location"), Some("/sign-in?error=oidc_refused"));
    assert_eq!(browser.get(&back).await.header("location"), Some("/"));
    assert_eq!(browser.get(&back).await.header("location"), failed, "once");
    site.env.finish().await;
}

/// If the provider is down, the sign-in page shows it.
#[tokio::test]
async fn a_provider_that_is_away_is_said_at_the_door() {
    let Site { env, anon, provider } = Site::new("new").await;
    drop(provider);
    let answer = anon.get("/api/auth/oidc/start").await.expect(303);
    assert_eq!(answer.header("location"), Some("/sign-in?error=oidc_unavailable"));
    env.finish().await;
}

fn in_seconds(seconds: i64) -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap() + seconds
}

#[tokio::test]
async fn tokens_of_the_provider() {
    let site = Site::new("email").await;
    site.env.user("eve").await;
    let good = json!({
        "iss": site.provider.issuer, "sub": "user_1", "azp": "https://app.test", "exp": in_seconds(60),
        "nbf": in_seconds(-5), "email": "eve@test.example", "email_verified": true,
    });
    let ask = async |header: Value, change: Value| {
        let mut claims = good.clone();
        for (field, value) in change.as_object().unwrap() {
            claims[field] = value.clone();
        }
        let token = site.provider.sign(&header, &claims).await;
        site.anon.with_token(&token).get("/api/me").await
    };
    let plain = json!({});
    let unknown = ask(plain.clone(), json!({ "email_verified": false })).await;
    assert_eq!(unknown.brief(), "401 invalid_token", "the identity is not linked yet");
    let unsaid = ask(plain.clone(), json!({ "email_verified": null })).await;
    assert!(unsaid.json["detail"].as_str().unwrap().contains("\"email_verified\""), "{unsaid:?}");
    assert_eq!(ask(plain.clone(), json!({})).await.expect(200).json["email"], "eve@test.example");
    assert_eq!(ask(plain.clone(), json!({ "email": null, "azp": null, "aud": ["panel"] })).await.status.as_u16(), 200);
    let other =
        json!({ "exp": in_seconds(60).to_string(), "iat": "now", "email_verified": "True", "groups": 7, "name": [] });
    assert_eq!(ask(json!({ "kid": null }), other).await.expect(200).json["email"], "eve@test.example");
    for (header, change) in [
        (plain.clone(), json!({ "iss": "https://evil.test" })),
        (plain.clone(), json!({ "exp": in_seconds(-60) })),
        (plain.clone(), json!({ "nbf": in_seconds(60) })),
        (plain.clone(), json!({ "azp": "https://evil.test" })),
        (plain.clone(), json!({ "azp": null })),
        (json!({ "kid": "key-2" }), json!({})),
    ] {
        assert_eq!(ask(header.clone(), change.clone()).await.brief(), "401 invalid_token", "{header} {change}");
    }
    // With a broken signature.
    let token = site.provider.sign(&plain, &good).await;
    let mut parts: Vec<_> = token.split('.').map(str::to_owned).collect();
    parts[2] = parts[2].chars().rev().collect();
    assert_eq!(site.anon.with_token(&parts.join(".")).get("/api/me").await.brief(), "401 invalid_token");

    let eve = site.anon.with_token(&token);
    let made = eve.create("first").await;
    assert_eq!(eve.post("/api/tokens", &json!({ "name": "x" })).await.brief(), "403 insufficient_scope");
    assert_eq!(eve.get("/api/admin/queues").await.brief(), "403 admin_only");
    eve.post_empty(&format!("/api/jobs/{}/cancel", made.job)).await.expect(202);
    site.env.execute("UPDATE users SET suspended_at = now() WHERE email = 'eve@test.example'").await;
    assert_eq!(eve.get("/api/me").await.brief(), "401 invalid_token");
    site.env.finish().await;
}
