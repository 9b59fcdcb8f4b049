//! The programs' commands, the settings that they refuse, and what a release contains.

use std::{
    os::unix::fs::PermissionsExt as _,
    process::{Output, Stdio},
    time::Duration,
};

use clawdeploy_tests::{TestEnv, WorkerOptions, pgbouncer::PgBouncer, programs::Program};
use serde_json::json;
use tokio::{io::AsyncWriteExt as _, process::Command};

use crate::support::{running, wait_job};

/// Runs a program with the installation's settings to its end. `changes` replace settings; an empty value removes one.
async fn run(env: &TestEnv, program: Program, arguments: &[&str], input: &str, changes: &[(&str, &str)]) -> Output {
    let mut command = Command::new(program.path());
    command.args(arguments).env_clear().envs(env.settings().iter().cloned()).env("NO_COLOR", "1");
    for (name, value) in changes {
        if value.is_empty() {
            command.env_remove(name)
        } else {
            command.env(name, value)
        };
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.ok();
    drop(stdin);
    tokio::time::timeout(Duration::from_secs(30), child.wait_with_output()).await.expect("its end").unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

/// A release has no kill points, so no environment variable can kill it.
#[tokio::test]
async fn a_release_has_no_kill_points() {
    let has_them = |program: Program| {
        let binary = std::fs::read(program.path()).unwrap();
        binary.windows(10).any(|window| window == b"FAILPOINTS")
    };
    assert!(has_them(Program::Worker), "the check finds no kill points where there are some");
    assert!(!has_them(Program::PlainWorker));

    let env = TestEnv::builder().workers(0).build().await;
    let points = "provision.find_image.before=return;provision.write_config.after=return";
    env.add_worker(&WorkerOptions { program: Program::PlainWorker, ..WorkerOptions::failpoints(points) }).await;
    let made = running(&env, "first").await;
    assert_eq!(crate::support::job(&env, &made.job).await["attempt"], 1);
    env.finish().await;
}

#[tokio::test]
async fn accounts_and_tokens_are_made_on_the_command_line() {
    let env = TestEnv::builder().workers(0).build().await;
    let user = ["user", "create", "--email", "Eve@test.example", "--name", "Eve", "--admin", "--password-stdin"];
    let made = run(&env, Program::Api, &user, "canary horse battery\n", &[]).await;
    assert!(made.status.success(), "{}", text(&made.stderr));
    let again = run(&env, Program::Api, &user, "canary other words\n", &[]).await;
    assert!(again.status.success() && text(&again.stdout).contains("already exists"), "{}", text(&again.stdout));
    let short =
        run(&env, Program::Api, &["user", "create", "--email", "x@test.example", "--password-stdin"], "short", &[]);
    assert!(!short.await.status.success(), "a short password");

    let anon = env.anon();
    let body = json!({ "email": "eve@TEST.example", "password": "canary horse battery" });
    let signed_in = anon.post("/api/auth/login", &body).await.expect(200);
    assert_eq!(anon.signed_in(&signed_in).get("/api/me").await.expect(200).json["role"], "admin");

    let token =
        run(&env, Program::Api, &["token", "create", "--email", "eve@test.example", "--name", "ci"], "", &[]).await;
    assert!(token.status.success(), "{}", text(&token.stderr));
    let token = text(&token.stdout);
    assert!(token.starts_with("claw_") && !token.contains(char::is_whitespace), "stdout must contain only the token");
    env.remember_secret(&token);
    assert_eq!(anon.with_token(&token).get("/api/me").await.expect(200).json["name"], "Eve");
    env.finish().await;
}

#[tokio::test]
async fn a_healthcheck_tells_by_its_status() {
    let env = TestEnv::builder().workers(0).build().await;
    let listen = env.base.trim_start_matches("http://");
    let good = run(&env, Program::Api, &["healthcheck"], "", &[("CLAWDEPLOY_LISTEN", listen)]).await;
    assert!(good.status.success(), "{}", text(&good.stderr));
    assert_eq!(text(&good.stdout), format!("{}/readyz answers 200 OK", env.base));
    let nobody = run(&env, Program::Api, &["healthcheck"], "", &[("CLAWDEPLOY_LISTEN", "127.0.0.1:1")]).await;
    assert!(!nobody.status.success());
    let said = text(&nobody.stderr);
    assert!(said.contains("nothing answers at http://127.0.0.1:1/readyz") && said.lines().count() == 1, "{said}");
    env.finish().await;
}

#[tokio::test]
async fn the_document_is_the_one_that_is_served() {
    let env = TestEnv::builder().workers(0).build().await;
    let printed = run(&env, Program::Api, &["openapi"], "", &[]).await;
    let printed: serde_json::Value = serde_json::from_slice(&printed.stdout).unwrap();
    let served = env.anon().get("/api/openapi.json").await.expect(200).json;
    assert_eq!(printed["paths"], served["paths"]);
    assert_eq!(printed["openapi"].as_str().map(|version| &version[..3]), Some("3.1"));
    env.finish().await;
}

/// At the start, the programs name a wrong setting.
#[tokio::test]
async fn wrong_settings_are_named() {
    let env = TestEnv::builder().workers(0).build().await;
    let open_key = env.scratch().join("open-key");
    tokio::fs::copy(env.scratch().join("key"), &open_key).await.unwrap();
    std::fs::set_permissions(&open_key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (open_key, serves) = (open_key.display().to_string(), [(Program::Api, "serve"), (Program::Worker, "run")]);
    for (name, value, needle) in [
        ("CLAWDEPLOY_DATABASE_URL", "", "--database-url"),
        ("CLAWDEPLOY_KEY_FILE", "/nonexistent", "key file"),
        ("CLAWDEPLOY_KEY_FILE", open_key.as_str(), "chmod 600"),
        ("CLAWDEPLOY_PORT_RANGE", "20000-10000", "20000-10000"),
    ] {
        for (program, command) in serves {
            let ended =
                run(&env, program, &[command], "", &[(name, value), ("CLAWDEPLOY_LISTEN", "127.0.0.1:0")]).await;
            let told = text(&ended.stderr);
            assert!(!ended.status.success() && told.contains(needle), "{program:?} with {name}={value:?}: {told}");
        }
    }
    env.finish().await;
}

/// Programs that start at the same time do not interfere.
#[tokio::test]
async fn programs_that_start_together() {
    let env = TestEnv::builder().workers(3).build().await;
    let (api, base) = env.start_api(1, &[]);
    let made = env.user("ann").await.create("first").await;
    wait_job(&env, &made.job, "succeeded").await;
    let up = async || {
        clawdeploy_tests::http()
            .build()
            .unwrap()
            .get(format!("{base}/readyz"))
            .send()
            .await
            .ok()
            .filter(|answer| answer.status().is_success())
    };
    env.wait_for("the other API", Duration::from_secs(20), up).await;
    let workers =
        async || (env.admin().await.get("/api/admin/workers").await.json["items"].as_array()?.len() == 3).then_some(());
    env.wait_for("all workers to be listed", Duration::from_secs(10), workers).await;
    assert!(api.terminate().await.success());
    env.finish().await;
}

/// Some features need a session of Postgres, so both programs end and name the setting of the pooler to change.
#[tokio::test]
async fn a_pooler_of_transactions_ends_both_programs() {
    const VARIABLE: &str = "CLAWDEPLOY_DATABASE_URL";
    let env = TestEnv::builder().workers(0).build().await;
    let pooler = PgBouncer::start("transaction").await;
    let shared = pooler.url(&env.database());
    for (program, command) in [(Program::Api, "serve"), (Program::Worker, "run")] {
        let changes = [(VARIABLE, shared.as_str()), ("CLAWDEPLOY_LISTEN", "127.0.0.1:0")];
        let ended = run(&env, program, &[command], "", &changes).await;
        let told = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{program:?}: {told}");
        for needle in [VARIABLE, "Migration and reconciler locks", "Set pool_mode=session"] {
            assert!(told.contains(needle), "{program:?}: {needle}: {told}");
        }
        assert!(!told.contains("postgres://"), "{program:?}: {told}");
    }
    env.finish().await;
}

/// A pooler that assigns a session for the whole connection works.
#[tokio::test]
async fn both_programs_work_behind_a_pooler_of_sessions() {
    let env = TestEnv::builder().workers(0).build().await;
    let pooler = PgBouncer::start("session").await;
    let url = pooler.url(&env.database());
    let (_api, base) = env.start_api(1, &[("CLAWDEPLOY_DATABASE_URL".into(), url.clone())]);
    env.add_worker(&WorkerOptions::default().set("CLAWDEPLOY_DATABASE_URL", &url)).await;
    let ann = env.user("ann").await.at(&base);
    let probe = clawdeploy_tests::http().build().unwrap();
    let up = async || probe.get(format!("{base}/healthz")).send().await.ok().filter(|a| a.status().is_success());
    env.wait_for("the API to answer", Duration::from_secs(20), up).await;
    let made = ann.create("first").await;
    wait_job(&env, &made.job, "succeeded").await;
    assert_eq!(ann.instance(&made.instance).await["name"], "first");
    env.finish().await;
}
