//! Who changed what.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{Conn, DbError, schema::audit};
use crate::ids::UserId;

/// One change.
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
    pub client_ip: Option<String>,
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
}

/// Adds an entry, in the transaction of the change itself.
pub async fn insert(conn: &mut Conn, entry: &NewAuditEntry<'_>) -> Result<(), DbError> {
    diesel::insert_into(audit::table).values(entry).execute(conn).await?;
    Ok(())
}

/// A page, newest first: those before `before`.
pub async fn list(conn: &mut Conn, before: Option<i64>, limit: i64) -> Result<Vec<AuditEntry>, DbError> {
    let mut query = audit::table.into_boxed();
    if let Some(id) = before {
        query = query.filter(audit::id.lt(id));
    }
    Ok(query.order(audit::id.desc()).limit(limit).select(AuditEntry::as_select()).load(conn).await?)
}
