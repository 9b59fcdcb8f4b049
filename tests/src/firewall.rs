//! The firewall rules of production (`deploy/firewall.sh`) for the addresses of one test. They are removed with it.

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{TestEnv, programs::workspace_root};

/// The script, with the settings of an installation.
#[derive(Debug)]
pub struct Firewall(Vec<(String, String)>);

impl Firewall {
    pub fn of(env: &TestEnv) -> Self {
        let needed = ["CLAWDEPLOY_NETWORK_POOL", "CLAWDEPLOY_DEPLOYMENT"];
        Self(env.settings().iter().filter(|(name, _)| needed.contains(&name.as_str())).cloned().collect())
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.0.push((name.into(), value.into()));
    }

    pub fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(workspace_root().join("deploy/firewall.sh"));
        command.arg(verb).envs(self.0.iter().cloned());
        command
    }

    #[track_caller]
    pub fn run(&self, verb: &str) {
        let done = self.command(verb).output().unwrap();
        assert!(done.status.success(), "{verb}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// Waits until all rules are in force. When the engine creates a network, its own rules come first for a moment.
    pub async fn wait_in_force(&self, env: &TestEnv) {
        let whole = async || self.command("check").status().unwrap().success().then_some(());
        env.wait_for("the firewall's rules", Duration::from_mins(1), whole).await;
    }

    /// Name of the chain.
    pub fn chain(&self) -> String {
        let printed = String::from_utf8_lossy(&self.command("print").output().unwrap().stdout).into_owned();
        printed.split(' ').nth(1).expect("a rule").to_owned()
    }

    /// Removes the rules that lead to the chain, and no others.
    pub fn cut(&self, from: &str) {
        let chain = self.chain();
        let rules = Command::new("iptables").args(["-w", "10", "-S", from]).output().unwrap();
        for rule in String::from_utf8_lossy(&rules.stdout).lines().filter(|rule| rule.ends_with(&chain)) {
            let rule = rule.replace('"', "").replacen("-A ", "-D ", 1);
            let done = Command::new("iptables").args(["-w", "10"]).args(rule.split(' ')).status().unwrap();
            assert!(done.success(), "{rule}");
        }
    }

    /// Runs the script's `watch`, which restores missing rules within so many seconds. Dropping the value ends it.
    pub fn watch(&self, seconds: &str) -> Watch {
        let mut command = self.command("watch");
        command.env("CLAWDEPLOY_FIREWALL_WATCH_SECONDS", seconds).stdin(Stdio::null());
        Watch(command.stdout(Stdio::null()).spawn().expect("the script"))
    }
}

impl Drop for Firewall {
    fn drop(&mut self) {
        let _ = self.command("remove").output();
    }
}

/// The script while it watches.
#[derive(Debug)]
pub struct Watch(Child);

impl Drop for Watch {
    fn drop(&mut self) {
        // By SIGTERM, so that it does not restore the rules once more.
        if let Some(pid) = rustix::process::Pid::from_raw(self.0.id().cast_signed()) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.0.wait();
    }
}
