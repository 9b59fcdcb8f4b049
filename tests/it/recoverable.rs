//! Recoverable instances: deleted ones, and those that a database restored from an older dump does not know.

use std::path::PathBuf;

use clawdeploy_tests::{Client, FakeMode, TestEnv, docker};
use serde_json::{Value, json};

use crate::support::{SOON, deleted, instance, running, wait_job};

fn note(env: &TestEnv, id: &str) -> PathBuf {
    env.data_dir.join(id).join("workspace/note.txt")
}

fn items(answer: &Value) -> &[Value] {
    answer["items"].as_array().unwrap()
}

async fn deleted_of(client: &Client) -> Vec<Value> {
    items(&client.get("/api/instances/deleted").await.expect(200).json).to_vec()
}

async fn recoverable(admin: &Client) -> Vec<Value> {
    items(&admin.get("/api/admin/recoverable-instances").await.expect(200).json).to_vec()
}

/// Runs one pass of the reconciler and returns the findings of a sweep.
async fn pass(env: &TestEnv, admin: &Client, sweep: &str) -> Vec<Value> {
    // Make all sightings old enough for removal.
    env.execute("UPDATE sightings SET first_seen_at = first_seen_at - interval '1 hour'").await;
    let sweeps = admin.post_empty("/api/admin/reconcile").await.expect(200).json;
    let found = items(&sweeps).iter().find(|run| run["name"] == sweep).unwrap();
    assert_eq!(found["error"], Value::Null, "{found}");
    found["findings"].as_array().unwrap().clone()
}

/// Removes an instance from the database, as a restore from an older dump does.
async fn forget(env: &TestEnv, id: &str) {
    env.execute(&format!("DELETE FROM jobs WHERE instance_id = '{id}'")).await;
    env.execute(&format!("DELETE FROM instances WHERE id = '{id}'")).await;
}

#[tokio::test]
async fn what_was_deleted_can_be_taken_back() {
    let env = TestEnv::builder().build().await;
    let (ann, bob) = (env.user("ann").await, env.user("bob").await);
    let made = running(&env, "first").await;
    let before = ann.instance(&made.instance).await;
    tokio::fs::write(note(&env, &made.instance), "mine").await.unwrap();

    deleted(&env, &made.instance).await;
    assert!(!env.data_dir.join(&made.instance).exists());
    let listed = deleted_of(&ann).await;
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!((&listed[0]["id"], &listed[0]["name"]), (&json!(made.instance), &json!("first")));
    assert!(listed[0]["expiresAt"].as_str() > listed[0]["deletedAt"].as_str(), "{listed:?}");
    assert_eq!(deleted_of(&bob).await, Vec::<Value>::new());
    let back = format!("/api/instances/{}/undelete", made.instance);
    assert_eq!(bob.post_empty(&back).await.brief(), "404 not_found");

    // Another instance has the name by now.
    let other = running(&env, "first").await;
    assert_eq!(ann.post_empty(&back).await.brief(), "409 name_taken name: taken");
    let accepted = ann.post(&back, &json!({ "name": "first again" })).await.accepted();
    assert_eq!(accepted.instance, made.instance);
    assert_eq!(ann.post_empty(&back).await.brief(), "404 not_found", "its restore is queued");
    wait_job(&env, &accepted.job, "succeeded").await;
    let after = ann.instance(&made.instance).await;
    assert_eq!((&after["status"], &after["name"]), (&json!("running"), &json!("first again")));
    for same in ["gatewayToken", "createdAt", "channel", "memoryMb", "cpuMillis"] {
        assert_eq!(after[same], before[same], "{same}");
    }
    assert_eq!(std::fs::read_to_string(note(&env, &made.instance)).unwrap(), "mine");
    assert_eq!(deleted_of(&ann).await, Vec::<Value>::new());
    assert_eq!(env.rows("SELECT id FROM recoverable_instances").await, Vec::<Value>::new());
    assert!(!env.data_dir.join(".quarantine").join(&made.instance).exists());
    let told = "SELECT action FROM audit WHERE action = 'instance.undelete'";
    assert_eq!(env.rows(told).await.len(), 1);

    // An expired one is removed, by the database's clock, and cannot be restored.
    deleted(&env, &made.instance).await;
    deleted(&env, &other.instance).await;
    let expired = format!("WHERE id = '{}'", made.instance);
    env.execute(&format!("UPDATE recoverable_instances SET expires_at = now() - interval '1 second' {expired}")).await;
    assert_eq!(ann.post_empty(&back).await.brief(), "404 not_found");
    let admin = env.admin().await;
    pass(&env, &admin, "directories").await;
    assert!(!env.data_dir.join(".quarantine").join(&made.instance).exists());
    let left: Vec<_> = recoverable(&admin).await.iter().map(|row| row["id"].clone()).collect();
    assert_eq!(left, [json!(other.instance)]);
    // An administrator purges the other one.
    let row = format!("/api/admin/recoverable-instances/{}", other.instance);
    assert!(admin.delete(&row).await.expect(202).json["purgeRequestedAt"].is_string());
    assert_eq!(ann.post_empty(&format!("/api/instances/{}/undelete", other.instance)).await.brief(), "404 not_found");
    pass(&env, &admin, "directories").await;
    assert!(!env.data_dir.join(".quarantine").join(&other.instance).exists());
    assert_eq!(admin.delete(&row).await.brief(), "404 not_found");
    // The owner sees it in the audit log.
    let told = ann.get("/api/audit").await.expect(200).json;
    let purged = items(&told).iter().filter(|entry| entry["action"] == "instance.purged").count();
    assert_eq!(purged, 2, "{told}");
    env.finish().await;
}

#[tokio::test]
async fn what_an_older_database_does_not_know_stays_and_is_adopted() {
    let env = TestEnv::builder().build().await;
    let (ann, admin) = (env.user("ann").await, env.admin().await);
    let known = running(&env, "known").await;
    let made = running(&env, "newer").await;
    let before = ann.instance(&made.instance).await;
    tokio::fs::write(note(&env, &made.instance), "mine").await.unwrap();
    let snapshot = env.data_dir.join(".snapshots").join(&made.instance).join("0193a7c0-0000-7000-8000-000000000000");
    std::fs::create_dir_all(&snapshot).unwrap();
    let trash = env.data_dir.join(".trash").join(format!("{}-0011", made.instance));
    std::fs::create_dir(&trash).unwrap();

    forget(&env, &made.instance).await;
    for _ in 0..3 {
        let found = pass(&env, &admin, "directories").await;
        assert!(snapshot.is_dir() && trash.is_dir(), "snapshots and trash of an unknown instance went");
        assert!(note(&env, &made.instance).is_file(), "files of an unknown instance went");
        assert!(docker::exists(&format!("claw-{}", made.instance)).await, "a container of an unknown instance went");
        let code = "directory_without_instance";
        assert!(found.iter().any(|f| f["code"] == code && f["action"] == "reported"), "{found:?}");
    }
    let world = env.world().await;
    assert_eq!(world.containers_of(&made.instance)[0].state, "running", "it is left running");
    let listed = recoverable(&admin).await;
    assert_eq!(listed.len(), 1, "{listed:?}");
    let row = json!({ "id": made.instance, "name": "newer", "state": "unclaimed", "ownerEmail": "ann@test.example" });
    for (field, value) in row.as_object().unwrap() {
        assert_eq!(&listed[0][field], value, "{listed:?}");
    }
    assert_eq!((&listed[0]["expiresAt"], &listed[0]["purgeRequestedAt"]), (&Value::Null, &Value::Null));
    assert!(listed[0]["bytes"].as_i64() > Some(0), "it was not measured: {listed:?}");
    // The owner cannot restore it: an administrator decides who the owner is.
    assert_eq!(deleted_of(&ann).await, Vec::<Value>::new());
    assert_eq!(ann.post_empty(&format!("/api/instances/{}/undelete", made.instance)).await.brief(), "404 not_found");

    let restore = format!("/api/admin/recoverable-instances/{}/restore", made.instance);
    let nobody = json!({ "ownerId": "0193a7c0-0000-7000-8000-000000000000" });
    let refused = admin.post(&restore, &nobody).await.expect(422);
    assert_eq!(refused.json["errors"][0]["field"], "ownerId");
    let accepted = admin.post_empty(&restore).await.accepted();
    let purge = admin.delete(&format!("/api/admin/recoverable-instances/{}", made.instance)).await;
    assert_eq!(purge.status.as_u16(), 409, "{}", purge.text);
    wait_job(&env, &accepted.job, "succeeded").await;
    let after = ann.instance(&made.instance).await;
    for same in ["status", "name", "gatewayToken", "createdAt", "memoryMb", "cpuMillis"] {
        assert_eq!(after[same], before[same], "{same}");
    }
    assert_eq!(std::fs::read_to_string(note(&env, &made.instance)).unwrap(), "mine");
    assert_eq!(recoverable(&admin).await, Vec::<Value>::new());
    assert_eq!(instance(&env, &known.instance).await["status"], "running");
    // The database knows the instance again, so its trash is removed. The snapshot has no row and stays.
    assert!(snapshot.is_dir());
    std::fs::remove_dir(&snapshot).unwrap();
    env.finish().await;
}

/// Without a manifest, the token comes from `openclaw.json`, and an administrator names the owner.
#[tokio::test]
async fn without_a_manifest_the_token_stays() {
    let env = TestEnv::builder().build().await;
    let (ann, admin) = (env.user("ann").await, env.admin().await);
    let made = running(&env, "first").await;
    let before = ann.instance(&made.instance).await;
    let manifest = env.data_dir.join(&made.instance).join("instance.json");
    assert!(!std::fs::read_to_string(&manifest).unwrap().contains(before["gatewayToken"].as_str().unwrap()));
    forget(&env, &made.instance).await;
    std::fs::remove_file(&manifest).unwrap();
    pass(&env, &admin, "directories").await;
    let restore = format!("/api/admin/recoverable-instances/{}/restore", made.instance);
    assert_eq!(admin.post_empty(&restore).await.brief(), "422 validation_failed ownerId: required");
    let body = json!({ "ownerId": before["ownerId"], "name": "found" });
    let accepted = admin.post(&restore, &body).await.accepted();
    wait_job(&env, &accepted.job, "succeeded").await;
    let after = ann.instance(&made.instance).await;
    assert_eq!((&after["gatewayToken"], &after["name"]), (&before["gatewayToken"], &json!("found")));
    // The manifest is written again.
    env.wait_for("the manifest", SOON, async || manifest.is_file().then_some(())).await;
    env.finish().await;
}

/// If an instance's container is gone, its start provisions it again. If that fails, its files stay.
#[tokio::test]
async fn a_provision_that_fails_takes_no_older_files() {
    let env = TestEnv::builder().build().await;
    let made = running(&env, "first").await;
    tokio::fs::write(note(&env, &made.instance), "mine").await.unwrap();
    crate::support::done(&env, &made.instance, "stop").await;
    let container = format!("claw-{}", made.instance);
    docker::docker(&["rm", "--force", &container]).await;
    // As after a start that found its port taken.
    let lost = "status = 'error', error_code = 'port_taken', container_id = NULL";
    env.execute(&format!("UPDATE instances SET {lost} WHERE id = '{}'", made.instance)).await;
    // A foreign container has its name, so all attempts fail.
    docker::docker(&["create", "--name", &container, &FakeMode::Ok.image(), "node"]).await;
    let job = env.user("ann").await.act(&made.instance, "start").await.job;
    let ended = wait_job(&env, &job, "failed").await;
    assert_eq!(ended["kind"], "provision", "{ended}");
    assert_eq!(std::fs::read_to_string(note(&env, &made.instance)).unwrap(), "mine");
    docker::docker(&["rm", "--force", &container]).await;
    crate::support::done(&env, &made.instance, "start").await;
    env.finish().await;
}
