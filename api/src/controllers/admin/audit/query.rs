//! Filter of the audit log.

use chrono::{DateTime, Utc};
use clawdeploy_shared::{
    db::audit::{Filter, Outcome},
    ids::UserId,
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    error::{AppError, AppResult, ErrorCode},
    page::PageQuery,
};

/// Filter and page.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuditQuery {
    /// Maximum number of items
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<i64>,
    /// `nextCursor` of the previous page
    cursor: Option<String>,
    /// E-mail of the person who performed the action
    actor: Option<String>,
    /// An action such as `instance.create`, or `instance` for all actions on instances
    action: Option<String>,
    target_kind: Option<String>,
    target_id: Option<String>,
    /// Id of the owner of the target
    owner_id: Option<String>,
    #[param(value_type = Option<Outcome>)]
    outcome: Option<String>,
    /// Only entries at or after this time
    from: Option<DateTime<Utc>>,
    /// Only entries before this time
    until: Option<DateTime<Utc>>,
}

impl AuditQuery {
    pub fn page(&self) -> PageQuery {
        PageQuery { limit: self.limit, cursor: self.cursor.clone() }
    }

    pub fn filter(self) -> AppResult<Filter> {
        let invalid = |field: &'static str, message: &'static str| {
            AppError::new(ErrorCode::InvalidQuery, format!("{field} {message}.")).with_field(field, "invalid", message)
        };
        let texts = [
            ("actor", &self.actor),
            ("action", &self.action),
            ("targetKind", &self.target_kind),
            ("targetId", &self.target_id),
        ];
        // Postgres does not accept NUL in a text.
        if let Some((field, _)) =
            texts.into_iter().find(|(_, text)| text.as_ref().is_some_and(|text| text.contains('\0')))
        {
            return Err(invalid(field, "must not contain U+0000 (NUL)"));
        }
        let owner = self.owner_id.map(|id| id.parse::<UserId>()).transpose();
        let outcome = self.outcome.map(|outcome| outcome.parse::<Outcome>()).transpose();
        Ok(Filter {
            about: None,
            actor: self.actor,
            action: self.action,
            target_kind: self.target_kind,
            target_id: self.target_id,
            owner: owner.map_err(|_| invalid("ownerId", "must be the id of a person"))?,
            outcome: outcome.map_err(|_| invalid("outcome", "must be success or failure"))?,
            from: self.from,
            until: self.until,
        })
    }
}
