//! A Postgres server for a test that stops, crashes or freezes it.

use std::{
    fs::File,
    io::Write as _,
    os::unix::fs::{OpenOptionsExt as _, fchown},
    path::{Path, PathBuf},
    process::{Command as Blocking, Stdio},
    time::Duration,
};

use diesel::{QueryableByName, sql_types::Int4};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use clawdeploy_shared::db::connection::Target;

use crate::wait;

const ROLE: &str = "clawdeploy";

/// Time limit of a start, including recovery on a busy machine.
const START_LIMIT: Duration = Duration::from_mins(1);

#[derive(QueryableByName)]
struct Backend {
    #[diesel(sql_type = Int4)]
    pid: i32,
}

/// A cluster in its own directory, on its own port. It runs as the user `postgres`, so it needs root.
#[derive(Debug)]
pub struct PostgresServer {
    port: u16,
    password: String,
    dir: tempfile::TempDir,
    encrypted: bool,
    child: tokio::sync::Mutex<Child>,
}

impl PostgresServer {
    /// Creates a cluster and starts it.
    pub async fn start() -> Self {
        Self::make(false).await
    }

    /// As [`Self::start`], but accepts only TLS, with a certificate for `localhost` of its own authority.
    pub async fn start_encrypted() -> Self {
        Self::make(true).await
    }

    /// Certificate of the authority.
    pub fn authority(&self) -> PathBuf {
        self.dir.path().join("ca.crt")
    }

    async fn make(encrypted: bool) -> Self {
        let port = crate::port::take();
        let dir = tempfile::Builder::new().prefix("clawdeploy-postgres").tempdir().expect("a directory");
        let password = hex::encode(rand::random::<[u8; 12]>());
        let password_file = dir.path().join("password");
        let mut file = File::options().create_new(true).write(true).mode(0o600).open(&password_file).expect("a file");
        file.write_all(password.as_bytes()).expect("a password file");
        let (uid, gid) = (id("-u"), id("-g"));
        for file in [File::open(dir.path()).expect("the directory"), file] {
            fchown(file, Some(uid), Some(gid)).expect("the user postgres; these tests need root");
        }
        let mut initdb = as_postgres("initdb");
        initdb.arg("--pgdata").arg(dir.path().join("data")).args(["--username", ROLE, "--pwfile"]).arg(&password_file);
        initdb.args(["--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"]);
        let made = Command::from(initdb).stdin(Stdio::null()).output().await.expect("initdb");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        if encrypted {
            certify(dir.path(), uid, gid);
        }
        let child = spawn(port, dir.path(), encrypted);
        let server = Self { port, password, dir, encrypted, child: child.into() };
        server.wait_until_up().await;
        server
    }

    /// URL of one of its databases.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{ROLE}:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    /// Creates a database without tables.
    pub async fn create(&self, database: &str) {
        let mut conn = self.maintenance().await.expect("a connection");
        conn.batch_execute(&format!("CREATE DATABASE {database}")).await.expect("a database");
    }

    /// Like `pg_ctl stop -m immediate`: all sessions end, nothing is flushed, and the next start recovers.
    pub async fn crash(&self) {
        self.end(Signal::QUIT).await;
    }

    /// Kills it, like a power loss.
    pub async fn kill(&self) {
        self.end(Signal::KILL).await;
    }

    async fn end(&self, signal: Signal) {
        let mut child = self.child.lock().await;
        if let Some(pid) = child.id() {
            signal_to(pid.cast_signed(), signal);
        }
        tokio::time::timeout(Duration::from_secs(20), child.wait())
            .await
            .expect("the end of Postgres")
            .expect("a status");
    }

    /// Starts it again, on the same port.
    pub async fn revive(&self) {
        // The sessions of a killed server end a moment after it. Until then no new server can start.
        let started = async || {
            let mut child = self.child.lock().await;
            if child.try_wait().expect("a status").is_some() {
                *child = spawn(self.port, self.dir.path(), self.encrypted);
            }
            drop(child);
            self.maintenance().await
        };
        wait::poll(START_LIMIT, started).await.expect("a restart of Postgres");
    }

    /// Stops all current sessions of `database` for a time. New sessions are served meanwhile.
    pub async fn freeze(&self, database: &str, pause: Duration) {
        let mut conn = self.maintenance().await.expect("a connection");
        let sql = format!("SELECT pid FROM pg_stat_activity WHERE datname = '{database}'");
        let backends: Vec<Backend> = diesel::sql_query(sql).load(&mut conn).await.expect("the sessions");
        assert!(!backends.is_empty(), "no session is open");
        for backend in &backends {
            signal_to(backend.pid, Signal::STOP);
        }
        tokio::time::sleep(pause).await;
        for backend in &backends {
            signal_to(backend.pid, Signal::CONT);
        }
    }

    async fn maintenance(&self) -> Option<AsyncPgConnection> {
        let mode = if self.encrypted { "require" } else { "disable" };
        let target = Target::parse(&format!("{}?sslmode={mode}", self.url("postgres"))).ok()?;
        tokio::time::timeout(Duration::from_secs(5), target.connect()).await.ok()?.ok()
    }

    async fn wait_until_up(&self) {
        wait::poll(START_LIMIT, async || self.maintenance().await).await.expect("an answer of Postgres");
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // An orderly end, so that its processes and its shared memory are gone before its directory.
        let child = self.child.get_mut();
        let Some(pid) = child.id() else { return };
        signal_to(pid.cast_signed(), Signal::QUIT);
        for _ in 0..100 {
            if !matches!(child.try_wait(), Ok(None)) {
                break;
            }
            #[expect(clippy::disallowed_methods, reason = "nothing can be awaited in a drop")]
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn signal_to(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, signal);
    }
}

fn id(which: &str) -> u32 {
    let output = Blocking::new("id").args([which, "postgres"]).output().expect("id");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("the user postgres")
}

/// Programs of the newest installed server, in Debian's layout.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let versions = versions.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let newest = versions.max().expect("Postgres in /usr/lib/postgresql");
    PathBuf::from(format!("/usr/lib/postgresql/{newest}/bin"))
}

/// A program of Postgres as the user `postgres`, with the process id of the child itself and a clean environment.
fn as_postgres(program: &str) -> Blocking {
    let mut command = Blocking::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]).arg(programs().join(program));
    command.env_clear().env("LC_ALL", "C.UTF-8").env("PATH", "/usr/bin:/bin").current_dir("/");
    command
}

/// Creates an authority and a server certificate, and requires TLS.
fn certify(dir: &Path, uid: u32, gid: u32) {
    let data = dir.join("data");
    authority(dir);
    put(&dir.join("san"), "subjectAltName=DNS:localhost\n");
    openssl(
        dir,
        "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=db -keyout data/server.key -out csr",
    );
    openssl(dir, "x509 -req -days 2 -in csr -CA ca.crt -CAkey ca.key -set_serial 2 -extfile san -out data/server.crt");
    for file in ["server.key", "server.crt"] {
        fchown(File::open(data.join(file)).expect("what openssl made"), Some(uid), Some(gid)).expect("its owner");
    }
    put(&data.join("pg_hba.conf"), "hostssl all all all scram-sha-256\n");
}

fn put(path: &Path, text: &str) {
    File::create(path).and_then(|mut file| file.write_all(text.as_bytes())).expect("a file");
}

/// Creates `ca.key` and `ca.crt` of an authority in a directory.
pub fn authority(dir: &Path) {
    openssl(
        dir,
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.crt",
    );
}

fn openssl(dir: &Path, arguments: &str) {
    let made = Blocking::new("openssl").args(arguments.split(' ')).current_dir(dir).output().expect("openssl");
    assert!(made.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&made.stderr));
}

fn spawn(port: u16, dir: &Path, encrypted: bool) -> Child {
    let mut postgres = as_postgres("postgres");
    postgres.arg("-D").arg(dir.join("data"));
    let port = format!("port={port}");
    // Without fsync: the data must survive a crash of the server, but not of the machine.
    for setting in ["listen_addresses=127.0.0.1", &port, "unix_socket_directories=", "max_connections=100", "fsync=off"]
    {
        postgres.args(["-c", setting]);
    }
    if encrypted {
        postgres.args(["-c", "ssl=on"]);
    }
    let mut postgres = Command::from(postgres);
    postgres.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    postgres.spawn().expect("postgres")
}
