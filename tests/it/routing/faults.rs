//! nginx refuses the map, hangs or is down; a worker dies between the file and the reload.

use std::time::Duration;

use clawdeploy_tests::{TestEnv, WorkerOptions};

use super::{behind, report};
use crate::support::{done, port, running, wait_job, wait_job_within};

/// A reload that hangs is given up after ten seconds.
const LONG: Duration = Duration::from_mins(1);

/// N1: nginx refuses the line of one instance.
#[tokio::test]
async fn a_line_that_nginx_refuses_is_set_aside() {
    let (env, nginx) = behind(TestEnv::builder()).await;
    let good = running(&env, "first").await;
    // The id is known only after creation, so the line is refused from then on.
    let bad = running(&env, "second").await;
    let refuse = format!(
        "map=$(sed -n 's/.*include \"\\(.*\\)\";/\\1/p' \"${{@: -1}}\")\n\
         if grep -q '{}' \"$map\"; then echo 'refused for a test' >&2; exit 1; fi",
        bad.instance
    );
    nginx.script("try", &refuse);
    let next = running(&env, "third").await;
    let told = async || report(&env).await.contains("refused for a test").then_some(());
    env.wait_for("the sweep to report it", LONG, told).await;
    assert!(!nginx.map_text().contains(&bad.instance), "{}", nginx.map_text());
    // Its requests are held for a moment, and passed on.
    for made in [&good, &next, &bad] {
        assert_eq!(nginx.open(&made.instance).await.status, 200, "{}", nginx.map_text());
    }
    nginx.script("try", "");
    let back = async || nginx.map_text().contains(&bad.instance).then_some(());
    env.wait_for("the instance to be routed again", LONG, back).await;
    assert_eq!(nginx.open(&bad.instance).await.status, 200);
    env.finish().await;
}

/// N2, N3, N4: nginx is down, hangs, or cannot be reloaded.
#[tokio::test]
async fn jobs_end_without_nginx_and_routes_come_later() {
    let (env, mut nginx) = behind(TestEnv::builder()).await;
    let old = running(&env, "old").await;
    for (fault, lines) in [("refused", "echo 'not for you' >&2; exit 1"), ("hangs", "exec sleep 30")] {
        nginx.script("reload", lines);
        let made = env.user("ann").await.create(fault).await;
        wait_job_within(&env, &made.job, "succeeded", LONG).await;
        let told = async || report(&env).await.contains("route_pending").then_some(());
        env.wait_for("the sweep to report it", LONG, told).await;
        assert_eq!(nginx.open(&made.instance).await.status, 200, "{fault}: its requests are held and passed on");
        assert_eq!(nginx.open(&old.instance).await.status, 200, "{fault}: the others still work");
        nginx.script("reload", "");
        let routed = async || (!report(&env).await.contains("route_pending")).then_some(());
        env.wait_for("the route", LONG, routed).await;
    }

    // The port of a deleted instance is not given to another one while nginx may still use it.
    nginx.script("reload", "exit 1");
    let held = port(&env, &old.instance).await;
    let delete = env.user("ann").await.remove(&old.instance).await;
    wait_job_within(&env, &delete.job, "succeeded", LONG).await;
    let row =
        env.row(&format!("SELECT instance_id, refused_until > now() AS refused FROM ports WHERE port = {held}")).await;
    assert_eq!((row["instance_id"].is_null(), &row["refused"]), (true, &true.into()), "{row}");
    nginx.script("reload", "");

    nginx.stop().await;
    let made = env.user("ann").await.create("without").await;
    wait_job_within(&env, &made.job, "succeeded", LONG).await;
    nginx.start_again().await;
    assert_eq!(nginx.open(&made.instance).await.status, 200, "it must start with the newest file");
    done(&env, &made.instance, "stop").await;
    assert_eq!(nginx.open(&made.instance).await.status, 503);
    env.finish().await;
}

/// N5: a worker dies before or after the new file is put in place or nginx is reloaded.
#[tokio::test]
async fn a_worker_that_dies_on_the_way_leaves_a_whole_file() {
    for point in ["map.written", "map.renamed", "reload.before", "reload.after"] {
        let (env, nginx) = behind(TestEnv::builder().workers(0).lease(4.0)).await;
        let dying = env.start_worker(&WorkerOptions::failpoints(&format!("nginx.{point}=return")));
        let made = env.user("ann").await.create("first").await;
        dying.ended_within(LONG).await;
        let left = nginx.map_text();
        assert!(left.ends_with("}\n") && left.contains("map $instance_id"), "{point}: {left}");
        env.add_worker(&WorkerOptions::default()).await;
        wait_job(&env, &made.job, "succeeded").await;
        assert_eq!(nginx.open(&made.instance).await.status, 200, "{point}");
        let candidates = std::fs::read_dir(nginx.dir().join("map")).unwrap();
        assert!(candidates.count() <= 4, "{point}: more than map, lock, mark and one unfinished file");
        env.finish().await;
    }
}
