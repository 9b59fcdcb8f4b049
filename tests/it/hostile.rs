//! Tenants that take all they can get: their neighbours go on.

use std::time::Duration;

use clawdeploy_tests::{TestEnv, docker, wait};
use serde_json::json;

use crate::support::{deleted, done, http, port, running, wait_job, wait_status};

/// Writes a file in an instance's config directory.
fn put(env: &TestEnv, id: &str, name: &str, text: &str) {
    let file = env.data_dir.join(id).join("config").join(name);
    std::io::Write::write_all(&mut std::fs::File::create(file).unwrap(), text.as_bytes()).unwrap();
}

/// Bytes of a container's log files on the disk, and their number.
async fn logs(container: &str) -> (u64, usize) {
    let path = docker::inspect(container, "{{.LogPath}}").await;
    let dir = std::path::Path::new(&path).parent().unwrap();
    let files = std::fs::read_dir(dir).unwrap().filter_map(Result::ok);
    let sizes: Vec<u64> = files
        .filter(|file| file.file_name().to_string_lossy().contains("-json.log"))
        .map(|file| file.metadata().map_or(0, |meta| meta.len()))
        .collect();
    (sizes.iter().sum(), sizes.len())
}

async fn processes(container: &str) -> u32 {
    let said = docker::try_docker(&["stats", "--no-stream", "--format", "{{.PIDs}}", container]).await;
    said.ok().and_then(|said| said.trim().parse().ok()).unwrap_or_default()
}

/// A gateway must say that it is ready.
async fn assert_ready(port: u16) {
    assert_eq!(http(port, "/readyz").await.map(|(status, _)| status), Some(200));
}

/// A fork bomb, memory exhaustion and a flood of log lines in one instance, at the same time.
#[tokio::test]
async fn a_neighbour_stays_ready() {
    let env = TestEnv::builder().build().await;
    let ann = env.user("ann").await;
    let neighbour = running(&env, "neighbour").await;
    let made = ann.create_with(&json!({ "name": "hostile", "memoryMb": 1536, "cpuMillis": 250 })).await;
    wait_job(&env, &made.job, "succeeded").await;
    let (id, container) = (&made.instance, format!("claw-{}", made.instance));
    let neighbour_port = port(&env, &neighbour.instance).await;
    let before = docker::inspect(&format!("claw-{}", neighbour.instance), "{{.State.StartedAt}}").await;

    put(&env, id, "fate", "flood");
    done(&env, id, "restart").await;
    let rotated = async || {
        assert_ready(neighbour_port).await;
        (logs(&container).await.1 >= 2).then_some(())
    };
    env.wait_for("ten megabytes of log", Duration::from_mins(1), rotated).await;
    docker::docker(&["exec", "--detach", &container, "node", "hog"]).await;
    docker::docker(&["exec", "--detach", &container, "node", "bomb"]).await;
    let full = async || {
        assert_ready(neighbour_port).await;
        (processes(&container).await >= 500).then_some(())
    };
    let full = wait::poll(Duration::from_mins(1), full).await;
    assert!(full.is_some(), "no more than {} processes", processes(&container).await);

    for _ in 0..50 {
        assert_ready(neighbour_port).await;
    }
    assert!(processes(&container).await <= 512, "more processes than it may have");
    let (bytes, files) = logs(&container).await;
    assert!(bytes <= 34 << 20 && files <= 3, "{bytes} bytes of log in {files} files");
    deleted(&env, id).await;
    let after = docker::inspect(&format!("claw-{}", neighbour.instance), "{{.State.StartedAt}}").await;
    assert_eq!(before, after, "the neighbour was started again");
    env.finish().await;
}

/// Pretends that an instance's status has not changed for an hour.
async fn long_since(env: &TestEnv, id: &str) {
    let sql = format!("UPDATE instances SET status_changed_at = now() - interval '1 hour' WHERE id = '{id}'");
    env.execute(&sql).await;
}

/// Disk usage is measured: near the limit there is a warning, and at the limit the gateway is stopped until the owner
/// frees space.
#[tokio::test]
async fn a_full_disk_stops_who_filled_it() {
    const MIB: u64 = 1 << 20;
    let builder = TestEnv::builder().set("CLAWDEPLOY_DISK_LIMIT_MIB", "20").set("CLAWDEPLOY_DISK_SECONDS", "0.2");
    let env = builder.set("CLAWDEPLOY_RECONCILE_SECONDS", "0.5").build().await;
    let ann = env.user("ann").await;
    let (made, neighbour) = (running(&env, "first").await, running(&env, "neighbour").await);
    let id = &made.instance;
    let measured = async |least: u64, most: u64| {
        let so = async || {
            let shown = ann.instance(id).await;
            let bytes = shown["diskBytes"].as_u64()?;
            assert_eq!(shown["diskLimitBytes"], 20 * MIB);
            (least..most).contains(&bytes).then_some(())
        };
        env.wait_for("a measurement", Duration::from_secs(20), so).await;
    };
    measured(1, MIB).await;
    let file = env.data_dir.join(id).join("workspace/big");
    let fill = |mib: u64| {
        std::io::copy(
            &mut std::io::Read::take(std::io::repeat(7), mib * MIB),
            &mut std::fs::File::create(&file).unwrap(),
        )
        .unwrap();
    };
    fill(17);
    measured(17 * MIB, 18 * MIB).await;
    let told = format!("SELECT count(*) AS n FROM audit WHERE action = 'instance.disk_warning' AND target_id = '{id}'");
    assert_eq!(env.row(&told).await["n"], 1);
    assert_eq!(ann.instance(id).await["status"], "running");

    // A gateway that was started just now may continue for a while.
    fill(25);
    measured(25 * MIB, 26 * MIB).await;
    assert_eq!(ann.instance(id).await["status"], "running");
    long_since(&env, id).await;
    wait_status(&env, id, "error", Duration::from_secs(30)).await;
    let shown = ann.instance(id).await;
    assert_eq!(shown["error"]["code"], "disk_limit_reached");
    let message = shown["error"]["message"].as_str().unwrap();
    assert!(message.contains("25 MiB of the 20 MiB") && message.contains("Start it and free some"), "{message}");
    assert_eq!(docker::inspect(&format!("claw-{id}"), "{{.State.Status}}").await, "exited");

    // After a start there is time to free space.
    done(&env, id, "start").await;
    fill(1);
    long_since(&env, id).await;
    measured(MIB, 2 * MIB).await;
    assert_eq!(ann.instance(id).await["status"], "running");
    assert_eq!(env.row(&told).await["n"], 1, "the warning came twice");
    assert!(
        !env.row(&format!("SELECT disk_warned FROM instances WHERE id = '{id}'")).await["disk_warned"]
            .as_bool()
            .unwrap()
    );

    // Far above the limit there is no time.
    fill(45);
    wait_status(&env, id, "error", Duration::from_secs(30)).await;
    assert_eq!(ann.instance(&neighbour.instance).await["status"], "running");
    env.finish().await;
}
