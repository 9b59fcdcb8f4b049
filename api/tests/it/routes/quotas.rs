//! Quotas of users.

use serde_json::{Value, json};

use super::{Site, with};

async fn set(site: &Site, name: &str, quotas: Value) {
    let row = site.env.row(&format!("SELECT id FROM users WHERE email = '{name}@test.example'")).await;
    let path = format!("/api/admin/users/{}", row["id"].as_str().unwrap());
    site.admin.patch(&path, &json!({ "quotas": quotas })).await.expect(200);
}

#[tokio::test]
async fn memory_and_cpu_of_all_instances_together() {
    let site = Site::new().await;
    set(&site, "ann", json!({ "memoryMb": 4096, "cpuMillis": 2000 })).await;
    let first = site.ann.create_with(&json!({ "name": "first", "memoryMb": 2048, "cpuMillis": 1000 })).await;
    let path = format!("/api/instances/{}", first.instance);
    let make = |memory: i64, cpu: i64| {
        let form = json!({ "name": "second", "memoryMb": memory, "cpuMillis": cpu });
        with(&site.ann, "POST", "/api/instances", &form)
    };
    let cases = vec![
        ("too much memory", make(2049, 1000)),
        ("too much CPU", make(2048, 1001)),
        ("more for the first", with(&site.ann, "PATCH", &path, &json!({ "memoryMb": 4097 }))),
        ("by an administrator", with(&site.admin, "PATCH", &path, &json!({ "cpuMillis": 2001 }))),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    too much memory: 409 quota_exceeded memoryMb: quota_exceeded
    too much CPU: 409 quota_exceeded cpuMillis: quota_exceeded
    more for the first: 409 quota_exceeded memoryMb: quota_exceeded
    by an administrator: 409 quota_exceeded cpuMillis: quota_exceeded
    ");
    let refused = site.ann.send(make(2049, 1000)).await;
    insta::assert_snapshot!(
        refused.json["detail"].as_str().unwrap(),
        @"The instances of one account may have 4096 MiB of memory in total. The others have 2048, which leaves 2048 for this one."
    );
    insta::assert_snapshot!(
        refused.json["errors"],
        @r#"[{"code":"quota_exceeded","field":"memoryMb","message":"exceeds the remaining quota","most":2048}]"#
    );
    // Pending settings count too.
    site.ann.patch(&path, &json!({ "memoryMb": 2560 })).await.expect(200);
    assert_eq!(site.ann.send(make(2048, 1000)).await.brief(), "409 quota_exceeded memoryMb: quota_exceeded");
    let second = site.ann.send(make(1536, 1000)).await.accepted();
    for job in [&first.job, &second.job] {
        site.ann.post_empty(&format!("/api/jobs/{job}/cancel")).await.expect(202);
    }
    site.env.finish().await;
}

/// After an instance was shrunk and another one created, a rollback must not exceed the quota.
#[tokio::test]
async fn a_rollback_does_not_lead_past_the_quota() {
    let site = Site::new().await;
    set(&site, "ann", json!({ "memoryMb": 4096 })).await;
    let first = site.ann.create_with(&json!({ "name": "first", "memoryMb": 1536 })).await;
    let id = &first.instance;
    site.ann.post_empty(&format!("/api/jobs/{}/cancel", first.job)).await.expect(202);
    // A snapshot from before it was shrunk from 3072 MiB.
    let change = "INSERT INTO snapshots (id, instance_id, job_id, reason, status, was_running, from_image, from_settings, to_image, \
                  to_settings, files, expires_at) SELECT gen_random_uuid(), id, gen_random_uuid(), 'settings', 'kept', false, 'a', \
                  settings || '{\"memoryMb\": 3072}', 'a', settings, 1, now() + interval '1 day' FROM instances, \
                  jsonb_build_object('memoryMb', memory_mb, 'cpuMillis', cpu_millis, 'channel', channel, 'aiProvider', ai_provider) settings";
    site.env.execute(change).await;
    site.env.execute("UPDATE instances SET status = 'stopped', container_id = 'c', image_id = 'a'").await;
    let back = format!("/api/instances/{id}/rollback");
    let second = site.ann.create_with(&json!({ "name": "second", "memoryMb": 2048 })).await;
    assert_eq!(site.ann.post_empty(&back).await.brief(), "409 quota_exceeded memoryMb: quota_exceeded");
    site.ann.post_empty(&format!("/api/jobs/{}/cancel", second.job)).await.expect(202);
    site.env.execute("DELETE FROM instances WHERE name = 'second'").await;

    // A rollback within the quota is accepted, and its limits count from then on.
    site.ann.post_empty(&back).await.expect(202);
    let third = json!({ "name": "third", "memoryMb": 1536 });
    let refused = site.ann.post("/api/instances", &third).await.brief();
    assert_eq!(refused, "409 quota_exceeded memoryMb: quota_exceeded");
    // The rows have no containers, and no worker would end the job.
    site.env.execute("TRUNCATE instances, jobs CASCADE").await;
    site.env.finish().await;
}

#[tokio::test]
async fn of_many_creations_at_once_no_more_than_allowed_pass() {
    let site = Site::with(&[("CLAWDEPLOY_MAX_MEMORY_MB_PER_USER", "6144")]).await;
    set(&site, "bob", json!({ "instances": 1 })).await;
    let ask = async |client: &clawdeploy_tests::Client| {
        let mut asked = Vec::new();
        for n in 0..8 {
            let client = client.clone();
            let form = json!({ "name": format!("n{n}"), "memoryMb": 2048 });
            asked.push(tokio::spawn(async move { client.post("/api/instances", &form).await }));
        }
        let mut made = Vec::new();
        for one in asked {
            let answer = one.await.unwrap();
            if answer.status.as_u16() == 202 {
                made.push(answer.json["job"]["id"].as_str().unwrap().to_owned());
            } else {
                assert_eq!(answer.status.as_u16(), 409, "{}", answer.text);
            }
        }
        made
    };
    for (client, allowed) in [(&site.ann, 3), (&site.bob, 1), (&site.admin, 8)] {
        let made = ask(client).await;
        assert_eq!(made.len(), allowed);
        for job in made {
            client.post_empty(&format!("/api/jobs/{job}/cancel")).await.expect(202);
        }
    }
    site.env.finish().await;
}
