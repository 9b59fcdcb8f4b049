//! `doctor`: prints every check of the preflight, with what to do about what is wrong.

use std::io::Write as _;

use anyhow::{Context as _, bail};
use clap::Args;

use crate::{
    config::WorkerConfig,
    preflight::{self, Check, CheckStatus},
};

/// The worker's settings, so that it looks at what a worker would use.
#[derive(Debug, Args)]
pub struct DoctorConfig {
    #[command(flatten)]
    pub worker: WorkerConfig,

    /// Number of instances to judge the machine's limits for; by default those that exist or that its memory holds
    #[arg(long)]
    pub planned_instances: Option<u64>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Fails if a check failed.
pub async fn run(config: DoctorConfig) -> anyhow::Result<()> {
    let checks = preflight::look(&config.worker, config.planned_instances).await;
    let text = if config.json { serde_json::to_string_pretty(&checks)? + "\n" } else { table(&checks) };
    std::io::stdout().lock().write_all(text.as_bytes()).context("cannot write to standard output")?;
    let failed: Vec<_> =
        checks.iter().filter(|check| check.status == CheckStatus::Fail).map(|check| check.name).collect();
    if !failed.is_empty() {
        bail!("instances cannot work here: {}", failed.join(", "));
    }
    Ok(())
}

fn table(checks: &[Check]) -> String {
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or_default();
    let lines = checks.iter().map(|Check { name, status, found, fix }| {
        let fix = fix.as_ref().map(|fix| format!("{:6}{:width$}  → {fix}\n", "", "")).unwrap_or_default();
        format!("{status:<6}{name:width$}  {found}\n{fix}")
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_check_is_a_line_and_its_fix_another() {
        let check = |name, status, fix: Option<&str>| Check {
            name,
            status,
            found: "it is so".to_owned(),
            fix: fix.map(str::to_owned),
        };
        let checks = [check("engine", CheckStatus::Ok, None), check("threads", CheckStatus::Warn, Some("Raise it."))];
        assert_eq!(table(&checks), "ok    engine   it is so\nwarn  threads  it is so\n               → Raise it.\n");
        let json = serde_json::to_value(&checks).unwrap();
        assert_eq!(json[0], serde_json::json!({ "name": "engine", "status": "ok", "found": "it is so" }));
        assert_eq!(json[1]["fix"], "Raise it.");
    }
}
