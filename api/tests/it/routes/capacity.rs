//! Admission by the memory of the host. Without workers, a row stands in for what one tells of its host.

use serde_json::{Value, json};

use super::{NO_INSTANCE, Site, with};

/// A host with 5 GiB, of which 1 GiB is its own: two instances of 2 GiB.
const HOST_MB: i64 = 5120;

async fn site(settings: &[(&str, &str)]) -> Site {
    let usual = [("CLAWDEPLOY_MEMORY_OVERCOMMIT", "1"), ("CLAWDEPLOY_RESERVED_MEMORY_MB", "1024")];
    let usual = usual.into_iter().filter(|(name, _)| settings.iter().all(|(other, _)| other != name));
    let settings: Vec<_> = usual.chain(settings.iter().copied()).collect();
    let site = Site::with(&settings).await;
    tell(&site, HOST_MB).await;
    site
}

/// Says how much memory the host has.
async fn tell(site: &Site, memory_mb: i64) {
    let sql = format!(
        "INSERT INTO workers (id, host, pid, version, queues, concurrency, running, heartbeat_at, memory_mb) \
         VALUES ('w', 'h', 1, '0', '{{}}', 0, 0, now() - interval '1 hour', {memory_mb}) \
         ON CONFLICT (id) DO UPDATE SET memory_mb = excluded.memory_mb"
    );
    site.env.execute(&sql).await;
}

/// Ends the open jobs as if a worker had done them: what is to run runs, and the others are stopped.
async fn done(site: &Site) {
    site.env.execute("UPDATE jobs SET status = 'succeeded', finished_at = now() WHERE status = 'queued'").await;
    let sql = "UPDATE instances SET container_id = 'c' || id, image_id = 'i', status = CASE desired_state WHEN 'running' \
               THEN 'running' ELSE 'stopped' END";
    site.env.execute(sql).await;
}

async fn capacity(site: &Site) -> Value {
    site.admin.get("/api/admin/capacity").await.expect(200).json
}

/// The rows have no containers.
async fn finish(site: Site) {
    site.env.execute("TRUNCATE instances, jobs, snapshots, recoverable_instances CASCADE").await;
    site.env.finish().await;
}

#[tokio::test]
async fn what_does_not_fit_is_refused_and_says_what_would_help() {
    let site = site(&[]).await;
    let first = site.ann.create_with(&json!({ "name": "first", "memoryMb": 2048 })).await;
    site.bob.create_with(&json!({ "name": "of somebody else", "memoryMb": 1536 })).await;
    done(&site).await;
    let form = |memory: i64| json!({ "name": "more", "memoryMb": memory });
    let path = format!("/api/instances/{}", first.instance);
    let cases = vec![
        ("a new one", with(&site.ann, "POST", "/api/instances", &form(1536))),
        ("of an administrator", with(&site.admin, "POST", "/api/instances", &form(1536))),
        ("more for one that runs", with(&site.ann, "PATCH", &path, &json!({ "memoryMb": 2561 }))),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    a new one: 409 host_full memoryMb: host_full
    of an administrator: 409 host_full memoryMb: host_full
    more for one that runs: 409 host_full memoryMb: host_full
    ");
    let refused = site.ann.post("/api/instances", &form(1536)).await;
    insta::assert_snapshot!(
        refused.json["detail"].as_str().unwrap(),
        @"The server has 512 MiB of memory left for running instances, and this one needs 1536 MiB. Stop an instance that you do not need, or ask an administrator for more room."
    );
    insta::assert_snapshot!(
        refused.json["errors"],
        @r#"[{"code":"host_full","field":"memoryMb","message":"is more than the server has left","most":512}]"#
    );
    // What fits is accepted, and counts from then on, though it is only pending.
    site.ann.patch(&path, &json!({ "memoryMb": 2560 })).await.expect(200);
    assert_eq!(capacity(&site).await["promisedMb"], 4096);
    site.ann.patch(&path, &json!({ "memoryMb": 1536, "cpuMillis": 500 })).await.expect(200);
    finish(site).await;
}

#[tokio::test]
async fn what_is_stopped_takes_no_memory_and_needs_it_again() {
    let site = site(&[]).await;
    let first = site.ann.create_with(&json!({ "name": "first", "memoryMb": 2048 })).await;
    let second = site.ann.create_with(&json!({ "name": "second", "memoryMb": 2048 })).await;
    done(&site).await;
    let first = format!("/api/instances/{}", first.instance);
    let second = format!("/api/instances/{}", second.instance);
    // It counts until it has stopped.
    site.ann.post_empty(&format!("{second}/stop")).await.expect(202);
    let third = json!({ "name": "third", "memoryMb": 2048 });
    assert_eq!(site.ann.post("/api/instances", &third).await.code(), "host_full");
    done(&site).await;
    let third = site.ann.post("/api/instances", &third).await.accepted();
    done(&site).await;
    let cases = vec![("start", with(&site.ann, "POST", &format!("{second}/start"), &json!({})))];
    insta::assert_snapshot!(site.refusals(cases).await, @"start: 409 host_full");
    // A limit of a stopped one may grow: it is looked at when it starts.
    site.ann.patch(&second, &json!({ "memoryMb": 4096 })).await.expect(200);
    // What runs can be restarted and started again, however full the host is.
    tell(&site, 2048).await;
    site.ann.post_empty(&format!("{first}/restart")).await.expect(202);
    done(&site).await;
    site.env
        .execute("UPDATE instances SET status = 'error', error_code = 'x', error_message = 'y' WHERE name = 'first'")
        .await;
    site.ann.post_empty(&format!("{first}/start")).await.expect(202);
    done(&site).await;
    tell(&site, HOST_MB).await;
    site.ann.patch(&second, &json!({ "memoryMb": 2048 })).await.expect(200);
    site.ann.delete(&format!("/api/instances/{}", third.instance)).await.expect(202);
    assert_eq!(site.ann.post_empty(&format!("{second}/start")).await.code(), "host_full", "it still runs");
    site.env.execute("DELETE FROM jobs").await;
    site.env.execute("DELETE FROM instances WHERE name = 'third'").await;
    site.ann.post_empty(&format!("{second}/start")).await.expect(202);
    finish(site).await;
}

/// A retry of a job that starts an instance, and a restore, are admitted like a start.
#[tokio::test]
async fn no_other_way_leads_past_it() {
    let site = site(&[]).await;
    let made = site.ann.create_with(&json!({ "name": "first", "memoryMb": 3072 })).await;
    let dead = "UPDATE jobs SET status = 'failed', finished_at = now(), error_code = 'x', error_message = 'y'";
    site.env.execute(dead).await;
    site.env.execute("UPDATE instances SET status = 'stopped', desired_state = 'stopped', container_id = 'c'").await;
    site.ann.create_with(&json!({ "name": "second", "memoryMb": 2048 })).await;
    let sql = format!(
        "INSERT INTO recoverable_instances (id, state, owner_id, owner_email, name, reason, since, expires_at) \
         SELECT '{NO_INSTANCE}', 'deleted', owner_id, 'a@b.example', 'gone', 'For a test.', now(), now() + interval '1 day' \
         FROM instances WHERE id = '{}'",
        made.instance
    );
    site.env.execute(&sql).await;
    tell(&site, HOST_MB - 1024).await;
    let cases = vec![
        ("retry", with(&site.admin, "POST", &format!("/api/admin/jobs/{}/retry", made.job), &json!({}))),
        ("undelete", with(&site.ann, "POST", &format!("/api/instances/{NO_INSTANCE}/undelete"), &json!({}))),
        (
            "restore",
            with(&site.admin, "POST", &format!("/api/admin/recoverable-instances/{NO_INSTANCE}/restore"), &json!({})),
        ),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    retry: 409 host_full
    undelete: 409 host_full
    restore: 409 host_full
    ");
    finish(site).await;
}

/// Processes do not know of each other's requests: the database admits them one after the other.
#[tokio::test]
async fn of_a_burst_exactly_as_many_are_admitted_as_fit() {
    let mut site = site(&[("CLAWDEPLOY_MAX_INSTANCES_PER_USER", "1000")]).await;
    tell(&site, 1024 + 20 * 1536).await;
    let other = site.env.start_another().await;
    let mut asked = Vec::new();
    for n in 0..100 {
        let client = if n % 2 == 0 { site.ann.clone() } else { site.bob.at(&other) };
        let form = json!({ "name": format!("n{n}"), "memoryMb": 1536 });
        asked.push(tokio::spawn(async move { client.post("/api/instances", &form).await }));
    }
    let (mut admitted, mut refused) = (0, 0);
    for one in asked {
        let answer = one.await.unwrap();
        if answer.status.as_u16() == 202 {
            admitted += 1;
        } else {
            assert_eq!(answer.code(), "host_full", "{}", answer.text);
            refused += 1;
        }
    }
    assert_eq!((admitted, refused), (20, 80));
    finish(site).await;
}

#[tokio::test]
async fn an_administrator_sees_how_full_the_host_is() {
    let site = site(&[]).await;
    insta::assert_snapshot!(capacity(&site).await, @r#"{"asleep":0,"freeMb":4096,"fullAt":null,"growthMbPerDay":0.0,"instances":0,"limitMb":4096,"memoryMb":5120,"promisedMb":0,"reservedMb":1024,"usedMb":null,"warmPool":null}"#);
    site.ann.create_with(&json!({ "name": "first", "memoryMb": 2048 })).await;
    site.env
        .execute(
            "INSERT INTO instance_usage SELECT id, date_trunc('minute', now()) - n * interval '1 minute', 0, (300 - n) << 20, \
               1 << 30, 0, 0, 0, 1, true FROM instances, generate_series(0, 10) n",
        )
        .await;
    done(&site).await;
    let mut now = capacity(&site).await;
    // At 2 GiB each day, there is one day left.
    assert!(now["fullAt"].take().is_string());
    insta::assert_snapshot!(now, @r#"{"asleep":0,"freeMb":2048,"fullAt":null,"growthMbPerDay":2048.0,"instances":1,"limitMb":4096,"memoryMb":5120,"promisedMb":2048,"reservedMb":1024,"usedMb":300,"warmPool":null}"#);
    finish(site).await;
}

#[tokio::test]
async fn nothing_is_refused_where_memory_is_not_known_or_not_limited() {
    let unknown = Site::new().await;
    let seen = capacity(&unknown).await;
    assert_eq!((&seen["memoryMb"], &seen["limitMb"], &seen["freeMb"]), (&Value::Null, &Value::Null, &Value::Null));
    unknown.ann.create_with(&json!({ "name": "first", "memoryMb": 16_384 })).await;
    finish(unknown).await;
    let unlimited = site(&[("CLAWDEPLOY_MEMORY_OVERCOMMIT", "0")]).await;
    unlimited.ann.create_with(&json!({ "name": "first", "memoryMb": 16_384 })).await;
    let seen = capacity(&unlimited).await;
    assert_eq!((&seen["memoryMb"], &seen["limitMb"]), (&json!(HOST_MB), &Value::Null));
    assert_eq!(seen["promisedMb"], 16_384);
    finish(unlimited).await;
}
