//! The reconciler's sweeps: which worker runs them, when they are due, and the result of their last run.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Array, Bool, Float8, Int8, Jsonb, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{Conn, DbError, schema::sweeps};
use crate::text_enum;

/// Most findings stored for a run. Further ones are only counted.
const KEPT: usize = 100;

text_enum!(
    /// The sweeps, in the order in which a pass runs them.
    SweepName {
        /// Containers whose state differs from their instance's status.
        Drift = "drift",
        /// Instances in an intermediate state without an open job.
        Stuck = "stuck",
        /// Due jobs that nobody claimed.
        Doorbells = "doorbells",
        /// The routes that nginx has.
        Routes = "routes",
        /// Containers and networks that belong to no instance.
        Orphans = "orphans",
        /// Directories that belong to no instance.
        Directories = "directories",
        /// Leftovers of interrupted removals.
        Trash = "trash",
        /// Expired port refusals, and ports that differ from the container's.
        Ports = "ports",
        /// Snapshots that are no longer needed.
        Snapshots = "snapshots",
        /// The size of instances' files.
        Disk = "disk",
        /// Old images and abandoned builds.
        Images = "images",
        /// Addresses that instances must not reach.
        Firewall = "firewall",
        /// What is older than it needs to be kept. Not part of a pass: it has a task of its own.
        Retention = "retention",
    }
);

impl SweepName {
    /// The sweeps of a pass.
    pub fn pass() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|name| *name != Self::Retention)
    }
}

text_enum!(
    /// What was done about a finding.
    FindingAction {
        /// It was repaired, or a job is repairing it.
        Repaired = "repaired",
        /// A person has to look at it.
        Reported = "reported",
        /// It may pass; a later run decides.
        Watching = "watching",
    }
);

/// One thing that was not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// Stable code, `snake_case`.
    pub code: String,
    /// What it is about: an instance's, container's or network's id, a queue, a port.
    pub subject: String,
    pub action: FindingAction,
    /// For a person.
    pub message: String,
}

/// What one run of a sweep did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// How many things were checked.
    pub checked: usize,
    pub findings: Vec<Finding>,
}

impl SweepReport {
    /// A report on this many things without findings.
    pub fn of(checked: usize) -> Self {
        Self { checked, findings: Vec::new() }
    }

    pub fn repaired(&mut self, code: &str, subject: &(impl ToString + ?Sized), message: impl Into<String>) {
        self.found(FindingAction::Repaired, code, subject, message.into());
    }

    pub fn reported(&mut self, code: &str, subject: &(impl ToString + ?Sized), message: impl Into<String>) {
        self.found(FindingAction::Reported, code, subject, message.into());
    }

    pub fn watching(&mut self, code: &str, subject: &(impl ToString + ?Sized), message: impl Into<String>) {
        self.found(FindingAction::Watching, code, subject, message.into());
    }

    fn found(&mut self, action: FindingAction, code: &str, subject: &(impl ToString + ?Sized), message: String) {
        self.findings.push(Finding { code: code.to_owned(), subject: subject.to_string(), action, message });
    }
}

/// A sweep and its last run.
#[derive(Debug, Clone, Queryable, Selectable, Serialize, ToSchema)]
#[diesel(table_name = sweeps, check_for_backend(diesel::pg::Pg))]
#[serde(rename_all = "camelCase")]
pub struct Sweep {
    pub name: SweepName,
    /// When an administrator last asked for it.
    pub requested_at: Option<DateTime<Utc>>,
    /// When its last run began; null: it never ran.
    pub ran_at: Option<DateTime<Utc>>,
    /// How long that run took, in milliseconds.
    pub duration_ms: Option<i64>,
    /// Worker that ran it.
    pub worker: Option<String>,
    /// How many things that run looked at.
    pub checked: i64,
    /// What that run found.
    #[schema(value_type = Vec<Finding>)]
    pub findings: Value,
    /// The error of that run; null: it completed.
    pub error: Option<String>,
    /// When the last run that repaired something began.
    pub repaired_at: Option<DateTime<Utc>>,
    /// What that one repaired.
    #[schema(value_type = Vec<Finding>)]
    pub repairs: Value,
}

impl Sweep {
    /// Whether a run that began after `at` has ended.
    pub fn has_run_since(&self, at: DateTime<Utc>) -> bool {
        self.ran_at.is_some_and(|ran_at| ran_at > at)
    }
}

/// Every sweep that ran or was requested, in the order of a pass.
pub async fn list(conn: &mut Conn) -> Result<Vec<Sweep>, DbError> {
    // During an upgrade the table may have sweeps that this version does not know.
    let known = sweeps::table.filter(sweeps::name.eq_any(SweepName::ALL));
    let mut found: Vec<Sweep> = known.select(Sweep::as_select()).load(conn).await?;
    found.sort_by_key(|sweep| sweep.name);
    Ok(found)
}

#[derive(QueryableByName)]
struct At {
    #[diesel(sql_type = Timestamptz)]
    at: DateTime<Utc>,
}

/// Requests an immediate run of every sweep. Returns the time to pass to [`Sweep::has_run_since`].
pub async fn request(conn: &mut Conn) -> Result<DateTime<Utc>, DbError> {
    let requested: Vec<At> = diesel::sql_query(
        "INSERT INTO sweeps (name, requested_at) SELECT unnest($1), now() \
         ON CONFLICT (name) DO UPDATE SET requested_at = excluded.requested_at RETURNING requested_at AS at",
    )
    .bind::<Array<Text>, _>(SweepName::ALL)
    .load(conn)
    .await?;
    requested.into_iter().next().map(|row| row.at).ok_or(DbError::Query(diesel::result::Error::NotFound))
}

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = Bool)]
    yes: bool,
}

/// Whether a pass is due: a sweep never ran, was requested since its last run began, or began that `period` ago.
pub async fn is_due(conn: &mut Conn, names: &[SweepName], period: Duration) -> Result<bool, DbError> {
    let answer: Answer = diesel::sql_query(
        "SELECT count(ran_at) < cardinality($1) OR coalesce( \
           bool_or(requested_at > ran_at OR ran_at <= now() - make_interval(secs => $2)), false) AS yes \
         FROM sweeps WHERE name = ANY($1)",
    )
    .bind::<Array<Text>, _>(names)
    .bind::<Float8, _>(period.as_secs_f64())
    .get_result(conn)
    .await?;
    Ok(answer.yes)
}

/// One run of a sweep, with its result.
#[derive(Debug, Clone)]
pub struct SweepRun {
    pub name: SweepName,
    /// When it began, by [`SessionLock::clock`](super::session_lock::SessionLock::clock).
    pub ran_at: DateTime<Utc>,
    pub duration: Duration,
    pub report: SweepReport,
    pub error: Option<String>,
}

/// Stores a run as the sweep's last one, unless a later one is stored.
pub async fn record(conn: &mut Conn, worker: &str, run: &SweepRun) -> Result<(), DbError> {
    let findings = &run.report.findings;
    let repairs: Vec<&Finding> = findings.iter().filter(|f| f.action == FindingAction::Repaired).collect();
    let repaired_at = (!repairs.is_empty()).then_some(run.ran_at);
    let number = |n: u128| i64::try_from(n).unwrap_or(i64::MAX);
    diesel::sql_query(
        "INSERT INTO sweeps (name, ran_at, duration_ms, worker, checked, findings, error, repaired_at, repairs) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
         ON CONFLICT (name) DO UPDATE SET ran_at = excluded.ran_at, duration_ms = excluded.duration_ms, \
           worker = excluded.worker, checked = excluded.checked, findings = excluded.findings, error = excluded.error, \
           repaired_at = coalesce(excluded.repaired_at, sweeps.repaired_at), \
           repairs = CASE WHEN excluded.repaired_at IS NULL THEN sweeps.repairs ELSE excluded.repairs END \
         WHERE sweeps.ran_at IS NULL OR sweeps.ran_at <= excluded.ran_at",
    )
    .bind::<Text, _>(run.name)
    .bind::<Timestamptz, _>(run.ran_at)
    .bind::<Int8, _>(number(run.duration.as_millis()))
    .bind::<Text, _>(worker)
    .bind::<Int8, _>(number(run.report.checked as u128))
    .bind::<Jsonb, _>(kept(findings.iter()))
    .bind::<Nullable<Text>, _>(run.error.as_deref())
    .bind::<Nullable<Timestamptz>, _>(repaired_at)
    .bind::<Jsonb, _>(kept(repairs.into_iter()))
    .execute(conn)
    .await?;
    Ok(())
}

/// The first findings as JSON, and one that counts the rest.
fn kept<'a>(mut findings: impl ExactSizeIterator<Item = &'a Finding>) -> Value {
    let mut kept: Vec<Value> = findings.by_ref().take(KEPT).map(|finding| serde_json::json!(finding)).collect();
    let more = findings.len();
    if more > 0 {
        kept.push(serde_json::json!(Finding {
            code: "more".to_owned(),
            subject: String::new(),
            action: FindingAction::Watching,
            message: format!("{more} more are not shown."),
        }));
    }
    Value::Array(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_findings_is_cut_and_says_so() {
        let mut report = SweepReport::of(1000);
        for n in 0..KEPT + 7 {
            report.reported("x", &n, "");
        }
        let kept = kept(report.findings.iter());
        assert_eq!(kept.as_array().map(Vec::len), Some(KEPT + 1));
        assert_eq!(kept[KEPT]["message"], "7 more are not shown.");
    }

    #[test]
    fn findings_are_what_is_read_back() {
        let mut report = SweepReport::of(1);
        report.repaired("code", "subject", "message");
        let stored = kept(report.findings.iter());
        assert_eq!(
            stored,
            serde_json::json!([{ "code": "code", "subject": "subject", "action": "repaired", "message": "message" }])
        );
        assert_eq!(serde_json::from_value::<Vec<Finding>>(stored).unwrap(), report.findings);
    }
}
