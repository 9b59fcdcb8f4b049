use std::{fmt::Write as _, io};

use axum::{
    body::Body,
    http::{HeaderMap, header},
    response::{IntoResponse as _, Response},
};
use clawdeploy_shared::db::audit::{self, AuditEntry, Filter};
use futures_util::stream;

use super::query::AuditQuery;
use crate::{auth::Admin, error::AppResult, extract::Query, state::AppState};

/// Maximum number of entries in a query.
const BATCH: i64 = 500;

const COLUMNS: &str = "id,at,actorId,actor,action,targetKind,targetId,ownerId,outcome,clientIp,requestId,detail\r\n";

/// Exports all matching entries of the audit log, newest first
///
/// The format is CSV with `Accept: text/csv`, otherwise newline-delimited JSON. `limit` and `cursor` are ignored.
#[utoipa::path(
    get, path = "/api/admin/audit/export", tag = "admin", params(AuditQuery),
    responses((status = OK, content((String = "application/x-ndjson"), (String = "text/csv")))),
)]
pub async fn export_audit(
    app: AppState,
    Admin(who): Admin,
    headers: HeaderMap,
    Query(query): Query<AuditQuery>,
) -> AppResult<Response> {
    let filter = query.filter()?;
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let form = if accepts.starts_with("text/csv") { Form::Csv } else { Form::Lines };
    let (kind, name) = match form {
        Form::Csv => ("text/csv; charset=utf-8; header=present", "attachment; filename=\"audit.csv\""),
        Form::Lines => ("application/x-ndjson", "attachment; filename=\"audit.ndjson\""),
    };
    tracing::info!(user = %who.user.id, "Exports the audit log");
    let begin = Some(Place::Head);
    let body = stream::unfold(begin, move |place| {
        let (app, filter) = (app.clone(), filter.clone());
        async move { part(&app, &filter, form, place?).await }
    });
    Ok(([(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, name)], Body::from_stream(body)).into_response())
}

#[derive(Debug, Clone, Copy)]
enum Form {
    Csv,
    Lines,
}

/// Position in the export.
#[derive(Debug, Clone, Copy)]
enum Place {
    Head,
    /// After the entry with this id.
    After(i64),
}

/// The next part and the position after it. An error aborts the connection, so that the client does not take an
/// incomplete file for a complete one.
async fn part(
    app: &AppState,
    filter: &Filter,
    form: Form,
    place: Place,
) -> Option<(io::Result<String>, Option<Place>)> {
    let (mut text, before) = match (place, form) {
        (Place::Head, Form::Csv) => (COLUMNS.to_owned(), None),
        (Place::Head, Form::Lines) => (String::new(), None),
        (Place::After(id), _) => (String::new(), Some(id)),
    };
    let found = async {
        let mut conn = app.db.conn().await?;
        audit::page(&mut conn, filter, before, BATCH).await
    };
    let found = match found.await {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(error = clawdeploy_shared::telemetry::chain(&error), "Aborted an export of the audit log");
            return Some((Err(io::Error::other("the database failed")), None));
        }
    };
    for entry in &found.entries {
        match form {
            Form::Csv => csv(&mut text, entry),
            Form::Lines => {
                text.push_str(&serde_json::to_string(entry).unwrap_or_default());
                text.push('\n');
            }
        }
    }
    let is_full = i64::try_from(found.entries.len()) == Ok(BATCH);
    let last = found.entries.last().filter(|_| is_full).map(|entry| entry.id);
    let next = last.or(found.searched_to).map(Place::After);
    if text.is_empty() && next.is_none() {
        return None;
    }
    Some((Ok(text), next))
}

fn csv(text: &mut String, entry: &AuditEntry) {
    let id = |id: Option<clawdeploy_shared::ids::UserId>| id.map(|id| id.to_string()).unwrap_or_default();
    let fields = [
        entry.id.to_string(),
        entry.at.to_rfc3339(),
        id(entry.actor_id),
        entry.actor.clone(),
        entry.action.clone(),
        entry.target_kind.clone(),
        entry.target_id.clone(),
        id(entry.owner_id),
        entry.outcome.to_string(),
        entry.client_ip.clone().unwrap_or_default(),
        entry.request_id.clone().unwrap_or_default(),
        entry.detail.to_string(),
    ];
    for (n, field) in fields.iter().enumerate() {
        let comma = if n == 0 { "" } else { "," };
        // A spreadsheet would run such a value as a formula, and anyone can put a value into the log.
        let harmless = if field.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
        let _ = write!(text, "{comma}\"{harmless}{}\"", field.replace('"', "\"\""));
    }
    text.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use clawdeploy_shared::db::audit::Outcome;
    use serde_json::json;

    use super::*;

    #[test]
    fn no_formula_gets_into_a_spreadsheet() {
        let entry = AuditEntry {
            id: 7,
            at: chrono::DateTime::UNIX_EPOCH,
            actor_id: None,
            actor: "=cmd()|'x'@y".to_owned(),
            action: "auth.login".to_owned(),
            target_kind: "user".to_owned(),
            target_id: "a\",b".to_owned(),
            owner_id: None,
            detail: json!({}),
            request_id: None,
            client_ip: None,
            outcome: Outcome::Failure,
        };
        let mut text = String::new();
        csv(&mut text, &entry);
        let want = "\"7\",\"1970-01-01T00:00:00+00:00\",\"\",\"'=cmd()|'x'@y\",\"auth.login\",\"user\",\"a\"\",b\",\"\",\"failure\",\"\",\"\",\"{}\"\r\n";
        assert_eq!(text, want);
    }
}
