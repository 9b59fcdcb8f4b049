//! Tests of the real OpenClaw: the dashboard opens, an update from an older release and back works, and every
//! configuration that we write is valid. Its whole life is in [`canary::real`](crate::canary); all other tests use the
//! fake gateway.

mod dashboard;
mod sleep;
mod story;

use std::time::Duration;

use clawdeploy_tests::{
    Image, TestEnv, cleanup,
    client::{Accepted, Client},
    docker, settings,
};
use serde_json::{Value, json};

use crate::support::{deleted, done, http, instance, job, port, say, wait_job, wait_job_within};

/// A release that is older than the default one.
const OLDER: &str = "2026.9.5";

/// A boot takes 15 seconds on two idle cores.
const BOOT: Duration = Duration::from_mins(4);

async fn booted(env: &TestEnv, accepted: &Accepted) {
    wait_job_within(env, &accepted.job, "succeeded", BOOT).await;
}

/// Output of the real image's `openclaw config validate` for the files of this form.
async fn validated(env: &TestEnv, ann: &Client, form: &Value) -> Value {
    let made = ann.create_with(form).await;
    wait_job(env, &made.job, "succeeded").await;
    // Edited by the owner in JSON5, with values that the restart has to correct.
    let file = env.data_dir.join(&made.instance).join("config/openclaw.json");
    let text = std::fs::read_to_string(&file).unwrap().replacen("\"lan\",", "'loopback', // mine", 1);
    let text = text.replacen("\"port\": 18789", "port: 0x4965", 1).replacen("\"auth\": {", "auth: {},\n\"gone\": {", 1);
    tokio::fs::write(&file, text.replacen("\"gone\": {", "'auth': {", 1)).await.unwrap();
    done(env, &made.instance, "restart").await;
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("// mine") && text.contains("0x4965") && text.contains("\"lan\""), "{text}");
    let mount = format!("{}:/home/node/.openclaw", env.data_dir.join(&made.instance).join("config").display());
    let image = Image::Real.reference();
    let said = docker::try_docker(&[
        "run",
        "--rm",
        "--network",
        "none",
        "--volume",
        &mount,
        &image,
        "openclaw",
        "config",
        "validate",
        "--json",
    ])
    .await;
    serde_json::from_str(said.expect("a verdict").trim()).expect("JSON")
}

#[tokio::test]
async fn every_configuration_is_accepted() {
    const BOT: &str = "123456789:canary-AAEhBOweik6ad9r_QXMENQjcrG";
    const KEY: &str = "sk-canary-0123456789";
    let env = TestEnv::builder().build().await;
    let ann = env.user("ann").await;
    for form in [
        json!({ "name": "telegram", "channel": "telegram", "botToken": BOT, "aiProvider": "openai", "apiKey": KEY }),
        json!({ "name": "discord", "channel": "discord", "botToken": BOT, "aiProvider": "openrouter", "apiKey": KEY }),
        json!({ "name": "anthropic", "aiProvider": "anthropic", "apiKey": KEY }),
        json!({ "name": "gemini", "aiProvider": "gemini", "apiKey": KEY }),
    ] {
        let verdict = validated(&env, &ann, &form).await;
        assert_eq!(verdict["valid"], true, "{}: {verdict}", form["name"]);
    }
    env.finish().await;
}

/// Images of a test, which are removed with it.
struct Images(String);

impl Drop for Images {
    fn drop(&mut self) {
        let repository = self.0.clone();
        cleanup::block_on(async move {
            let listed = docker::try_docker(&["images", "--format", "{{.Repository}}:{{.Tag}}", &repository]).await;
            for image in listed.unwrap_or_default().lines() {
                docker::try_docker(&["image", "rm", image]).await.ok();
            }
        });
    }
}

/// All requests for an image join one build, and instances run its result. Then an instance of the older release is
/// updated: its state is migrated and the owner's files stay; and it is rolled back.
#[tokio::test]
async fn an_older_release_from_its_build_to_an_update_and_back() {
    let repository = format!("clawdeploy-test-{}", std::process::id());
    let images = Images(repository.clone());
    let target = format!("{repository}:local");
    let env = TestEnv::builder()
        .image(Image::Named(target.clone()))
        .ready(600.0)
        .set("CLAWDEPLOY_OPENCLAW_BASE_IMAGE", &settings::base_image())
        .build()
        .await;
    let (admin, ann) = (env.admin().await, env.user("ann").await);
    let missing = ann.create("too early").await;
    assert_eq!(wait_job(&env, &missing.job, "failed").await["error_code"], "image_missing");
    let id = built_once(&env, &admin, &ann, &target, &missing).await;

    let made = ann.create("first").await;
    booted(&env, &made).await;
    assert_eq!(instance(&env, &made.instance).await["image_id"], id.trim());
    updated_and_back(&env, &ann, &made.instance).await;
    deleted(&env, &made.instance).await;
    env.finish().await;
    drop(images);
}

/// Three simultaneous requests; returns the image's id.
async fn built_once(env: &TestEnv, admin: &Client, ann: &Client, target: &str, missing: &Accepted) -> String {
    let older = json!({ "version": OLDER });
    let ask = || admin.post("/api/admin/image/rebuild", &older);
    let (one, two, three) = tokio::join!(ask(), ask(), ask());
    let answers = [one, two, three].map(|answer| answer.expect(202).json);
    let ids: Vec<_> = answers.iter().map(|answer| answer["job"]["id"].as_str().unwrap()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(answers.iter().filter(|answer| answer["joined"] == false).count(), 1);
    let other = admin.post("/api/admin/image/rebuild", &json!({ "version": "2026.1.1" })).await;
    assert_eq!((other.status.as_u16(), other.code()), (409, "job_in_progress"));

    // Other jobs run during the build.
    let stuck = ann.remove(&missing.instance).await;
    wait_job(env, &stuck.job, "succeeded").await;
    wait_job_within(env, ids[0], "succeeded", Duration::from_mins(6)).await;

    let built = admin.get("/api/admin/images").await.expect(200).json["items"].clone();
    assert_eq!((built.as_array().unwrap().len(), &built[0]["status"]), (1, &json!("ready")));
    let id = docker::docker(&["image", "inspect", target, "--format", "{{.Id}}"]).await;
    assert_eq!(built[0]["imageId"], id.trim());
    let log = env.row("SELECT log FROM images").await["log"].as_str().unwrap().to_owned();
    assert!(log.contains("npm install") && log.lines().count() > 20, "{log}");
    // An image without is used all the same, so nothing else would show that it is missing.
    assert!(log.contains("The compile cache has "), "{log}");
    assert_eq!(job(env, ids[0]).await["progress"], 100);
    id
}

async fn updated_and_back(env: &TestEnv, ann: &Client, id: &str) {
    let before = ann.instance(id).await;
    assert_eq!((&before["openclawVersion"], &before["updateAvailable"]), (&json!(OLDER), &json!(false)));
    let note = env.data_dir.join(id).join("workspace/note.txt");
    tokio::fs::write(&note, "mine").await.unwrap();

    let update = ann.act(id, "update").await;
    wait_job_within(env, &update.job, "succeeded", Duration::from_mins(8)).await;
    let after = ann.instance(id).await;
    assert_eq!((&after["openclawVersion"], &after["status"]), (&after["latestVersion"], &json!("running")));
    assert_ne!(after["openclawVersion"], OLDER);
    for same in ["port", "gatewayToken", "dashboardUrl", "memoryMb"] {
        assert_eq!(after[same], before[same], "{same}");
    }
    assert_eq!(tokio::fs::read_to_string(&note).await.unwrap(), "mine");
    let (status, page) = http(port(env, id).await, "/").await.expect("the dashboard");
    assert_eq!(status, 200);
    assert!(page.contains("<title>OpenClaw Control"), "{}", &page[..page.len().min(400)]);
    let change = ann.get(&format!("/api/instances/{id}/changes")).await.expect(200).json["items"][0].clone();
    say(&format!("down for {} ms, {} files kept in {} ms", change["downMs"], change["files"], change["durationMs"]));

    // The rollback restores state that only the older release can read.
    let back = ann.act(id, "rollback").await;
    booted(env, &back).await;
    assert_eq!(ann.instance(id).await["openclawVersion"], OLDER);
    assert_eq!(http(port(env, id).await, "/readyz").await.map(|(status, _)| status), Some(200));
}

/// An instance that is deleted while it boots is removed completely.
#[tokio::test]
async fn a_gateway_that_is_deleted_while_it_boots() {
    let env = TestEnv::builder().image(Image::Real).ready(600.0).build().await;
    let ann = env.user("ann").await;
    let made = ann.create("first").await;
    crate::support::wait_step(&env, &made.job, "wait_until_ready").await;
    deleted(&env, &made.instance).await;
    env.finish().await;
}
