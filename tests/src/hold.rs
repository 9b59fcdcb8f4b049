//! Holds a worker at one of its kill points until a test has done what is to happen meanwhile.

use std::{fs::File, path::PathBuf, time::Duration};

use tempfile::TempDir;

use crate::TestEnv;

/// How soon a worker comes to where it is held, at most.
const SOON: Duration = Duration::from_secs(30);

/// A place where workers stand still, until it is released or dropped.
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

    /// For [`crate::WorkerOptions::failpoints`]: held at this point, `provision.end.before` for one.
    pub fn at(&self, point: &str) -> String {
        format!("{point}=return({})", self.file("hold").display())
    }

    /// Waits until a worker stands there.
    pub async fn reached(&self, env: &TestEnv) {
        let there = async || self.file("hold.reached").exists().then_some(());
        env.wait_for("a worker at the point where it is held", SOON, there).await;
    }

    /// Lets it go on, and whoever comes there later.
    pub fn release(&self) {
        let _ = std::fs::remove_file(self.file("hold"));
    }
}
