//! Claims due jobs, in turn and with a fair share of the worker's slots for each owner.

use std::time::Duration;

use diesel::{QueryableByName, sql_types};
use diesel_async::RunQueryDsl as _;
use futures_util::StreamExt as _;

use crate::{
    db::{Conn, DbError, job::Job},
    fair_slots::FairSlots,
    ids::UserId,
    job::{JobKind, Queue, UndoOutcome},
};

/// Most jobs that one claim takes. Large enough that a statement and its commit are cheap beside the jobs.
const MOST: usize = 256;

/// The result of a claim.
#[derive(Debug, Default)]
pub struct Claimed {
    pub jobs: Vec<Job>,
    /// Rows that could not be read. They are running in this worker's name, so it has to give them back.
    pub unreadable: Vec<diesel::result::Error>,
    /// Whether more jobs may be claimable at once.
    pub more: bool,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(embed)]
    job: Job,
    /// Claimable jobs that the statement found. It may have left some of them to other owners.
    #[diesel(sql_type = sql_types::Int8)]
    found: i64,
}

/// The condition for a job `due` to be claimable, apart from its time: its queue is not paused, its instance has no
/// older open job, and its dependency has ended. `$1` are the kinds and `$2` the undo outcomes that this version knows.
/// `queue` is the statement's expression for the queue.
///
/// `OFFSET 0` keeps each check what it is, a lookup for one job. Postgres would join it otherwise, expect that hardly any
/// job is left, and read and sort all that wait instead of the first ones in the index. A job has not ended while
/// `finished_at` is null. With the status instead, Postgres could look for the dependency among all open jobs.
pub(in crate::db) fn claimable(queue: &str) -> String {
    format!(
        "due.status = 'queued' AND due.kind = ANY($1) AND (due.unwinding_to IS NULL OR due.unwinding_to = ANY($2)) \
         AND NOT EXISTS (SELECT 1 FROM queue_pauses paused WHERE paused.queue = {queue} OFFSET 0) \
         AND NOT EXISTS (SELECT 1 FROM jobs older WHERE older.instance_id = due.instance_id \
              AND older.seq < due.seq AND older.status IN ('queued', 'running') OFFSET 0) \
         AND NOT EXISTS (SELECT 1 FROM jobs needed WHERE needed.id = due.depends_on \
              AND needed.finished_at IS NULL OFFSET 0)"
    )
}

/// Finds the first claimable jobs of the queue `$3`, at most `$6`: one scan of the index `jobs_due`.
fn in_turn() -> String {
    format!(
        "WITH found AS MATERIALIZED ( \
           SELECT due.id, due.owner_id, due.turn, due.seq FROM jobs due \
           WHERE due.queue = $3 AND due.run_at <= now() AND {claimable} \
           ORDER BY due.turn, due.seq LIMIT $6 FOR UPDATE SKIP LOCKED)",
        claimable = claimable("$3"),
    )
}

/// The same without the owners `$7` that hold as many slots (`$8`) as are free (`$9`). Thousands of their jobs may be
/// first in turn. So this looks at the jobs of each owner on its own: it steps from one owner to the next in the index
/// `jobs_last_turn`, which costs one lookup for each owner with waiting jobs, however many jobs that owner has. It orders
/// by the owner, and asks for a range of one owner, because then only that index fits: the jobs of one owner are also in
/// `jobs_due`, among all others. What it found is locked if it still waits: it has neither a lease nor an end.
fn in_turn_below_the_share() -> String {
    format!(
        "WITH RECURSIVE owners (owner_id) AS ( \
           (SELECT owner_id FROM jobs WHERE queue = $3 AND status = 'queued' AND owner_id IS NOT NULL \
            ORDER BY owner_id LIMIT 1) \
           UNION ALL \
           SELECT (SELECT next.owner_id FROM jobs next WHERE next.queue = $3 AND next.status = 'queued' \
                     AND next.owner_id > owners.owner_id ORDER BY next.owner_id LIMIT 1) \
           FROM owners WHERE owners.owner_id IS NOT NULL), \
         first AS MATERIALIZED ( \
           (SELECT due.id, due.turn, due.seq FROM jobs due \
            WHERE due.queue = $3 AND due.owner_id IS NULL AND due.run_at <= now() AND {claimable} \
            ORDER BY due.owner_id, due.turn LIMIT $6) \
           UNION ALL \
           SELECT own.* FROM owners CROSS JOIN LATERAL ( \
              SELECT due.id, due.turn, due.seq FROM jobs due \
              WHERE due.queue = $3 AND due.owner_id BETWEEN owners.owner_id AND owners.owner_id \
                AND due.run_at <= now() AND {claimable} \
              ORDER BY due.owner_id, due.turn LIMIT $6) own \
           WHERE owners.owner_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM unnest($7, $8) AS holds (owner_id, slots) \
              WHERE holds.owner_id = owners.owner_id AND holds.slots >= $9)), \
         found AS MATERIALIZED ( \
           SELECT due.id, due.owner_id, due.turn, due.seq FROM jobs due \
           WHERE due.id = ANY (ARRAY(SELECT id FROM first ORDER BY turn, seq LIMIT $6)) \
             AND due.lease_until IS NULL AND due.finished_at IS NULL \
           ORDER BY due.turn, due.seq FOR UPDATE SKIP LOCKED)",
        claimable = claimable("$3"),
    )
}

/// Claims due jobs of a queue, in turn, at most as many as `slots` are free. Skips jobs whose instance has an older open
/// job or whose dependency has not ended.
///
/// The jobs of an owner take only as many slots as it [may](FairSlots::may_take). The statement applies the rule to each
/// job that it found as if it took all jobs before it. So it may leave a job that the next claim takes, but it takes none
/// too many. It always takes the first one that it finds.
///
/// Claims only kinds and undo outcomes that this version knows. Anything else waits for a newer worker, and so do later
/// jobs on its instance. Each row is decoded separately, so that one unreadable row does not lose the others.
pub async fn claim(
    conn: &mut Conn,
    queue: Queue,
    worker: &str,
    lease: Duration,
    slots: &FairSlots,
) -> Result<Claimed, DbError> {
    let int = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let wanted = int(slots.free().min(MOST));
    let (owners, held): (Vec<UserId>, Vec<i64>) = slots.owners().map(|(owner, held)| (owner, int(held))).unzip();
    let all_may = owners.iter().all(|owner| slots.may_take(Some(*owner)));
    let query = diesel::sql_query(format!(
        "{found}, \
         ranked AS ( \
           SELECT id, owner_id, row_number() OVER (ORDER BY turn, seq) AS nth, \
             row_number() OVER (PARTITION BY owner_id ORDER BY turn, seq) AS nth_of_owner FROM found), \
         next AS ( \
           SELECT id FROM ranked WHERE owner_id IS NULL OR nth_of_owner - 1 + coalesce( \
             (SELECT slots FROM unnest($7, $8) AS holds (owner_id, slots) WHERE holds.owner_id = ranked.owner_id), 0) \
             < $9 - (nth - 1)), \
         taken AS ( \
           UPDATE jobs SET status = 'running', attempt = attempt + 1, leased_by = $4, \
             lease_until = now() + make_interval(secs => $5), started_at = coalesce(started_at, now()) \
           WHERE jobs.id = ANY (ARRAY(SELECT id FROM next)) RETURNING jobs.*), \
         noted AS ( \
           INSERT INTO job_events (job_id, attempt, kind, message) \
           SELECT id, attempt, 'claimed', 'Taken by ' || $4 FROM taken) \
         SELECT taken.*, (SELECT count(*) FROM found) AS found FROM taken ORDER BY turn, seq",
        found = if all_may { in_turn() } else { in_turn_below_the_share() },
    ))
    .bind::<sql_types::Array<sql_types::Text>, _>(JobKind::ALL)
    .bind::<sql_types::Array<sql_types::Text>, _>(UndoOutcome::ALL)
    .bind::<sql_types::Text, _>(queue)
    .bind::<sql_types::Text, _>(worker)
    .bind::<sql_types::Float8, _>(lease.as_secs_f64())
    .bind::<sql_types::Int8, _>(wanted)
    .bind::<sql_types::Array<sql_types::Uuid>, _>(owners)
    .bind::<sql_types::Array<sql_types::Int8>, _>(held)
    .bind::<sql_types::Int8, _>(int(slots.free()));
    let mut rows = match query.load_stream::<Row>(conn).await {
        // Two jobs of one instance at the same moment: the index admits one, and the other waits.
        Err(error) if is_second_on_instance(&error) => return Ok(Claimed::default()),
        other => other?,
    };
    let mut claimed = Claimed::default();
    let mut found = 0;
    while let Some(row) = rows.next().await {
        match row {
            Ok(row) => {
                found = row.found;
                claimed.jobs.push(row.job);
            }
            Err(error @ diesel::result::Error::DeserializationError(_)) => claimed.unreadable.push(error),
            Err(error) if is_second_on_instance(&error) => return Ok(Claimed::default()),
            // Stop here: a closed connection yields errors without end.
            Err(error) => return Err(error.into()),
        }
    }
    let taken = int(claimed.jobs.len() + claimed.unreadable.len());
    claimed.more = taken > 0 && (taken < found || found == wanted);
    Ok(claimed)
}

fn is_second_on_instance(error: &diesel::result::Error) -> bool {
    matches!(error, diesel::result::Error::DatabaseError(diesel::result::DatabaseErrorKind::UniqueViolation, info)
        if info.constraint_name() == Some("jobs_one_running_per_instance"))
}
