//! Places that may contain secrets.

use std::{
    collections::HashSet,
    fmt::Write as _,
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use clawdeploy_tests::{TestEnv, docker, settings};
use redis::{AsyncCommands as _, Value as Reply};
use tokio::process::Command;

/// The whole database, as in a backup.
pub(super) async fn database_dump(env: &TestEnv) -> String {
    let url = env.settings().iter().find(|(name, _)| name == "CLAWDEPLOY_DATABASE_URL").unwrap();
    let url: reqwest::Url = url.1.parse().unwrap();
    let mut command = Command::new("pg_dump");
    command.env("PGHOST", url.host_str().unwrap()).env("PGPORT", url.port().unwrap().to_string());
    command.env("PGUSER", url.username()).env("PGPASSWORD", url.password().unwrap()).env("PGDATABASE", env.database());
    let output = command.args(["--inserts", "--no-password"]).stderr(Stdio::piped()).output().await.expect("pg_dump");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// All keys of the installation in Redis with their values.
pub(super) async fn redis_dump(env: &TestEnv) -> String {
    let client = redis::Client::open(settings::redis_url()).unwrap();
    let mut conn = client.get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<String> = conn.keys(format!("{}*", env.name)).await.unwrap();
    let mut dump = String::new();
    for key in keys {
        let kind: String = redis::cmd("TYPE").arg(&key).query_async(&mut conn).await.unwrap();
        let mut read = match kind.as_str() {
            "string" => redis::cmd("GET"),
            "hash" => redis::cmd("HGETALL"),
            "set" => redis::cmd("SMEMBERS"),
            "list" => redis::cmd("LRANGE"),
            "zset" => redis::cmd("ZRANGE"),
            "stream" => redis::cmd("XRANGE"),
            // The key was deleted in the meantime.
            "none" => continue,
            other => panic!("a {other} in Redis"),
        };
        read.arg(&key);
        match kind.as_str() {
            "list" | "zset" => read.arg(0).arg(-1),
            "stream" => read.arg("-").arg("+"),
            _ => &mut read,
        };
        let value: Reply = read.query_async(&mut conn).await.unwrap();
        let _ = writeln!(dump, "{key}: {}", text(&value));
    }
    dump
}

fn text(reply: &Reply) -> String {
    match reply {
        Reply::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Reply::Array(items) | Reply::Set(items) => items.iter().map(text).collect::<Vec<_>>().join(" "),
        other => format!("{other:?}"),
    }
}

/// Collects the arguments of all processes of this machine, including those in containers, until it is dropped.
pub(super) struct Arguments {
    seen: Arc<Mutex<HashSet<String>>>,
    done: Arc<AtomicBool>,
}

impl Arguments {
    pub(super) fn watch() -> Self {
        let (seen, done) = (Arc::<Mutex<HashSet<String>>>::default(), Arc::<AtomicBool>::default());
        let (to, until) = (Arc::clone(&seen), Arc::clone(&done));
        std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                let lines: Vec<String> =
                    std::fs::read_dir("/proc").into_iter().flatten().filter_map(arguments).collect();
                to.lock().unwrap().extend(lines);
                #[expect(clippy::disallowed_methods, reason = "a pause between two looks, not a wait for something")]
                std::thread::sleep(Duration::from_millis(25));
            }
        });
        Self { seen, done }
    }

    /// One line for each process.
    pub(super) fn seen(&self) -> String {
        self.seen.lock().unwrap().iter().cloned().collect::<Vec<_>>().join("\n")
    }
}

fn arguments(entry: std::io::Result<std::fs::DirEntry>) -> Option<String> {
    let path = entry.ok()?.path();
    path.file_name()?.to_str()?.parse::<u32>().ok()?;
    let line = std::fs::read(path.join("cmdline")).ok()?;
    Some(String::from_utf8_lossy(&line).replace('\0', " "))
}

impl Drop for Arguments {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
    }
}

/// Arguments of all processes in a container, and the environment of the first. Only the container's own user can read
/// the environment of programs that OpenClaw starts.
pub(super) async fn processes_of(container: &str) -> String {
    let listed = docker::docker(&["top", container, "-eo", "pid"]).await;
    let first = docker::inspect(container, "{{.State.Pid}}").await;
    let pids = listed.split_whitespace().filter_map(|word| word.parse::<u32>().ok());
    let paths: Vec<_> = pids.map(|pid| format!("/proc/{pid}/cmdline")).collect();
    assert!(paths.len() >= 2, "an init and the gateway");
    let environment = format!("/proc/{first}/environ");
    let read = |path| String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).replace('\0', "\n");
    paths.iter().chain([&environment]).map(read).collect::<Vec<_>>().join("\n")
}
