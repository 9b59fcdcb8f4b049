//! Key rotation on a running installation.

use std::{io::Write as _, process::Stdio};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use clawdeploy_shared::secret::Sealer;
use clawdeploy_tests::{FakeMode, TestEnv, programs::Program};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::{config_file, done, instance, wait_job};

const BOT: &str = "123456789:canary-AAEhBOweik6ad9r_QXMENQjcrG";
const KEY: &str = "sk-canary-0123456789";

/// Runs `secrets rotate`; returns whether it succeeded, and its output.
async fn rotate(env: &TestEnv) -> (bool, String) {
    let mut command = Command::new(Program::Api.path());
    command.args(["secrets", "rotate"]).env_clear().envs(env.settings().iter().cloned()).stdin(Stdio::null());
    let output = command.output().await.unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (output.status.success(), said)
}

/// Writes keys to the key file of an installation. The first key is the one that seals.
fn keys(env: &TestEnv, keys: &[&str]) {
    let path = env.scratch().join("key");
    let mut file = std::fs::File::options().write(true).truncate(true).open(path).unwrap();
    file.write_all(keys.join("\n").as_bytes()).unwrap();
}

/// Restarts the programs, because they read the key file only at the start.
async fn restart(env: &mut TestEnv) {
    for worker in env.workers() {
        worker.terminate().await;
    }
    env.api.terminate().await;
    env.revive_api();
    env.add_worker(&crate::update::support::on(FakeMode::Ok)).await;
    let up = async || (env.anon().request(reqwest::Method::GET, "/healthz").send().await.is_ok()).then_some(());
    env.wait_for("the API to be back", crate::support::SOON, up).await;
}

/// All sealed values of an instance.
async fn sealed(env: &TestEnv, id: &str) -> Vec<String> {
    let sql = format!(
        "SELECT i.bot_token_sealed, i.api_key_sealed, i.gateway_token_sealed, i.env, i.pending_settings, \
         (SELECT json_agg(json_build_array(s.from_settings, s.to_settings)) FROM snapshots s WHERE s.instance_id = i.id) AS s \
         FROM instances i WHERE id = '{id}'"
    );
    let mut found = Vec::new();
    collect(&env.row(&sql).await, &mut found);
    found
}

fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) if text.starts_with("v1.") => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(map) => map.values().for_each(|item| collect(item, found)),
        _ => {}
    }
}

#[tokio::test]
async fn a_key_is_replaced_while_instances_run() {
    let mut env = TestEnv::builder().build().await;
    let ann = env.user("ann").await;
    let form =
        json!({ "name": "first", "channel": "telegram", "botToken": BOT, "aiProvider": "openai", "apiKey": KEY });
    let made = ann.create_with(&form).await;
    wait_job(&env, &made.job, "succeeded").await;
    let (id, path) = (&made.instance, format!("/api/instances/{}", made.instance));
    let apply = json!({ "env": { "MINE": "canary of mine" }, "applyNow": true });
    let asked = ann.patch(&path, &apply).await.accepted();
    wait_job(&env, &asked.job, "succeeded").await;
    ann.patch(&path, &json!({ "env": { "LATER": "canary of later" } })).await.expect(200);
    let (before, shown) = (sealed(&env, id).await, ann.instance(id).await);
    assert!(before.len() >= 11, "{before:?}");

    let old = std::fs::read_to_string(env.scratch().join("key")).unwrap();
    let new = BASE64.encode(rand::random::<[u8; 32]>());
    // First all programs know the new key, then it is used.
    keys(&env, &[&old, &new]);
    restart(&mut env).await;
    keys(&env, &[&new, &old]);
    restart(&mut env).await;
    assert_eq!(
        env.user("ann").await.instance(id).await["gatewayToken"],
        shown["gatewayToken"],
        "the old key still opens it"
    );
    let (ok, said) = rotate(&env).await;
    // A gateway token, a bot token, an API key and two variables, one of which is stored twice.
    assert!(ok && said.contains("5 secrets were re-encrypted, in 1 instances"), "{said}");
    let after = sealed(&env, id).await;
    assert!(after.len() == before.len() && after.iter().all(|text| !before.contains(text)), "{after:?}");
    let distinct = |texts: &[String]| texts.iter().collect::<std::collections::BTreeSet<_>>().len();
    assert_eq!(distinct(&after), distinct(&before), "equal values are still equal");
    let (ok, said) = rotate(&env).await;
    assert!(ok && said.contains("0 secrets were re-encrypted, in 0 instances"), "{said}");
    assert_eq!(sealed(&env, id).await, after);

    // The old key is removed and no longer needed.
    keys(&env, &[&new]);
    restart(&mut env).await;
    let ann = env.user("ann").await;
    let now = ann.instance(id).await;
    for same in ["gatewayToken", "pendingChanges", "updatedAt", "env", "channel"] {
        assert_eq!(now[same], shown[same], "{same}");
    }
    done(&env, id, "restart").await;
    assert!(config_file(&env, id, ".env").contains("LATER=\"canary of later\""));
    assert!(config_file(&env, id, "openclaw.json").contains(BOT));

    // If a key is missing, nothing changes, and the command says so.
    keys(&env, &[&old]);
    let before = instance(&env, id).await;
    let (ok, said) = rotate(&env).await;
    assert!(!ok && said.contains("no key in the file can decrypt") && said.contains(id.as_str()), "{said}");
    assert_eq!(instance(&env, id).await, before);
    keys(&env, &[&new]);
    Sealer::from_file(&env.scratch().join("key")).unwrap();
    env.finish().await;
}
