//! Usage of instances.

use clawdeploy_shared::db::usage::{self, Measured};
use clawdeploy_tests::{Answer, Client};
use serde_json::{Value, json};

use super::{NO_INSTANCE, Site, bare};

/// A missing measurement is a gap, not zero.
#[tokio::test]
async fn files_that_could_not_be_measured() {
    let site = Site::new().await;
    let made = site.ann.create("first").await;
    let measured = Measured {
        cpu_ns: 1,
        memory_bytes: 2,
        memory_limit_bytes: 3,
        network_rx_bytes: 4,
        network_tx_bytes: 5,
        disk_bytes: None,
        pids: 6,
    };
    let id = made.instance.parse().unwrap();
    usage::note(&mut site.env.db.conn().await.unwrap(), &id, measured).await.unwrap();
    let path = format!("/api/instances/{id}/usage/history");
    let point = site.ann.get(&path).await.expect(200).json["points"][0].clone();
    assert_eq!((&point["diskBytes"], &point["pids"]), (&Value::Null, &json!(6)), "{point}");
    site.env.execute("DELETE FROM instance_usage").await;
    let known = Measured { disk_bytes: Some(0), ..measured };
    usage::note(&mut site.env.db.conn().await.unwrap(), &id, known).await.unwrap();
    assert_eq!(site.ann.get(&path).await.expect(200).json["points"][0]["diskBytes"], 0, "nothing, and known");
    site.ann.post_empty(&format!("/api/jobs/{}/cancel", made.job)).await.expect(202);
    site.env.finish().await;
}

/// A program of the previous release, which uses the former names of the table and of the path.
#[tokio::test]
async fn the_previous_release_uses_the_former_names() {
    let site = Site::new().await;
    let made = site.ann.create("first").await;
    let measured = "date_trunc('minute', now()), 1, 2, 3, 4, 5, 6, 7";
    site.env
        .execute(&format!(
            "INSERT INTO instance_stats (instance_id, at, cpu_ns, memory_bytes, memory_limit_bytes, network_rx_bytes, \
             network_tx_bytes, disk_bytes, pids) SELECT '{}', {measured}",
            made.instance
        ))
        .await;
    let of =
        async |path: &str| site.ann.get(&format!("/api/instances/{}/{path}", made.instance)).await.expect(200).json;
    let points = of("usage/history").await;
    assert_eq!((&points["points"][0]["diskBytes"], &points["points"][0]["pids"]), (&json!(6), &json!(7)), "{points}");
    assert_eq!(of("stats/history").await, points);
    site.env.execute("DELETE FROM instance_stats").await;
    assert_eq!(of("usage/history").await, json!({ "points": [] }));
    site.ann.post_empty(&format!("/api/jobs/{}/cancel", made.job)).await.expect(202);
    site.env.finish().await;
}

/// The summary for lists of instances.
#[tokio::test]
async fn what_several_have_used() {
    let site = Site::new().await;
    let mut jobs = Vec::new();
    for (client, name) in [(&site.ann, "one"), (&site.ann, "two"), (&site.bob, "his")] {
        jobs.push((client, client.create(name).await));
    }
    let ids: Vec<_> = jobs.iter().map(|(_, made)| made.instance.as_str()).collect();
    // Half a core in every minute but one, for more than an hour.
    let point = "date_trunc('minute', now()) - n * interval '1 minute', (100 - n) * 30000000000::bigint, 1000 + n, 0, 0, 0, 0, 0";
    for id in [ids[0], ids[2]] {
        let points = format!("SELECT '{id}', {point} FROM generate_series(0, 90) n WHERE n <> 10");
        site.env.execute(&format!("INSERT INTO instance_usage {points}")).await;
    }
    let asked = |ids: &[&str]| format!("/api/instances/usage?ids={}", ids.join(","));
    let of = async |client: &Client, ids: &[&str]| client.get(&asked(ids)).await.expect(200).json["items"].clone();
    let hers = of(&site.ann, &[&ids[..], &[NO_INSTANCE]].concat()).await;
    assert_eq!(hers.as_array().map(Vec::len), Some(1), "it must contain only her measured instance: {hers}");
    let (cpu, memory) = (hers[0]["cpuPercent"].as_array().unwrap(), hers[0]["memoryBytes"].as_array().unwrap());
    assert_eq!((&hers[0]["id"], cpu.len(), memory.len()), (&json!(ids[0]), 60, 60));
    // A minute may have passed in the meantime.
    let newest = memory.iter().rposition(|bytes| *bytes == json!(1000)).unwrap();
    assert!(newest >= 58, "{memory:?}");
    assert_eq!(
        (&memory[newest - 9], &memory[newest - 10], &memory[0]),
        (&json!(1009), &Value::Null, &json!(1000 + newest))
    );
    assert_eq!((&cpu[newest], &cpu[newest - 9], &cpu[0]), (&json!(50.0), &json!(50.0), &json!(50.0)));
    assert_eq!(of(&site.bob, &ids).await[0]["id"], json!(ids[2]));
    assert_eq!(of(&site.admin, &ids).await, json!([]), "usage is only for the owner");

    let many = vec![ids[0]; 101];
    let get = |client: &Client, path: &str| bare(client, "GET", path);
    let cases = vec![
        ("no token", get(&site.anon, &asked(&ids))),
        ("no ids", get(&site.ann, "/api/instances/usage")),
        ("an empty list", get(&site.ann, &asked(&[]))),
        ("what is no id", get(&site.ann, &asked(&[ids[0], "x"]))),
        ("too many", get(&site.ann, &asked(&many))),
        ("another parameter", get(&site.ann, &format!("{}&hours=2", asked(&ids)))),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    no token: 401 unauthenticated
    no ids: 400 invalid_query ids: required
    an empty list: 400 invalid_query ids: invalid
    what is no id: 400 invalid_query ids: invalid
    too many: 400 invalid_query ids: invalid
    another parameter: 400 invalid_query hours: unknown_field
    ");
    for (client, made) in &jobs {
        client.post_empty(&format!("/api/jobs/{}/cancel", made.job)).await.expect(202);
    }
    site.env.finish().await;
}

#[tokio::test]
async fn refused() {
    let site = Site::new().await;
    let made = site.ann.create("first").await;
    let routes = ["logs", "usage", "usage/history", "stats", "stats/history"];
    for (client, id, want) in [
        (&site.anon, made.instance.as_str(), "401 unauthenticated"),
        (&site.bob, &made.instance, "404 not_found"),
        (&site.admin, &made.instance, "404 not_found"),
        (&site.ann, NO_INSTANCE, "404 not_found"),
        (&site.ann, "x", "400 invalid_path id: invalid"),
    ] {
        let cases = routes.map(|route| (want, bare(client, "GET", &format!("/api/instances/{id}/{route}"))));
        assert_eq!(site.refusals(cases.into()).await, vec![format!("{want}: {want}"); 5].join("\n"));
    }
    let of = async |route: &str| -> Answer { site.ann.get(&format!("/api/instances/{}/{route}", made.instance)).await };
    for name in ["usage", "stats"] {
        assert_eq!(of(name).await.brief(), "409 not_running", "{name}");
        assert_eq!(of(&format!("{name}/history")).await.expect(200).json, json!({ "points": [] }), "{name}");
    }
    assert_eq!(of("logs").await.brief(), "503 no_worker");
    site.ann.post_empty(&format!("/api/jobs/{}/cancel", made.job)).await.expect(202);
    site.env.finish().await;
}
