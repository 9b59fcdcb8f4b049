//! The audit log: who changed what.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{Conn, DbError, escape_like, schema::audit};
use crate::{ids::UserId, text::email_key, text_enum};

text_enum!(
    /// How it ended.
    Outcome {
        /// It succeeded.
        Success = "success",
        /// It was refused.
        Failure = "failure",
    } else Unknown
);

/// One change, or an attempt at one.
#[derive(Debug, Clone, Queryable, Selectable, Serialize, ToSchema)]
#[diesel(table_name = audit, check_for_backend(diesel::pg::Pg))]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    pub id: i64,
    pub at: DateTime<Utc>,
    pub actor_id: Option<UserId>,
    /// E-mail of the actor at that time, or the name of the program.
    pub actor: String,
    /// What was done, as `noun.verb`.
    pub action: String,
    pub target_kind: String,
    pub target_id: String,
    pub owner_id: Option<UserId>,
    #[schema(value_type = Object)]
    pub detail: Value,
    pub request_id: Option<String>,
    /// Where the request came from.
    pub client_ip: Option<String>,
    pub outcome: Outcome,
}

#[derive(Debug, Insertable)]
#[diesel(table_name = audit)]
pub struct NewAuditEntry<'a> {
    pub actor_id: Option<UserId>,
    pub actor: &'a str,
    pub action: &'a str,
    pub target_kind: &'a str,
    pub target_id: &'a str,
    pub owner_id: Option<UserId>,
    pub detail: Value,
    pub request_id: Option<&'a str>,
    pub client_ip: Option<&'a str>,
    pub outcome: Outcome,
}

/// Adds an entry. Call it in the transaction of the change.
pub async fn insert(conn: &mut Conn, entry: &NewAuditEntry<'_>) -> Result<(), DbError> {
    diesel::insert_into(audit::table).values(entry).execute(conn).await?;
    Ok(())
}

/// Filter for entries. `None` matches everything.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// What this person did, and what was done to their things.
    pub about: Option<UserId>,
    /// Actor, by e-mail or name.
    pub actor: Option<String>,
    /// `noun.verb`, or a noun for everything done to it.
    pub action: Option<String>,
    pub target_kind: Option<String>,
    pub target_id: Option<String>,
    pub owner: Option<UserId>,
    pub outcome: Option<Outcome>,
    /// From this time on.
    pub from: Option<DateTime<Utc>>,
    /// Before this time.
    pub until: Option<DateTime<Utc>>,
}

/// How many entries a page looks at.
const WINDOW: i64 = 20_000;

/// Ids and times of entries are in nearly the same order: they differ by as long as a transaction takes, which is far
/// less.
const SLACK: TimeDelta = TimeDelta::hours(1);

/// Entries, newest first.
#[derive(Debug, Default)]
pub struct AuditPage {
    pub entries: Vec<AuditEntry>,
    /// The lowest id that was looked at, if the page is not full although older entries may match.
    pub searched_to: Option<i64>,
}

type Boxed<'a> = audit::BoxedQuery<'a, diesel::pg::Pg>;

/// At most `limit` entries before `before` that match.
///
/// However many entries there are, it looks at a limited number of them: those of one target or owner, or all, and of
/// these the next [`WINDOW`].
pub async fn page(conn: &mut Conn, filter: &Filter, before: Option<i64>, limit: i64) -> Result<AuditPage, DbError> {
    if let Some(person) = filter.about {
        let entries = about(conn, person, before, limit).await?;
        return Ok(AuditPage { entries, searched_to: None });
    }
    let (after, before) = ids_between(conn, filter, before).await?;
    let (mut query, is_narrowed) = narrowed(selected(filter, after, before), filter);
    let mut end: Option<i64> = None;
    if is_narrowed {
        let window = selected(filter, after, before).order(audit::id.desc()).offset(WINDOW - 1);
        end = window.limit(1).select(audit::id).first(conn).await.optional()?;
    }
    if let Some(end) = end {
        // Both bounds, because a generic plan expects a third of the table from one, and few entries from two.
        query = query.filter(audit::id.between(end, before.unwrap_or(i64::MAX)));
    }
    let entries: Vec<AuditEntry> = newest(query, limit).load(conn).await?;
    let is_full = i64::try_from(entries.len()) == Ok(limit);
    Ok(AuditPage { entries, searched_to: end.filter(|_| !is_full) })
}

/// What a person did, and what was done to their things: the newest of both, each by its index.
async fn about(conn: &mut Conn, person: UserId, before: Option<i64>, limit: i64) -> Result<Vec<AuditEntry>, DbError> {
    let any = Filter::default();
    let all = || selected(&any, None, before);
    let mut entries: Vec<AuditEntry> = newest(all().filter(audit::actor_id.eq(person)), limit).load(conn).await?;
    entries.extend(newest(all().filter(audit::owner_id.eq(person)), limit).load::<AuditEntry>(conn).await?);
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.id));
    entries.dedup_by_key(|entry| entry.id);
    entries.truncate(usize::try_from(limit).unwrap_or_default());
    Ok(entries)
}

#[diesel::dsl::auto_type(no_type_alias)]
fn newest(query: Boxed<'_>, limit: i64) -> _ {
    let select: diesel::dsl::AsSelect<AuditEntry, diesel::pg::Pg> = AuditEntry::as_select();
    query.order(audit::id.desc()).limit(limit).select(select)
}

/// The ids between which all entries of the filter's time are. `None`: no limit.
async fn ids_between(
    conn: &mut Conn,
    filter: &Filter,
    before: Option<i64>,
) -> Result<(Option<i64>, Option<i64>), DbError> {
    let (mut after, mut until) = (None, None);
    if let Some(from) = filter.from.and_then(|from| from.checked_sub_signed(SLACK)) {
        let earlier = audit::table.filter(audit::at.lt(from)).order(audit::at.desc());
        after = earlier.select(audit::id).first(conn).await.optional()?;
    }
    if let Some(end) = filter.until.and_then(|end| end.checked_add_signed(SLACK)) {
        let later = audit::table.filter(audit::at.ge(end)).order(audit::at);
        until = later.select(audit::id).first(conn).await.optional()?;
    }
    Ok((after, [before, until].into_iter().flatten().min()))
}

/// The entries to look at.
fn selected(filter: &Filter, after: Option<i64>, before: Option<i64>) -> Boxed<'_> {
    let mut query = audit::table.into_boxed();
    if let Some(id) = after {
        query = query.filter(audit::id.gt(id));
    }
    if let Some(id) = before {
        query = query.filter(audit::id.lt(id));
    }
    if let (Some(kind), Some(id)) = (&filter.target_kind, &filter.target_id) {
        query = query.filter(audit::target_kind.eq(kind).and(audit::target_id.eq(id)));
    }
    if let Some(owner) = filter.owner {
        query = query.filter(audit::owner_id.eq(owner));
    }
    query
}

/// Adds the other conditions. False: there are none that leave out many.
fn narrowed<'a>(mut query: Boxed<'a>, filter: &'a Filter) -> (Boxed<'a>, bool) {
    let Filter { actor, action, target_kind, target_id, outcome, from, until, .. } = filter;
    if let Some(actor) = actor {
        // Addresses are stored in their normal form now but were not always.
        query = query.filter(audit::actor.eq_any([actor.clone(), email_key(actor)]));
    }
    match action.as_deref() {
        Some(action) if action.contains('.') => query = query.filter(audit::action.eq(action)),
        Some(noun) => query = query.filter(audit::action.like(format!("{}.%", escape_like(noun)))),
        None => {}
    }
    match (target_kind, target_id) {
        (Some(kind), None) => query = query.filter(audit::target_kind.eq(kind)),
        (None, Some(id)) => query = query.filter(audit::target_id.eq(id)),
        _ => {}
    }
    if let Some(outcome) = outcome {
        query = query.filter(audit::outcome.eq(outcome));
    }
    if let Some(from) = from {
        query = query.filter(audit::at.ge(from));
    }
    if let Some(until) = until {
        query = query.filter(audit::at.lt(until));
    }
    let one_of_two = target_kind.is_some() != target_id.is_some();
    (query, actor.is_some() || action.is_some() || outcome.is_some() || one_of_two)
}
