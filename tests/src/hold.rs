//! Holds a worker at a kill point while a test does something.

use std::{fs::File, path::PathBuf, time::Duration};

use tempfile::TempDir;

use crate::TestEnv;

/// Time limit until a worker reaches the kill point.
const SOON: Duration = Duration::from_secs(30);

/// Workers wait at the kill point until this is released or dropped.
#[derive(Debug)]
pub struct Hold {
    dir: TempDir,
}

impl Default for Hold {
    fn default() -> Self {
        let hold = Self { dir: tempfile::tempdir().expect("a directory") };
        File::create(hold.file("hold")).expect("a file");
        hold
    }
}

impl Hold {
    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// For [`crate::WorkerOptions::failpoints`]: a hold at this kill point, such as `provision.end.before`.
    pub fn at(&self, point: &str) -> String {
        format!("{point}=return({})", self.file("hold").display())
    }

    /// Waits until a worker is held.
    pub async fn reached(&self, env: &TestEnv) {
        let there = async || self.file("hold.reached").exists().then_some(());
        env.wait_for("a worker at the point where it is held", SOON, there).await;
    }

    /// Releases the worker. Workers that reach the kill point later are not held.
    pub fn release(&self) {
        let _ = std::fs::remove_file(self.file("hold"));
    }

    /// Holds the next worker that reaches the kill point, after a [release](Self::release).
    pub fn again(&self) {
        let _ = std::fs::remove_file(self.file("hold.reached"));
        File::create(self.file("hold")).expect("a file");
    }
}
