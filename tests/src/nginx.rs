//! A real nginx for a test, from the deployed templates, on loopback, with a self-signed certificate.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use crate::{TestEnv, port, programs::workspace_root, wait};

pub const BASE_DOMAIN: &str = "claw.test";
pub const SITE: &str = "panel.test";

const PROGRAM: &str = "/usr/sbin/nginx";

/// Exit code of curl when an HTTP/2 connection ends without a response (`libcurl-errors(3)`).
const CURLE_HTTP2: i32 = 16;

/// nginx and its files. Both are removed when this is dropped.
#[derive(Debug)]
pub struct Nginx {
    dir: TempDir,
    https: u16,
    probe: u16,
    master: Option<Child>,
}

/// A response of nginx.
#[derive(Debug, Clone)]
pub struct Page {
    pub status: u16,
    /// Status line and headers, in lower case.
    pub head: String,
    pub body: String,
}

async fn succeed(command: &mut Command) -> Vec<u8> {
    let output = command.stdin(Stdio::null()).output().await.expect("a command");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn put(path: &Path, text: &[u8]) {
    use std::io::Write as _;
    std::fs::File::create(path).and_then(|mut file| file.write_all(text)).expect("a file");
}

impl Nginx {
    /// Chooses the ports and creates the certificate; [`Self::start`] starts nginx.
    pub async fn prepare() -> Self {
        let dir = tempfile::Builder::new().prefix("clawdeploy-nginx-test-").tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("map")).expect("a directory");
        let mut certificate = Command::new("openssl");
        certificate.current_dir(dir.path()).args(["req", "-x509", "-newkey", "ec", "-nodes", "-days", "30"]);
        certificate.args(["-pkeyopt", "ec_paramgen_curve:prime256v1", "-keyout", "key.pem", "-out", "certificate.pem"]);
        certificate.args(["-subj", "/CN=claw.test", "-addext"]);
        succeed(certificate.arg("subjectAltName=DNS:claw.test,DNS:*.claw.test,DNS:panel.test")).await;
        let nginx = Self { dir, https: port::take(), probe: port::take(), master: None };
        let empty = succeed(Command::new(render()).arg("--empty-map")).await;
        put(&nginx.map(), &empty);
        // Scripts, so that a test can change how nginx is checked and reloaded while a worker runs.
        nginx.script("try", "");
        nginx.script("reload", "");
        nginx
    }

    /// Prepends shell lines to the check (`try`) or the reload (`reload`) of nginx; `$@` are the arguments.
    pub fn script(&self, name: &str, lines: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let conf = self.conf();
        let last = match name {
            "try" => format!("exec {PROGRAM} \"$@\""),
            _ => format!("exec {PROGRAM} -e stderr -p {} -c {} -s reload", self.dir.path().display(), conf.display()),
        };
        let (path, new) = (self.dir.path().join(name), self.dir.path().join(format!("{name}.new")));
        put(&new, format!("#!/bin/bash\nset -eu\n{lines}\n{last}\n").as_bytes());
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o755)).expect("its mode");
        std::fs::rename(new, path).expect("a rename");
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    fn conf(&self) -> PathBuf {
        self.dir.path().join("nginx.conf")
    }

    pub fn map(&self) -> PathBuf {
        self.dir.path().join("map/clawdeploy-ports.conf")
    }

    pub fn map_text(&self) -> String {
        std::fs::read_to_string(self.map()).expect("the map")
    }

    /// Settings of an installation behind this nginx.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let path = |name: &str| self.dir.path().join(name).display().to_string();
        vec![
            ("CLAWDEPLOY_ROUTING", "nginx".into()),
            ("CLAWDEPLOY_BASE_DOMAIN", BASE_DOMAIN.into()),
            ("CLAWDEPLOY_HTTPS_PORT", self.https.to_string()),
            ("CLAWDEPLOY_PUBLIC_URL", self.site()),
            ("CLAWDEPLOY_NGINX_MAP", self.map().display().to_string()),
            ("CLAWDEPLOY_NGINX_PROGRAM", path("try")),
            ("CLAWDEPLOY_NGINX_RELOAD", path("reload")),
            ("CLAWDEPLOY_NGINX_PROBE", format!("127.0.0.1:{}", self.probe)),
            ("CLAWDEPLOY_RECONCILE_SECONDS", "1".into()),
        ]
    }

    /// Starts nginx in front of an installation.
    pub async fn start(&mut self, env: &TestEnv) {
        let path = |name: &str| self.dir.path().join(name);
        let mut command = Command::new(render());
        command.arg("--standalone").arg(self.dir.path()).args(["--base-domain", BASE_DOMAIN, "--site", SITE]);
        command.arg("--certificate").arg(path("certificate.pem")).arg("--key").arg(path("key.pem"));
        command.arg("--map").arg(self.map()).args(["--api", env.base.trim_start_matches("http://")]);
        command.args(["--https-port", &self.https.to_string(), "--http-port", "0"]);
        command.args(["--probe", &format!("127.0.0.1:{}", self.probe), "--listen", "127.0.0.1"]);
        command.args(["--workers", "1", "--user", "root"]).arg("--error-log").arg(path("error.log"));
        put(&self.conf(), &succeed(&mut command).await);
        self.start_again().await;
    }

    /// Starts nginx with the configuration that it had.
    pub async fn start_again(&mut self) {
        let mut command = Command::new(PROGRAM);
        command.args(["-e", "stderr", "-p"]).arg(self.dir.path()).arg("-c").arg(self.conf());
        self.master = Some(command.stdin(Stdio::null()).spawn().expect("nginx"));
        let up = async || self.generation().await.map(drop);
        wait::poll(Duration::from_secs(10), up)
            .await
            .unwrap_or_else(|| panic!("nginx is not up: {}", self.error_log()));
    }

    /// Stops nginx and closes all connections.
    pub async fn stop(&mut self) {
        self.signal(Signal::TERM);
        if let Some(mut master) = self.master.take() {
            let ended = timeout(Duration::from_secs(10), master.wait()).await;
            assert!(ended.is_ok(), "nginx does not end");
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = self.master.as_ref().and_then(Child::id).and_then(|pid| Pid::from_raw(pid.cast_signed()));
        if let Some(pid) = pid {
            let _ = kill_process(pid, signal);
        }
    }

    pub fn error_log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("error.log")).unwrap_or_default()
    }

    /// How often nginx has reloaded.
    pub fn reloads(&self) -> usize {
        self.error_log().matches(", reconfiguring").count()
    }

    /// Number of worker processes, including old ones.
    pub fn workers(&self) -> usize {
        let Some(master) = self.master.as_ref().and_then(Child::id) else { return 0 };
        let children = std::fs::read_to_string(format!("/proc/{master}/task/{master}/children"));
        children.unwrap_or_default().split_whitespace().count()
    }

    /// The generation of the map that nginx uses.
    pub async fn generation(&self) -> Option<i64> {
        let url = format!("http://127.0.0.1:{}/__clawdeploy/generation", self.probe);
        let client = crate::http().build().ok()?;
        client.get(url).send().await.ok()?.text().await.ok()?.trim().parse().ok()
    }

    /// Public URL of an instance.
    pub fn url(&self, id: &str) -> String {
        format!("https://{id}.{BASE_DOMAIN}:{}/", self.https)
    }

    /// Public URL of the panel.
    pub fn site(&self) -> String {
        format!("https://{SITE}:{}", self.https)
    }

    /// A request to an instance, or to another name below the base domain, with additional arguments for curl.
    pub async fn get(&self, id: &str, path: &str, more: &[&str]) -> Page {
        self.get_at(&format!("{id}.{BASE_DOMAIN}"), path, more).await
    }

    pub async fn get_at(&self, host: &str, path: &str, more: &[&str]) -> Page {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--insecure", "--include", "--noproxy", "*", "--max-time", "10"]);
        curl.args(["--resolve", &format!("{host}:{}:127.0.0.1", self.https)]).args(more);
        curl.arg(format!("https://{host}:{}{path}", self.https)).stdin(Stdio::null());
        let mut output = curl.output().await.expect("curl");
        // A reloading nginx may close a connection that it has just accepted. A browser retries too.
        if output.status.code() == Some(CURLE_HTTP2) {
            output = curl.output().await.expect("curl");
        }
        assert!(output.status.success(), "{curl:?}: {}", String::from_utf8_lossy(&output.stderr));
        let answer = String::from_utf8_lossy(&output.stdout);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok()).expect("a status");
        Page { status, head: head.to_lowercase(), body: body.to_owned() }
    }

    /// A request like a browser's for a page.
    pub async fn open(&self, id: &str) -> Page {
        self.get(id, "/", &["--header", "Accept: text/html,*/*;q=0.8"]).await
    }

    /// Opens a WebSocket to an instance.
    pub async fn socket(&self, id: &str) -> Socket {
        self.socket_at(&format!("{id}.{BASE_DOMAIN}"), "/ws", "").await
    }

    /// Opens a WebSocket to a host, with that host as origin and additional headers.
    pub async fn socket_at(&self, host: &str, path: &str, more: &str) -> Socket {
        let mut client = Command::new("openssl");
        client.args(["s_client", "-quiet", "-ign_eof", "-servername", host, "-connect"]);
        client.arg(format!("127.0.0.1:{}", self.https)).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = client.stderr(Stdio::null()).kill_on_drop(true).spawn().expect("openssl");
        let (input, output) = (child.stdin.take().expect("its input"), child.stdout.take().expect("its output"));
        let mut socket = Socket { _child: child, input, output };
        let port = self.https;
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nOrigin: https://{host}:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
        );
        socket.say(head.as_bytes()).await;
        let answer = socket.hear(b"\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
        socket
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // SIGTERM to the master ends its workers too; SIGKILL would leave them running.
        self.signal(Signal::TERM);
    }
}

/// A WebSocket through nginx.
#[derive(Debug)]
pub struct Socket {
    _child: Child,
    input: ChildStdin,
    output: ChildStdout,
}

impl Socket {
    async fn say(&mut self, bytes: &[u8]) {
        self.input.write_all(bytes).await.expect("a connection");
        self.input.flush().await.expect("a connection");
    }

    /// Reads up to and including these bytes.
    pub async fn hear(&mut self, end: &[u8]) -> String {
        let mut heard = Vec::new();
        while !heard.ends_with(end) {
            let byte = timeout(Duration::from_secs(10), self.output.read_u8()).await.expect("an answer in time");
            heard.push(byte.unwrap_or_else(|_| panic!("cut off after {:?}", String::from_utf8_lossy(&heard))));
        }
        String::from_utf8_lossy(&heard).into_owned()
    }

    /// Checks that data is echoed. The fake gateway does not parse frames, so none is sent.
    pub async fn assert_alive(&mut self, word: &str) {
        self.say(format!("{word}\n").as_bytes()).await;
        assert_eq!(self.hear(b"\n").await.trim(), word);
    }
}

fn render() -> PathBuf {
    workspace_root().join("deploy/nginx/render.sh")
}
