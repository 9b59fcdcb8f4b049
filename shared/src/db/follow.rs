//! What open streams wait for, asked for all of them in one statement.
//!
//! The statements see the rows of everybody. Each answer names the owner, for the caller to compare.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Bool, Nullable, Text, Timestamptz, Uuid},
};
use diesel_async::RunQueryDsl;

use super::{Conn, DbError, job::Job, job_event::JobEvent, schema::jobs, session, token, user::Role};
use crate::ids::{InstanceId, JobId, SessionId, TokenId, UserId};

/// Maximum number of events of a job in one answer.
const PER_JOB: i64 = 200;
/// Maximum number of events in all answers together. Whoever is left out gets an answer next time.
const IN_ALL: i64 = 20_000;

/// A job, and how far its log was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct JobPosition {
    pub job: JobId,
    /// Id of the last event that was read; 0: none.
    pub after: i64,
}

/// What has happened to a job since a position.
#[derive(Debug, Clone)]
pub enum JobNews {
    /// There is no such job any more.
    Gone,
    More {
        owner: Option<UserId>,
        /// The next events, in order.
        events: Vec<JobEvent>,
        /// The job, if it has ended and there are no events after these.
        ended: Option<Box<Job>>,
    },
}

#[derive(QueryableByName)]
struct Line {
    /// Place of the position in the question, from 1.
    #[diesel(sql_type = BigInt)]
    n: i64,
    #[diesel(sql_type = Bool)]
    found: bool,
    #[diesel(sql_type = Nullable<Uuid>)]
    owner: Option<UserId>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    ended_at: Option<DateTime<Utc>>,
    #[diesel(embed)]
    event: Option<JobEvent>,
}

/// Those of these positions after which something has happened, and what. The first ones have precedence.
///
/// A job and its events are read by one statement. Events are written under the lock of their job's row, so they become
/// visible in the order of their ids, the last ones together with the end of the job.
pub async fn job_news(conn: &mut Conn, positions: &[JobPosition]) -> Result<Vec<(JobPosition, JobNews)>, DbError> {
    let ids: Vec<_> = positions.iter().map(|position| position.job).collect();
    let after: Vec<_> = positions.iter().map(|position| position.after).collect();
    let lines: Vec<Line> = diesel::sql_query(
        "SELECT asked.n, j.id IS NOT NULL AS found, j.owner_id AS owner, j.finished_at AS ended_at, e.* \
         FROM unnest($1, $2) WITH ORDINALITY AS asked (job, after, n) \
         LEFT JOIN jobs j ON j.id = asked.job \
         LEFT JOIN LATERAL (SELECT id, job_id, attempt, kind, step, message, progress, duration_ms, created_at \
           FROM job_events WHERE job_id = asked.job AND id > asked.after ORDER BY id LIMIT $3) e ON true \
         WHERE e.id IS NOT NULL OR j.id IS NULL OR j.finished_at IS NOT NULL \
         ORDER BY asked.n, e.id LIMIT $4",
    )
    .bind::<Array<Uuid>, _>(ids)
    .bind::<Array<BigInt>, _>(after)
    .bind::<BigInt, _>(PER_JOB)
    .bind::<BigInt, _>(IN_ALL)
    .load(conn)
    .await?;
    let ended = lines.iter().filter(|line| line.ended_at.is_some());
    let ended: Vec<_> = ended.filter_map(|line| Some(positions.get(index(line))?.job)).collect();
    let ended = if ended.is_empty() { HashMap::new() } else { ended_jobs(conn, &ended).await? };
    let cut = if is_full(lines.len(), IN_ALL) { lines.last().map(|line| line.n) } else { None };
    let mut news = Vec::new();
    for lines in lines.chunk_by(|one, next| one.n == next.n) {
        let Some((line, position)) = lines.first().and_then(|line| Some((line, positions.get(index(line))?))) else {
            continue;
        };
        let has_all = !is_full(lines.len(), PER_JOB) && cut != Some(line.n);
        // An administrator may have retried it in the meantime.
        let ended = ended.get(&position.job).filter(|job| has_all && job.finished_at == line.ended_at);
        let events = lines.iter().filter_map(|line| line.event.clone()).collect();
        let more = JobNews::More { owner: line.owner, events, ended: ended.cloned().map(Box::new) };
        news.push((*position, if line.found { more } else { JobNews::Gone }));
    }
    Ok(news)
}

fn index(line: &Line) -> usize {
    usize::try_from(line.n - 1).unwrap_or(usize::MAX)
}

fn is_full(count: usize, limit: i64) -> bool {
    i64::try_from(count).is_ok_and(|count| count >= limit)
}

/// Those of these jobs that have ended.
async fn ended_jobs(conn: &mut Conn, ids: &[JobId]) -> Result<HashMap<JobId, Job>, DbError> {
    let ended = jobs::table.filter(jobs::id.eq_any(ids).and(jobs::finished_at.is_not_null()));
    let rows: Vec<Job> = ended.select(Job::as_select()).load(conn).await?;
    Ok(rows.into_iter().map(|job| (job.id, job)).collect())
}

/// A person's access by a credential, to an instance if one is named.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Access {
    pub user: UserId,
    /// The role that the person had when the access began.
    pub role: Role,
    /// The credential, unless it has no row in the database.
    pub session: Option<SessionId>,
    pub token: Option<TokenId>,
    /// An instance that the person must own.
    pub instance: Option<InstanceId>,
}

#[derive(QueryableByName)]
struct Holds {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

/// Those of these accesses that have ended: the person was suspended or has another role, the credential is no longer
/// valid, or the instance is somebody else's or gone.
///
/// The statement names those that hold, so that whatever goes wrong takes rights and does not give them.
pub async fn ended_access(conn: &mut Conn, asked: &[Access]) -> Result<Vec<Access>, DbError> {
    let query = format!(
        "SELECT asked.n FROM unnest($1, $2, $3, $4, $5) WITH ORDINALITY \
           AS asked (\"user\", role, session, token, instance, n) \
         JOIN users u ON u.id = asked.\"user\" AND u.role = asked.role AND u.suspended_at IS NULL \
         WHERE (asked.session IS NULL OR EXISTS (SELECT FROM sessions \
             WHERE sessions.id = asked.session AND sessions.user_id = u.id AND {session})) \
           AND (asked.token IS NULL OR EXISTS (SELECT FROM api_tokens \
             WHERE api_tokens.id = asked.token AND api_tokens.user_id = u.id AND {token})) \
           AND (asked.instance IS NULL OR EXISTS (SELECT FROM instances \
             WHERE instances.id = asked.instance AND instances.owner_id = u.id))",
        session = session::is_alive(),
        token = token::IS_ALIVE,
    );
    let holds: Vec<Holds> = diesel::sql_query(query)
        .bind::<Array<Uuid>, _>(asked.iter().map(|access| access.user).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(asked.iter().map(|access| access.role).collect::<Vec<_>>())
        .bind::<Array<Nullable<Uuid>>, _>(asked.iter().map(|access| access.session).collect::<Vec<_>>())
        .bind::<Array<Nullable<Uuid>>, _>(asked.iter().map(|access| access.token).collect::<Vec<_>>())
        .bind::<Array<Nullable<Text>>, _>(asked.iter().map(|access| access.instance.as_ref()).collect::<Vec<_>>())
        .load(conn)
        .await?;
    let holds: HashSet<_> = holds.into_iter().filter_map(|row| usize::try_from(row.n - 1).ok()).collect();
    let ended = asked.iter().enumerate().filter(|(n, _)| !holds.contains(n));
    Ok(ended.map(|(_, access)| access.clone()).collect())
}
