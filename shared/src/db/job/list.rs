//! Lists of jobs, newest first. A page looks at a limited number of jobs, however many there are.
//!
//! The filter that an index serves selects the jobs. Those that match the other filters are looked for among the next
//! [`WINDOW`] of them. If a page is not full then, [`JobPage::searched_to`] says where the next one continues, so that
//! nothing is left out.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{Job, is_open, visible};
use crate::{
    db::{Conn, DbError, Scope, escape_like, literal::Literal, schema::jobs},
    ids::{InstanceId, UserId},
    job::{JobKind, JobStatus},
};

/// How many jobs a page looks at.
pub const WINDOW: i64 = 20_000;

/// Fewer digits of a job's id tell too little: it begins with a time, and those of the same minute share eight.
const ID_DIGITS: usize = 8;

/// Most jobs whose id begins alike.
const ALIKE: i64 = 1000;

/// Kinds that are not in the index `jobs_rare_kinds`, because there are many jobs of each.
const COMMON: [JobKind; 4] = [JobKind::Start, JobKind::Stop, JobKind::Restart, JobKind::Noop];

/// Filter for a list of jobs.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    pub instance: Option<InstanceId>,
    /// Only those in one of these. Empty: any.
    pub statuses: Vec<JobStatus>,
    pub kind: Option<JobKind>,
    pub owner: Option<UserId>,
    /// Only those with this in their error or instance id, ignoring case. If it is the id of an instance or a job, or
    /// at least eight digits with which jobs' ids begin, only those.
    pub text: Option<String>,
    /// Only those that arrived before this one.
    pub before_seq: Option<i64>,
}

/// Jobs, newest first.
#[derive(Debug, Default)]
pub struct JobPage {
    pub jobs: Vec<Job>,
    /// The lowest `seq` that was looked at, if the page is not full although older jobs may match.
    pub searched_to: Option<i64>,
}

/// The jobs of [`page`]. For a filter that an index serves: with others, older jobs that match may be missing.
pub async fn list(conn: &mut Conn, scope: Scope, filter: &JobFilter, limit: i64) -> Result<Vec<Job>, DbError> {
    Ok(page(conn, scope, filter, limit).await?.jobs)
}

/// At most `limit` jobs that match.
pub async fn page(conn: &mut Conn, scope: Scope, filter: &JobFilter, limit: i64) -> Result<JobPage, DbError> {
    let Some(text) = &filter.text else { return in_window(conn, scope, filter, limit).await };
    let jobs = by_id(conn, scope, filter, text, limit).await?;
    if !jobs.is_empty() {
        return Ok(JobPage { jobs, searched_to: None });
    }
    if let (None, Ok(id)) = (&filter.instance, text.to_lowercase().parse()) {
        let on_it = JobFilter { instance: Some(id), text: None, ..filter.clone() };
        let page = in_window(conn, scope, &on_it, limit).await?;
        if !page.jobs.is_empty() || page.searched_to.is_some() {
            return Ok(page);
        }
    }
    in_window(conn, scope, filter, limit).await
}

type Boxed<'a> = jobs::BoxedQuery<'a, diesel::pg::Pg>;

/// Jobs whose id begins with the text.
async fn by_id(conn: &mut Conn, scope: Scope, filter: &JobFilter, text: &str, limit: i64) -> Result<Vec<Job>, DbError> {
    let Some((first, last)) = ids_that_begin_with(text) else { return Ok(Vec::new()) };
    // A statement of its own. In one with the order of the page, the plan may look for them from the newest job on.
    let alike = jobs::table.filter(jobs::id.between(first, last)).order(jobs::id.desc()).limit(ALIKE);
    let alike: Vec<Uuid> = alike.select(jobs::id).load(conn).await?;
    if alike.is_empty() {
        return Ok(Vec::new());
    }
    let filter = JobFilter { text: None, ..filter.clone() };
    let query = narrowed(selected(visible(scope), &filter), &filter).0.filter(jobs::id.eq_any(alike));
    Ok(query.order(jobs::seq.desc()).limit(limit).select(Job::as_select()).load(conn).await?)
}

/// The first and the last UUID that begins with this text. `None`: none does, or it is too short.
fn ids_that_begin_with(text: &str) -> Option<(Uuid, Uuid)> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    let filled =
        |with: &str| Uuid::try_parse(&format!("{digits}{}", with.repeat(32_usize.saturating_sub(digits.len()))));
    let is_hex = digits.len() >= ID_DIGITS && digits.bytes().all(|b| b.is_ascii_hexdigit());
    if is_hex { filled("0").ok().zip(filled("f").ok()) } else { None }
}

async fn in_window(conn: &mut Conn, scope: Scope, filter: &JobFilter, limit: i64) -> Result<JobPage, DbError> {
    let (mut query, is_narrowed) = narrowed(selected(visible(scope), filter), filter);
    let mut end: Option<i64> = None;
    if is_narrowed {
        let window = selected(visible(scope), filter).order(jobs::seq.desc()).offset(WINDOW - 1);
        end = window.limit(1).select(jobs::seq).first(conn).await.optional()?;
    }
    if let Some(end) = end {
        // Both bounds, because a generic plan expects a third of the table from one, and few jobs from two.
        query = query.filter(jobs::seq.between(end, filter.before_seq.unwrap_or(i64::MAX)));
    }
    let jobs: Vec<Job> = query.order(jobs::seq.desc()).limit(limit).select(Job::as_select()).load(conn).await?;
    let is_full = i64::try_from(jobs.len()) == Ok(limit);
    Ok(JobPage { jobs, searched_to: end.filter(|_| !is_full) })
}

/// What selects the jobs to look at, by an index in the order of `seq`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Selected {
    OnInstance,
    OfOwner,
    Open,
    /// `jobs_rare_kinds`
    OfKind,
    /// `jobs_dead`
    Failed,
    All,
}

impl JobFilter {
    fn selected(&self) -> Selected {
        let only = |these: &[JobStatus]| !self.statuses.is_empty() && self.statuses.iter().all(|s| these.contains(s));
        if self.instance.is_some() {
            Selected::OnInstance
        } else if self.owner.is_some() {
            Selected::OfOwner
        } else if only(&[JobStatus::Queued, JobStatus::Running]) {
            Selected::Open
        } else if self.kind.is_some_and(|kind| !COMMON.contains(&kind)) {
            Selected::OfKind
        } else if only(&[JobStatus::Failed]) {
            Selected::Failed
        } else {
            Selected::All
        }
    }
}

/// The jobs to look at.
fn selected<'a>(mut query: Boxed<'a>, filter: &'a JobFilter) -> Boxed<'a> {
    if let Some(seq) = filter.before_seq {
        query = query.filter(jobs::seq.lt(seq));
    }
    match filter.selected() {
        Selected::OnInstance => query.filter(jobs::instance_id.eq(filter.instance.as_ref())),
        Selected::OfOwner => query.filter(jobs::owner_id.eq(filter.owner)),
        Selected::Open => query.filter(is_open()),
        Selected::OfKind => query.filter(Literal::any_of("jobs.kind", filter.kind.map(JobKind::as_str))),
        Selected::Failed => query.filter(Literal::new("(jobs.status = 'failed')")),
        Selected::All => query,
    }
}

/// Adds the other filters. False: there are none.
fn narrowed<'a>(mut query: Boxed<'a>, filter: &'a JobFilter) -> (Boxed<'a>, bool) {
    let by = filter.selected();
    let mut narrowed = false;
    let all_open =
        by == Selected::Open && [JobStatus::Queued, JobStatus::Running].iter().all(|s| filter.statuses.contains(s));
    if !filter.statuses.is_empty() && by != Selected::Failed && !all_open {
        query = query.filter(Literal::any_of("jobs.status", filter.statuses.iter().map(|status| status.as_str())));
        narrowed = true;
    }
    if let Some(kind) = filter.kind.filter(|_| by != Selected::OfKind) {
        query = query.filter(Literal::any_of("jobs.kind", [kind.as_str()]));
        narrowed = true;
    }
    if let Some(owner) = filter.owner.filter(|_| by != Selected::OfOwner) {
        query = query.filter(jobs::owner_id.eq(owner));
        narrowed = true;
    }
    if let Some(text) = &filter.text {
        let anywhere = format!("%{}%", escape_like(text));
        let in_error = jobs::error_message.ilike(anywhere.clone()).or(jobs::error_code.ilike(anywhere.clone()));
        query = query.filter(in_error.or(jobs::instance_id.ilike(anywhere)));
        narrowed = true;
    }
    (query, narrowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::JobStatus::{Cancelled, Failed, Queued, Running, Succeeded};

    #[test]
    fn the_beginning_of_an_id() {
        let ids = |text| ids_that_begin_with(text).map(|(first, last)| format!("{first} {last}"));
        let range = "019a0000-1200-0000-0000-000000000000 019a0000-12ff-ffff-ffff-ffffffffffff";
        assert_eq!(ids("019A0000-12").as_deref(), Some(range));
        let whole = "019a0000-1234-7abc-8def-0123456789ab";
        assert_eq!(ids(whole).as_deref(), Some(format!("{whole} {whole}").as_str()));
        for other in ["019a000", "port 80 is", "019a0000 12", &format!("{whole}0"), "", "--------", "gateway_exited"] {
            assert_eq!(ids(other), None, "{other:?}");
        }
    }

    #[test]
    fn an_index_for_each_filter() {
        let filter =
            |statuses: &[JobStatus], kind| JobFilter { statuses: statuses.to_vec(), kind, ..JobFilter::default() };
        for (statuses, kind, want) in [
            (&[][..], None, Selected::All),
            (&[Failed], Some(JobKind::Start), Selected::Failed),
            (&[Cancelled, Failed], None, Selected::All),
            (&[Failed, Succeeded], None, Selected::All),
            (&[Failed], Some(JobKind::Delete), Selected::OfKind),
            (&[Running, Queued], Some(JobKind::Delete), Selected::Open),
            (&[], Some(JobKind::Stop), Selected::All),
        ] {
            assert_eq!(filter(statuses, kind).selected(), want, "{statuses:?} {kind:?}");
        }
        let owned = JobFilter { owner: Some(UserId::generate()), ..filter(&[Failed], Some(JobKind::Delete)) };
        assert_eq!(owned.selected(), Selected::OfOwner);
    }
}
