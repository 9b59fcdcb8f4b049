//! OpenClaw's files, and what a tenant who owns their directory can do with them.

use std::os::unix::fs::{MetadataExt as _, symlink};

use clawdeploy_tests::TestEnv;
use serde_json::{Value, json};

use crate::support::{SOON, config_file, done, port, running, starts, wait_job, wait_status};

const TELEGRAM: &str = "123456789:canary-AAEhBOweik6ad9r_QXMENQjcrG";
const DISCORD: &str = "canary.MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs";
const KEY: &str = "sk-canary-0123456789";

/// Provisions with this form; returns the environment, the instance and its `openclaw.json`.
async fn provisioned(form: Value) -> (TestEnv, String, Value) {
    let env = TestEnv::builder().build().await;
    let made = env.user("ann").await.create_with(&form).await;
    wait_job(&env, &made.job, "succeeded").await;
    let config = serde_json::from_str(&config_file(&env, &made.instance, "openclaw.json")).unwrap();
    (env, made.instance, config)
}

#[tokio::test]
async fn telegram() {
    let form = json!({ "name": "first", "channel": "telegram", "botToken": TELEGRAM });
    let (env, id, config) = provisioned(form).await;
    let port = port(&env, &id).await;
    let token = env.user("ann").await.instance(&id).await["gatewayToken"].clone();
    insta::assert_json_snapshot!(config["channels"], @r#"
    {
      "telegram": {
        "botToken": "123456789:canary-AAEhBOweik6ad9r_QXMENQjcrG",
        "dmPolicy": "pairing",
        "enabled": true
      }
    }
    "#);
    assert_eq!(config["gateway"]["auth"]["token"], token);
    assert_eq!(config["gateway"]["controlUi"]["allowedOrigins"][0], format!("http://127.0.0.1:{port}"));
    env.finish().await;
}

#[tokio::test]
async fn discord_and_a_provider() {
    let form = json!({
        "name": "first", "channel": "discord", "botToken": DISCORD, "aiProvider": "anthropic", "apiKey": KEY,
    });
    let (env, id, config) = provisioned(form).await;
    assert_eq!(config["channels"]["discord"], json!({ "enabled": true, "token": DISCORD }));
    assert_eq!(config["plugins"]["entries"]["discord"]["enabled"], true);
    assert_eq!(config["agents"]["defaults"]["model"]["primary"], "anthropic/claude-opus-5");
    let env_file = config_file(&env, &id, ".env");
    assert_eq!(env_file.lines().last(), Some(format!("ANTHROPIC_API_KEY=\"{KEY}\"").as_str()));
    // The provider's key is only in `.env`.
    assert!(!config.to_string().contains(KEY));
    env.finish().await;
}

/// Only the tenant's user can access the files, and only root the directory around them.
#[tokio::test]
async fn owners_and_modes() {
    let env = TestEnv::builder().build().await;
    let made = running(&env, "first").await;
    let of = |path: &str| {
        let meta = std::fs::symlink_metadata(env.data_dir.join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
        format!("{}:{} {:o}", meta.uid(), meta.gid(), meta.mode() & 0o7777)
    };
    let id = &made.instance;
    assert_eq!(of(""), "0:0 711");
    assert_eq!(of(".trash"), "0:0 700");
    assert_eq!(of(id), "0:0 700");
    for path in ["config", "workspace"] {
        assert_eq!(of(&format!("{id}/{path}")), "1000:1000 700", "{path}");
    }
    for path in ["config/openclaw.json", "config/.env"] {
        assert_eq!(of(&format!("{id}/{path}")), "1000:1000 600", "{path}");
    }
    env.finish().await;
}

#[tokio::test]
async fn an_owners_changes_survive_a_restart() {
    let env = TestEnv::builder().build().await;
    let made = running(&env, "first").await;
    let path = env.data_dir.join(&made.instance).join("config/openclaw.json");
    let before: Value = serde_json::from_slice(&tokio::fs::read(&path).await.unwrap()).unwrap();
    let mut changed = before.clone();
    changed["ui"] = json!({ "seamColor": "#123456" });
    changed["gateway"]["auth"]["token"] = "weak".into();
    changed["gateway"]["bind"] = "loopback".into();
    tokio::fs::write(&path, changed.to_string()).await.unwrap();
    tokio::fs::write(path.with_file_name(".env"), "MINE=1\n").await.unwrap();
    done(&env, &made.instance, "restart").await;
    let after: Value = serde_json::from_str(&config_file(&env, &made.instance, "openclaw.json")).unwrap();
    assert_eq!(after["ui"], changed["ui"]);
    assert_eq!(after["gateway"], before["gateway"], "the platform's part is put back");
    assert_eq!(config_file(&env, &made.instance, ".env"), "MINE=1\n");
    env.finish().await;
}

/// `openclaw.json` after an edit in JSON5 style.
fn as_json5(config: &Value) -> String {
    let text = serde_json::to_string_pretty(config).unwrap();
    let text = text.replacen("\"channels\": {", "// My bot: \"botToken\"\n  channels: {", 1);
    let text = text.replacen("\"pairing\",", "'pairing', // as it was", 1);
    format!("/* mine */ {text} // end")
}

/// A change edits a file with comments, and the comments stay.
#[tokio::test]
async fn a_new_token_reaches_a_file_with_comments() {
    const LATER: &str = "987654321:canary-AAEhBOweik6ad9r_QXMENQjcrH";
    let form = json!({ "name": "first", "channel": "telegram", "botToken": TELEGRAM });
    let (env, id, config) = provisioned(form).await;
    let path = env.data_dir.join(&id).join("config/openclaw.json");
    let before = as_json5(&config);
    assert!(before.contains("'pairing', // as it was") && before.contains("// My bot"), "{before}");
    tokio::fs::write(&path, &before).await.unwrap();
    let change = json!({ "botToken": LATER, "applyNow": true });
    let asked = env.user("ann").await.patch(&format!("/api/instances/{id}"), &change).await.accepted();
    wait_job(&env, &asked.job, "succeeded").await;
    assert_eq!(config_file(&env, &id, "openclaw.json"), before.replace(TELEGRAM, LATER));

    // A file that is up to date is not rewritten.
    done(&env, &id, "restart").await;
    assert_eq!(config_file(&env, &id, "openclaw.json"), before.replace(TELEGRAM, LATER));
    env.finish().await;
}

/// A file that cannot be parsed fails the job, which names the position. The gateway keeps running, and the file stays.
#[tokio::test]
async fn a_broken_file_stops_nothing() {
    let env = TestEnv::builder().set("CLAWDEPLOY_RECONCILE_SECONDS", "1").build().await;
    let (ann, made) = (env.user("ann").await, running(&env, "first").await);
    let id = &made.instance;
    let path = env.data_dir.join(id).join("config/openclaw.json");
    let good = config_file(&env, id, "openclaw.json");
    let broken = "{\n  // mine\n  gateway: {}\n  agents: {},\n}\n";
    tokio::fs::write(&path, broken).await.unwrap();
    let failed = async |job: &str, code: &str| {
        let job = wait_job(&env, job, "failed").await;
        assert_eq!(job["error_code"], code, "{job}");
        wait_status(&env, id, "running", SOON).await;
        assert_eq!(starts(&env, id), 1, "the gateway was left alone");
        job["error_message"].as_str().unwrap().to_owned()
    };
    for verb in ["restart", "change"] {
        let asked = if verb == "restart" {
            ann.act(id, "restart").await
        } else {
            let change = json!({ "memoryMb": 3072, "applyNow": true });
            ann.patch(&format!("/api/instances/{id}"), &change).await.accepted()
        };
        let message = failed(&asked.job, "config_unreadable").await;
        assert!(message.contains("line 4, column 3: expected comma"), "{message}");
        assert_eq!(config_file(&env, id, "openclaw.json"), broken);
    }

    // The same for a file that is too large.
    std::fs::File::options().write(true).open(&path).unwrap().set_len(9 << 20).unwrap();
    failed(&ann.act(id, "restart").await.job, "config_too_large").await;
    assert_eq!(path.metadata().unwrap().len(), 9 << 20);

    // After a correction everything works.
    tokio::fs::write(&path, format!("{good}// mine")).await.unwrap();
    done(&env, id, "restart").await;
    assert_eq!(config_file(&env, id, "openclaw.json"), format!("{good}// mine"));
    env.finish().await;
}

/// A tenant puts links where the worker writes: nothing outside is read, written or removed.
#[tokio::test]
async fn links_lead_nowhere() {
    let env = TestEnv::builder().build().await;
    let (made, neighbour) = (running(&env, "first").await, running(&env, "neighbour").await);
    let victim = env.scratch().join("victim");
    tokio::fs::write(&victim, "precious").await.unwrap();
    let config = env.data_dir.join(&made.instance).join("config");
    for name in ["openclaw.json", ".env"] {
        tokio::fs::remove_file(config.join(name)).await.unwrap();
        symlink(&victim, config.join(name)).unwrap();
    }
    symlink(env.data_dir.join(&neighbour.instance), config.join("neighbour")).unwrap();
    symlink("/", config.join("root")).unwrap();
    let restarted = done(&env, &made.instance, "restart").await;
    assert_eq!(tokio::fs::read_to_string(&victim).await.unwrap(), "precious");
    let lines = format!(
        "SELECT message FROM job_events WHERE job_id = '{}' AND kind = 'log'",
        restarted["id"].as_str().unwrap()
    );
    let told = json!(env.rows(&lines).await).to_string();
    for name in ["openclaw.json", ".env"] {
        let written = std::fs::symlink_metadata(config.join(name)).unwrap();
        assert!(written.is_file(), "a new {name} is written");
        // The link is kept under another name, and the job's log says so.
        let kept =
            |entry: &std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with(&format!("{name}.kept-"));
        let kept = std::fs::read_dir(&config).unwrap().map(Result::unwrap).find(kept).expect("a kept link");
        assert_eq!(std::fs::read_link(kept.path()).unwrap(), victim);
        assert!(told.contains(&format!("Renamed {name} to {}", kept.file_name().to_string_lossy())), "{told}");
    }
    crate::support::deleted(&env, &made.instance).await;
    assert_eq!(tokio::fs::read_to_string(&victim).await.unwrap(), "precious");
    assert!(!config_file(&env, &neighbour.instance, "openclaw.json").is_empty());
    env.finish().await;
}
