//! A `PgBouncer` for a test, in front of the shared Postgres.

use std::{
    fs::File,
    io::Write as _,
    os::unix::fs::{OpenOptionsExt as _, fchown},
    process::{Command as Blocking, Stdio},
    time::Duration,
};

use tokio::process::{Child, Command};

use crate::{database, wait};

/// A running server. It runs as the user `postgres`, because it refuses to run as root.
#[derive(Debug)]
pub struct PgBouncer {
    port: u16,
    _dir: tempfile::TempDir,
    _child: Child,
}

impl PgBouncer {
    /// Starts one with this `pool_mode`.
    pub async fn start(pool_mode: &str) -> Self {
        let port = crate::port::take();
        let url = reqwest::Url::parse(&database::url("postgres")).expect("the URL of Postgres");
        let settings = format!(
            "[databases]\n* = host={} port={} user={} password={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = any\npool_mode = {pool_mode}\n",
            url.host_str().expect("a host"),
            url.port().unwrap_or(5432),
            url.username(),
            url.password().unwrap_or_default(),
        );
        let dir = tempfile::Builder::new().prefix("clawdeploy-pgbouncer").tempdir().expect("a directory");
        let path = dir.path().join("pgbouncer.ini");
        let mut file = File::options().create_new(true).write(true).mode(0o600).open(&path).expect("a file");
        file.write_all(settings.as_bytes()).expect("its settings");
        let (uid, gid) = (id("-u"), id("-g"));
        for file in [File::open(dir.path()).expect("the directory"), file] {
            fchown(file, Some(uid), Some(gid)).expect("the user postgres; these tests need root");
        }
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "/usr/sbin/pgbouncer"]).arg(&path);
        command.env_clear().current_dir("/").kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("pgbouncer");
        let listens = async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok();
        wait::poll(Duration::from_secs(20), listens).await.expect("an answer of pgbouncer");
        Self { port, _dir: dir, _child: child }
    }

    /// URL of a database through it.
    pub fn url(&self, name: &str) -> String {
        database::url_through(name, self.port)
    }
}

fn id(which: &str) -> u32 {
    let output = Blocking::new("id").args([which, "postgres"]).output().expect("id");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("the user postgres")
}
