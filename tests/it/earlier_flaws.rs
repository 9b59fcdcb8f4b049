//! Nine flaws that an earlier control plane of this kind had, each with the tests that keep it out of this one. Those that need a
//! whole installation to themselves are below; of the others it is said where they are, and looked that they are there. No older
//! program runs here: that is `previous_release`.

use std::time::Duration;

use clawdeploy_tests::{
    FakeMode, TestEnv,
    programs::workspace_root,
    terminal::{Attach, open, ticket},
};
use serde_json::json;

use crate::support::{PASSWORD, account, running};

/// The flaw, and the tests that exclude it: file and names.
const HELD_BY: [(&str, &str, &[&str]); 12] = [
    ("the id of a user was enough for a terminal", file!(), &["term_rejects_user_id_as_token"]),
    ("any page could open a terminal", file!(), &["term_rejects_foreign_and_missing_origin"]),
    ("gateways listened for everybody", "tests/it/isolation.rs", &["gateways_listen_on_the_loopback_only"]),
    ("everybody could read keys on the disk", "tests/it/openclaw_files.rs", &["owners_and_modes"]),
    ("one mount lay in another", "worker/src/runtime/docker/spec/tests.rs", &["no_mount_lies_below_another"]),
    ("containers had all they wanted", "worker/src/runtime/docker/spec/tests.rs", &["the_container_is_this_one"]),
    ("containers had all they wanted", "tests/it/isolation.rs", &["the_kernel_holds_an_instance_as_it_was_told"]),
    (
        "nginx's map was written in place and not tried",
        "tests/it/routing/faults.rs",
        &["a_line_that_nginx_refuses_is_set_aside", "a_worker_that_dies_on_the_way_leaves_a_whole_file"],
    ),
    ("nginx's map was written by several at once", "worker/src/nginx/file.rs", &["what_was_read_earlier_is_refused"]),
    ("files were written through links", "tests/it/openclaw_files.rs", &["links_lead_nowhere"]),
    (
        "files were removed through links",
        "worker/src/storage/tests/races.rs",
        &["a_directory_that_becomes_a_link_is_not_removed_through"],
    ),
    ("guesses were counted by each process alone", file!(), &["brute_force_across_two_processes"]),
];

#[test]
fn what_holds_each_flaw_is_there() {
    for (flaw, file, tests) in HELD_BY {
        let text = std::fs::read_to_string(workspace_root().join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        for test in tests {
            assert!(text.contains(&format!("fn {test}(")), "{flaw}: there is no {test} in {file}");
        }
    }
}

/// The owner's id or another id, in place of a secret, does not open a terminal.
#[tokio::test]
async fn term_rejects_user_id_as_token() {
    let env = TestEnv::builder().image(FakeMode::Shell).build().await;
    let made = running(&env, "first").await;
    let ann = env.user("ann").await;
    let user =
        env.row("SELECT id FROM users WHERE email = 'ann@test.example'").await["id"].as_str().unwrap().to_owned();
    let base = env.base.as_str();
    let (id, _) = open(&ann, &made.instance, &json!({})).await;
    let (ws, direct) = (format!("/api/terminals/{id}/ws"), format!("/api/instances/{}/terminal", made.instance));
    for shown in [user.as_str(), &format!("user_{}", user.replace('-', "")), "ann@test.example", &id, &made.instance] {
        for path in [ws.clone(), format!("{ws}?token={shown}"), format!("{ws}?ticket={shown}")] {
            let attach = Attach { base, path, origin: Some(base), ticket: Some(shown), token: None };
            let mut refused = attach.open().await.unwrap();
            assert_eq!(refused.ended().await, Some(4401), "{shown}");
            assert!(refused.output.is_empty(), "{shown}");
        }
        let nobody =
            Attach { base, path: format!("{direct}?token={shown}"), origin: Some(base), ticket: None, token: None };
        assert_eq!(nobody.open().await.unwrap_err(), (401, "unauthenticated".to_owned()), "{shown}");
        let named = Attach { base, path: direct.clone(), origin: Some(base), ticket: None, token: Some(shown) };
        assert_eq!(named.open().await.unwrap_err(), (401, "invalid_token".to_owned()), "{shown}");
        let cookie = env.anon().request("GET".parse().unwrap(), &direct).header("origin", base);
        let cookie = cookie.header("cookie", format!("__Host-clawdeploy={shown}"));
        assert_eq!(env.anon().send(cookie).await.status.as_u16(), 401, "{shown}");
    }
    assert_eq!(env.rows("SELECT id FROM terminals").await.len(), 1, "none was opened");
    env.finish().await;
}

/// A terminal opens only for the exact origin of the panel.
#[tokio::test]
async fn term_rejects_foreign_and_missing_origin() {
    let panel = "https://panel.test";
    let builder = TestEnv::builder().image(FakeMode::Shell).set("CLAWDEPLOY_PUBLIC_URL", panel);
    let env = builder.build().await;
    let made = running(&env, "first").await;
    let ann = env.user("ann").await;
    let (id, good) = open(&ann, &made.instance, &json!({})).await;
    let base = env.base.as_str();
    let attach = |origin, ticket| {
        let path = format!("/api/terminals/{id}/ws");
        Attach { base, path, origin, ticket: Some(ticket), token: None }.open()
    };
    for origin in [
        None,
        Some("null"),
        Some(""),
        Some("https://evil.test"),
        Some("http://panel.test"),
        Some("https://panel.test.evil.test"),
        Some("https://evil-panel.test"),
        Some("https://a.panel.test"),
        Some("https://panel.test."),
        Some("https://panel.test:443"),
        Some("https://PANEL.test"),
        Some("https://panel.test/"),
        Some("https://panel.test https://evil.test"),
        Some("https://xn--panl-0pa.test"),
        Some(base),
    ] {
        let refused = attach(origin, &good).await.unwrap_err();
        assert_eq!(refused, (403, "origin_refused".to_owned()), "{origin:?}");
    }
    // The refused attempts did not use up the ticket.
    let mut terminal = attach(Some(panel), &good).await.unwrap();
    terminal.greeted().await;
    let another = ticket(&ann, &id).await;
    assert_eq!(attach(Some("https://evil.test"), &another).await.unwrap_err().0, 403);
    env.finish().await;
}

/// All API processes count failed logins together, and a restart does not reset the count.
#[tokio::test]
async fn brute_force_across_two_processes() {
    let mut env = TestEnv::builder().workers(0).build().await;
    account(&env, "eve@test.example").await;
    let (other, base) = env.start_api(1, &[]);
    let up = async || other.log().contains("Serving").then_some(());
    env.wait_for("the other API", Duration::from_secs(20), up).await;
    let (one, two) = (env.anon(), env.anon().at(&base));
    let guess = json!({ "email": "eve@test.example", "password": "canary wrong one" });
    let mut codes = Vec::new();
    for n in 0..14 {
        let client = if n % 2 == 0 { &one } else { &two };
        codes.push(client.post("/api/auth/login", &guess).await.status.as_u16());
    }
    assert_eq!(codes, [[401; 10].as_slice(), &[429; 4]].concat());
    env.api.kill().await;
    env.revive_api();
    let probe = one.request("GET".parse().unwrap(), "/healthz");
    let up = async || probe.try_clone().unwrap().send().await.ok();
    env.wait_for("the API", Duration::from_secs(20), up).await;
    let right = json!({ "email": "eve@test.example", "password": PASSWORD });
    for client in [&one, &two] {
        let answer = client.post("/api/auth/login", &right).await;
        assert_eq!(answer.brief(), "429 rate_limited", "a correct password must not be confirmed");
        assert!(answer.header("retry-after").is_some());
    }
    other.terminate().await;
    env.finish().await;
}
