//! Headless Chromium on the dashboard of an instance (`tests/browser/dashboard.mjs`, which reports the state of the
//! page).

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use crate::{TestEnv, nginx::BASE_DOMAIN, programs::workspace_root, settings};

/// Time limit of a step. The dashboard has some megabytes of script, and the machine may be busy.
const PATIENCE: Duration = Duration::from_mins(3);

/// A browser with its own profile, which is removed with it.
#[derive(Debug)]
pub struct Browser {
    _child: Child,
    said: Lines<BufReader<ChildStdout>>,
    screenshot: PathBuf,
}

impl Browser {
    /// Opens a link and expects the state `want`: `connected`, or `pairing` first. Names below the base domain lead to
    /// this machine. The last screenshot is called `name`; it is removed with the test, unless
    /// `CLAWDEPLOY_TEST_SCREENSHOTS` names a directory for it.
    pub fn open(env: &TestEnv, name: &str, url: &str, want: &str) -> Self {
        let kept = settings::variable("CLAWDEPLOY_TEST_SCREENSHOTS").map(PathBuf::from);
        let screenshot = kept.as_deref().unwrap_or(env.scratch()).join(format!("{name}.png"));
        let mut node = Command::new("node");
        node.arg(workspace_root().join("tests/browser/dashboard.mjs")).args(["--url", url, "--want", want]);
        node.args(["--resolve", &format!("MAP *.{BASE_DOMAIN} 127.0.0.1")]).arg("--screenshot").arg(&screenshot);
        node.args(["--within", &PATIENCE.as_secs().to_string()]);
        let mut child = node.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn().expect("node");
        let said = BufReader::new(child.stdout.take().expect("its output")).lines();
        Self { _child: child, said, screenshot }
    }

    /// The next state that it reports, which must be this one.
    pub async fn expect(&mut self, state: &str) -> Value {
        // The browser reaches its own limit first, and then reports what it sees.
        let line = timeout(PATIENCE + Duration::from_secs(30), self.said.next_line()).await.expect("a report in time");
        let line = line.expect("its output").expect("the browser ended without a report: did you run `npm ci`?");
        let said: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(said["state"], state, "{said:#}");
        said
    }

    /// The screenshot of the last state that it reported.
    pub fn screenshot(&self) -> &Path {
        &self.screenshot
    }
}
