//! How long records are kept.

use std::{path::PathBuf, str::FromStr};

use clap::Args;

/// How long records are kept in the database.
#[derive(Debug, Clone, Args)]
pub struct RetentionArgs {
    /// Days that a finished job is kept, with its log; also ended rollouts, changes and builds, and invalid tokens; 0
    /// means for ever
    #[arg(long, env = "CLAWDEPLOY_JOBS_KEEP_DAYS", default_value_t = 90, value_parser = clap::value_parser!(i32).range(0..=36500))]
    pub jobs_keep_days: i32,

    /// Days that the log of a build is kept; 0 means as long as its job
    #[arg(long, env = "CLAWDEPLOY_BUILD_LOGS_KEEP_DAYS", default_value_t = 30, value_parser = clap::value_parser!(i32).range(0..=36500))]
    pub build_logs_keep_days: i32,

    /// Days that entries of the audit log are kept, in whole months; 0 means for ever
    #[arg(long, env = "CLAWDEPLOY_AUDIT_KEEP_DAYS", default_value_t = 400, value_parser = clap::value_parser!(i32).range(0..=36500))]
    pub audit_keep_days: i32,

    /// Directory to which a month of the audit log is written before it is deleted, or `off` to delete it without;
    /// if unset, nothing is deleted
    #[arg(long, env = "CLAWDEPLOY_AUDIT_EXPORT_DIR")]
    pub audit_export_dir: Option<AuditExport>,
}

/// What becomes of a month of the audit log before it is deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditExport {
    /// Nothing.
    Off,
    /// It is written to a file in this directory.
    To(PathBuf),
}

impl FromStr for AuditExport {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "off" => Ok(Self::Off),
            path if path.starts_with('/') => Ok(Self::To(path.into())),
            other => Err(format!("{other:?} is neither an absolute path nor off")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_export_is_a_directory_or_off() {
        assert_eq!("off".parse(), Ok(AuditExport::Off));
        assert_eq!("/var/audit".parse(), Ok(AuditExport::To("/var/audit".into())));
        for text in ["", "audit", "no", "OFF"] {
            assert!(text.parse::<AuditExport>().is_err(), "{text}");
        }
    }
}
