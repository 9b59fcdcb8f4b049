//! Drops months of the audit log, each after it was written to a file.
//!
//! Without a directory for the files, and unless the setting says that none are wanted, nothing is dropped: what nobody
//! decided to delete stays. That is reported, so that somebody decides.

use clawdeploy_shared::{
    db::{
        Db,
        audit_partition::{self, OldPartition},
    },
    metrics::RETENTION_REMOVED,
};

use super::{Pass, RetentionError, export};
use crate::config::AuditExport;

pub(super) async fn run(pass: &mut Pass<'_>) {
    match add_months(pass.db).await {
        Ok(0) => {}
        Ok(stray) => pass.report.reported(
            "audit_without_month",
            "audit_default",
            format!("{stray} entries of the audit log belong to no month that has a partition, and stay."),
        ),
        Err(error) => pass.failed("months of the audit log", &error),
    }
    let days = pass.settings.audit_keep_days;
    if days > 0
        && let Err(error) = drop_old(pass, days).await
    {
        pass.failed("audit log", &error);
    }
}

async fn add_months(db: &Db) -> Result<i64, RetentionError> {
    Ok(audit_partition::add_months(&mut *db.conn().await?).await?)
}

async fn drop_old(pass: &mut Pass<'_>, days: i32) -> Result<(), RetentionError> {
    let old = audit_partition::old(&mut *pass.db.conn().await?, days).await?;
    pass.report.checked += old.len();
    let export = pass.settings.audit_export_dir.clone();
    for partition in old {
        if pass.is_over().await? {
            break;
        }
        let name = &partition.partition;
        match &export {
            None => {
                let until = partition.until_at.date_naive();
                pass.report.reported(
                    "audit_not_exported",
                    name,
                    format!(
                        "Its entries, from before {until}, are older than {days} days and stay. Set \
                         CLAWDEPLOY_AUDIT_EXPORT_DIR to a directory to which they are written before they are deleted, \
                         or to off to delete them without."
                    ),
                );
            }
            Some(AuditExport::Off) => drop_one(pass, &partition, false, None).await?,
            Some(AuditExport::To(directory)) => {
                let file = if partition.exported { None } else { export::write(pass, &partition, directory).await? };
                drop_one(pass, &partition, true, file).await?;
            }
        }
    }
    Ok(())
}

async fn drop_one(
    pass: &mut Pass<'_>,
    partition: &OldPartition,
    exported: bool,
    file: Option<String>,
) -> Result<(), RetentionError> {
    if exported && file.is_none() && !partition.exported {
        // The run ended before the file did.
        return Ok(());
    }
    let worker = pass.worker;
    let entries = audit_partition::drop(&mut *pass.db.conn().await?, worker, partition, exported).await?;
    metrics::counter!(RETENTION_REMOVED, "table" => "audit").increment(entries.unsigned_abs());
    let until = partition.until_at.date_naive();
    let kept = file.map_or_else(String::new, |file| format!(" They are in {file}."));
    let message = format!("Deleted {entries} entries of the audit log from before {until}.{kept}");
    pass.report.repaired("audit_deleted", &partition.partition, message);
    Ok(())
}
