//! The audit log: who changed what.

use chrono::{DateTime, Utc};
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

/// A page of entries before `before`, newest first.
pub async fn list(
    conn: &mut Conn,
    filter: &Filter,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<AuditEntry>, DbError> {
    let mut query = audit::table.into_boxed();
    if let Some(id) = before {
        query = query.filter(audit::id.lt(id));
    }
    if let Some(id) = filter.about {
        query = query.filter(audit::actor_id.is_not_distinct_from(id).or(audit::owner_id.is_not_distinct_from(id)));
    }
    if let Some(actor) = &filter.actor {
        // Addresses are stored in their normal form now but were not always.
        query = query.filter(audit::actor.eq_any([actor.clone(), email_key(actor)]));
    }
    match filter.action.as_deref() {
        Some(action) if action.contains('.') => query = query.filter(audit::action.eq(action.to_owned())),
        Some(noun) => {
            query = query.filter(audit::action.like(format!("{}.%", escape_like(noun))));
        }
        None => {}
    }
    if let Some(kind) = &filter.target_kind {
        query = query.filter(audit::target_kind.eq(kind));
    }
    if let Some(id) = &filter.target_id {
        query = query.filter(audit::target_id.eq(id));
    }
    if let Some(owner) = filter.owner {
        query = query.filter(audit::owner_id.eq(owner));
    }
    if let Some(outcome) = filter.outcome {
        query = query.filter(audit::outcome.eq(outcome));
    }
    if let Some(from) = filter.from {
        query = query.filter(audit::at.ge(from));
    }
    if let Some(until) = filter.until {
        query = query.filter(audit::at.lt(until));
    }
    Ok(query.order(audit::id.desc()).limit(limit).select(AuditEntry::as_select()).load(conn).await?)
}
