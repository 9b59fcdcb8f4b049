//! Headless Chromium on the dashboard of an instance: `tests/browser/dashboard.mjs`, which says how far the page comes.

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

/// How long a page may take for a step; the dashboard is some megabytes of script on a busy machine.
const PATIENCE: Duration = Duration::from_mins(3);

/// A browser with a profile of its own, which goes with it.
#[derive(Debug)]
pub struct Browser {
    _child: Child,
    said: Lines<BufReader<ChildStdout>>,
    screenshot: PathBuf,
}

impl Browser {
    /// Opens a link in the hope to be `connected`, at once or after `pairing`. Names below the base domain lead to this
    /// machine. A screenshot of the end is called `name` and goes with the test, if `CLAWDEPLOY_TEST_SCREENSHOTS` names no
    /// directory for it.
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

    /// What it says next, which must be this state.
    pub async fn expect(&mut self, state: &str) -> Value {
        // The browser ends its own patience first, and then says what it sees.
        let line = timeout(PATIENCE + Duration::from_secs(30), self.said.next_line()).await.expect("a word in time");
        let line = line.expect("its output").expect("the browser went without a word: has `npm ci` been run?");
        let said: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(said["state"], state, "{said:#}");
        said
    }

    /// The picture of what it has seen last, once it has said so.
    pub fn screenshot(&self) -> &Path {
        &self.screenshot
    }
}
