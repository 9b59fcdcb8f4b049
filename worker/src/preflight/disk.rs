//! Free space and inodes.

use std::{path::PathBuf, time::Duration};

use rustix::fs::statvfs;
use tokio::{task::spawn_blocking, time::timeout};

use super::Check;

/// A disk that hangs is reported, not waited for.
const LIMIT: Duration = Duration::from_secs(5);

/// Files of one image and a hundred instances.
const INODES: u64 = 200_000;

/// The file system of a directory. `None`: it is not visible here, such as an engine's in another mount namespace.
pub(super) async fn check(name: &'static str, dir: PathBuf, floor: u64) -> Option<Check> {
    let shown = dir.display().to_string();
    let looked = spawn_blocking(move || dir.is_dir().then(|| statvfs(&dir)));
    match timeout(LIMIT, looked).await {
        Ok(Ok(Some(Ok(stat)))) => {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize);
            Some(judge(name, &shown, free, floor, (stat.f_files, stat.f_favail)))
        }
        Ok(Ok(Some(Err(error)))) => {
            let found = format!("{shown} cannot be measured: {}", std::io::Error::from(error));
            Some(Check::warn(name, found, "Check its mount and the worker's rights."))
        }
        Ok(Ok(None)) if name == "data_dir" => {
            let fix = "Mount it, or set CLAWDEPLOY_DATA_DIR.";
            Some(Check::fail(name, format!("{shown} is not a directory"), fix))
        }
        Ok(Ok(None) | Err(_)) => None,
        Err(_) => {
            let found = format!("{shown} did not answer within {} s", LIMIT.as_secs());
            Some(Check::fail(name, found, "Check its disk or network mount."))
        }
    }
}

/// `inodes`: all and free ones. File systems without a fixed number have 0.
fn judge(name: &'static str, dir: &str, free: u64, floor: u64, (all, left): (u64, u64)) -> Check {
    let inodes = if all == 0 { "unlimited".to_owned() } else { left.to_string() };
    let found = format!("{dir} has {} MiB and {inodes} inodes free", free >> 20);
    if free < floor {
        let fix = format!("Free space: a build needs {} MiB (CLAWDEPLOY_MIN_DISK_MIB).", floor >> 20);
        return Check::warn(name, found, fix);
    }
    if all > 0 && left < INODES {
        let fix = "Remove files, or use a file system with more inodes (XFS, or mkfs.ext4 -i 8192).";
        return Check::warn(name, found, fix);
    }
    Check::ok(name, found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preflight::CheckStatus;

    #[test]
    fn bytes_and_inodes_may_run_out() {
        let status = |free, inodes| judge("data_dir", "/data", free, 6 << 30, inodes).status;
        assert_eq!(status(7 << 30, (1_000_000, 900_000)), CheckStatus::Ok);
        assert_eq!(status(5 << 30, (1_000_000, 900_000)), CheckStatus::Warn);
        assert_eq!(status(7 << 30, (1_000_000, 10)), CheckStatus::Warn);
        assert_eq!(status(7 << 30, (0, 0)), CheckStatus::Ok, "btrfs counts none");
    }

    #[tokio::test]
    async fn a_missing_directory_is_an_error_only_if_it_is_ours() {
        assert_eq!(check("data_dir", "/nonexistent".into(), 0).await.unwrap().status, CheckStatus::Fail);
        assert_eq!(check("engine_dir", "/nonexistent".into(), 0).await, None);
        assert_eq!(check("data_dir", "/".into(), 0).await.unwrap().name, "data_dir");
    }
}
