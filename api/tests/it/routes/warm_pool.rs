//! Creations that take a warm instance. Without workers, rows stand in for what they make.

use std::collections::BTreeSet;

use diesel_async::SimpleAsyncConnection as _;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{NO_INSTANCE, Site};

/// Adds warm instances that are ready, and returns their ids.
async fn warm(site: &Site, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..count {
        let row = site.env.row("SELECT 'w' || left(replace(gen_random_uuid()::text, '-', ''), 11) AS id").await;
        let id = row["id"].as_str().unwrap().to_owned();
        site.env
            .execute(&format!(
                "WITH made AS (INSERT INTO instances (id, owner_id, name, desired_state, status, gateway_token_sealed, memory_mb, \
                   cpu_millis, container_id, image_id) VALUES ('{id}', NULL, 'warm', 'running', 'pending', 'sealed', 2048, 1000, \
                   'c-{id}', 'i') RETURNING id) \
                 INSERT INTO warm_instances (instance_id, warmed_by, ready_at) SELECT id, gen_random_uuid(), now() FROM made"
            ))
            .await;
        ids.push(id);
    }
    ids
}

async fn on(site: &Site) {
    site.env.execute("INSERT INTO warm_pool (wanted) VALUES (1)").await;
}

async fn pool(site: &Site) -> Value {
    site.admin.get("/api/admin/capacity").await.expect(200).json["warmPool"].clone()
}

async fn finish(site: Site) {
    site.env.execute("TRUNCATE instances, jobs, snapshots, recoverable_instances CASCADE").await;
    site.env.finish().await;
}

#[tokio::test]
async fn a_creation_takes_what_fits_and_seals_its_own_settings() {
    let site = Site::new().await;
    on(&site).await;
    let ids = warm(&site, 1).await;
    let larger = site.ann.create_with(&json!({ "name": "larger", "memoryMb": 4096 })).await;
    assert_ne!(larger.instance, ids[0], "its memory limit is another one");
    let body = json!({ "name": "mine", "channel": "telegram", "botToken": "123456789:canary-AAbbCCddEEffGGhhIIjjKKllMMnnOO", "cpuMillis": 500 });
    let made = site.bob.create_with(&body).await;
    assert_eq!(made.instance, ids[0]);
    let shown = site.bob.instance(&made.instance).await;
    let told = ["name", "status", "channel", "cpuMillis", "memoryMb"].map(|field| shown[field].clone());
    assert_eq!(told, [json!("mine"), json!("pending"), json!("telegram"), json!(500), json!(2048)]);
    let row = site.env.row(&format!("SELECT * FROM instances WHERE id = '{}'", ids[0])).await;
    assert!(row["bot_token_sealed"].is_string() && row["owner_id"] == shown["ownerId"], "{row}");
    let job = site.env.row(&format!("SELECT * FROM jobs WHERE instance_id = '{}'", ids[0])).await;
    assert_eq!((&job["kind"], &job["owner_id"]), (&json!("provision"), &row["owner_id"]));
    let entry =
        site.env.row("SELECT * FROM audit WHERE action = 'instance.create' AND detail @> '{\"warm\": true}'").await;
    assert_eq!((&entry["target_id"], &entry["owner_id"]), (&json!(ids[0]), &row["owner_id"]));
    let told = pool(&site).await;
    assert_eq!((&told["taken"], &told["missed"], &told["ready"]), (&json!(1), &json!(1), &json!(0)));
    finish(site).await;
}

#[tokio::test]
async fn what_is_refused_takes_none() {
    let site = Site::with(&[("CLAWDEPLOY_MAX_INSTANCES_PER_USER", "1")]).await;
    on(&site).await;
    warm(&site, 1).await;
    site.ann.create("first").await;
    warm(&site, 1).await;
    let again = site.ann.post("/api/instances", &json!({ "name": "second" })).await.expect(409);
    assert_eq!(again.code(), "instance_limit");
    let taken = site.admin.post("/api/instances", &json!({ "name": "of the administrator" })).await.expect(202);
    let id = taken.json["instance"]["id"].as_str().unwrap();
    // The same request once more is answered with the same instance, and takes no other.
    warm(&site, 1).await;
    let keyed = |name: &str| {
        let request = site.admin.request(reqwest::Method::POST, "/api/instances");
        site.admin.send(request.header("idempotency-key", "once").json(&json!({ "name": name })))
    };
    let (first, second) = (keyed("keyed").await.expect(202), keyed("keyed").await.expect(202));
    assert_eq!(first.json["instance"]["id"], second.json["instance"]["id"]);
    assert_ne!(first.json["instance"]["id"], id);
    // A name that is taken already is refused as ever, and the warm instance stays.
    warm(&site, 1).await;
    let before = site.env.rows("SELECT id FROM instances WHERE owner_id IS NULL").await;
    site.admin.post("/api/instances", &json!({ "name": "keyed" })).await.expect(409);
    assert_eq!(site.env.rows("SELECT id FROM instances WHERE owner_id IS NULL").await, before);
    finish(site).await;
}

/// No two creations get the same one, and what finds none is made anew.
#[tokio::test]
async fn a_burst_shares_what_there_is() {
    let site = Site::new().await;
    on(&site).await;
    let ids: BTreeSet<String> = warm(&site, 3).await.into_iter().collect();
    let asked = (0..8).flat_map(|n| [(&site.ann, n), (&site.bob, n)]);
    let made = join_all(asked.map(async |(who, n)| who.create(&format!("number {n}")).await.instance)).await;
    let all: BTreeSet<&String> = made.iter().collect();
    assert_eq!(all.len(), 16, "each has one of its own");
    assert_eq!(made.iter().filter(|id| ids.contains(*id)).count(), 3);
    let told = pool(&site).await;
    assert_eq!((&told["taken"], &told["missed"]), (&json!(3), &json!(13)));
    finish(site).await;
}

#[tokio::test]
async fn nobody_sees_one_that_belongs_to_nobody() {
    let site = Site::new().await;
    on(&site).await;
    let id = warm(&site, 1).await.remove(0);
    for who in [&site.ann, &site.admin] {
        assert_eq!(who.get("/api/instances").await.expect(200).json["items"], json!([]));
        for path in [format!("/api/instances/{id}"), format!("/api/instances/{id}/jobs")] {
            assert_eq!(who.get(&path).await.expect(404).code(), who.get(&path.replace(&id, NO_INSTANCE)).await.code());
        }
        who.post_empty(&format!("/api/instances/{id}/stop")).await.expect(404);
        who.delete(&format!("/api/instances/{id}")).await.expect(404);
    }
    assert_eq!(site.admin.get("/api/admin/instances").await.expect(200).json["items"], json!([]));
    assert_eq!(site.admin.get("/api/admin/instances?q=warm").await.expect(200).json["items"], json!([]));
    let capacity = site.admin.get("/api/admin/capacity").await.expect(200).json;
    assert_eq!((&capacity["promisedMb"], &capacity["instances"]), (&json!(0), &json!(0)));
    assert_eq!((&capacity["warmPool"]["ready"], &capacity["warmPool"]["memoryMb"]), (&json!(1), &json!(2048)));
    let row = site.env.row("SELECT status, owner_id FROM instances").await;
    assert_eq!(row, json!({ "status": "pending", "owner_id": null }));
    // Nor can anything but a creation turn it into something else.
    let sql = format!("UPDATE instances SET status = 'running' WHERE id = '{id}'");
    let changed = site.env.connect().await.batch_execute(&sql).await;
    assert!(changed.is_err(), "one that belongs to nobody can only be pending");
    finish(site).await;
}

/// One that is being made, removed or was never ready is not to be had.
#[tokio::test]
async fn only_one_that_is_ready_is_taken() {
    let site = Site::new().await;
    let ids = warm(&site, 3).await;
    site.env.execute(&format!("UPDATE warm_instances SET ready_at = NULL WHERE instance_id = '{}'", ids[0])).await;
    for (id, kind) in [(&ids[1], "warm_up"), (&ids[2], "discard")] {
        site.env
            .execute(&format!(
                "INSERT INTO jobs (id, kind, queue, instance_id) VALUES (gen_random_uuid(), '{kind}', 'warm', '{id}')"
            ))
            .await;
    }
    let made = site.ann.create("first").await;
    assert!(!ids.contains(&made.instance));
    assert_eq!(pool(&site).await, Value::Null, "no worker looks after the pool");
    let counted = site.env.rows("SELECT * FROM warm_pool_days").await;
    assert_eq!(counted, Vec::<Value>::new(), "what finds the pool off has not missed it");
    finish(site).await;
}
