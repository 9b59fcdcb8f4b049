//! Filter of the list of all jobs.

use clawdeploy_shared::{
    db::{Conn, job::JobFilter, user},
    ids::{InstanceId, UserId},
    job::{JobKind, JobStatus},
    text::search,
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, IntoDeserializer, value::Error as ValueError},
};
use utoipa::IntoParams;

use crate::{
    error::{AppError, AppResult, ErrorCode},
    page::{Limit, PageQuery},
};

/// Maximum length of a search text, in characters.
const MAX_TEXT_CHARS: usize = 200;

/// Filter and page.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobsQuery {
    /// Maximum number of items
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<i64>,
    /// `nextCursor` of the previous page
    cursor: Option<String>,
    /// Only jobs with one of these statuses, separated by commas
    #[param(value_type = Option<Vec<JobStatus>>, style = Form, explode = false)]
    #[serde(default, deserialize_with = "separated")]
    status: Vec<JobStatus>,
    kind: Option<JobKind>,
    /// Only jobs on this instance
    instance: Option<InstanceId>,
    /// Only jobs of this person, by id or e-mail
    owner: Option<String>,
    /// Only jobs whose error or instance id contains this text. If it is the id of an instance or a job, or at least eight digits
    /// with which ids of jobs begin, only those
    #[param(max_length = 200)]
    q: Option<String>,
}

impl JobsQuery {
    /// The page size and the filter. `None`: no job can match.
    pub(super) async fn read(self, conn: &mut Conn) -> AppResult<(Limit, Option<JobFilter>)> {
        let (limit, before_seq) = PageQuery { limit: self.limit, cursor: self.cursor }.read()?;
        let text = self.q.as_deref().map(text).transpose()?.flatten();
        let owner = match &self.owner {
            None => None,
            Some(owner) => match find_owner(conn, owner.trim()).await? {
                None => return Ok((limit, None)),
                found => found,
            },
        };
        let (instance, statuses, kind) = (self.instance, self.status, self.kind);
        Ok((limit, Some(JobFilter { instance, statuses, kind, owner, text, before_seq })))
    }
}

/// Reads words separated by commas, such as `failed,cancelled`.
pub(crate) fn separated<'de, D, W>(deserializer: D) -> Result<Vec<W>, D::Error>
where
    D: Deserializer<'de>,
    W: DeserializeOwned,
{
    let text = String::deserialize(deserializer)?;
    let word = |word: &str| W::deserialize(word.trim().into_deserializer());
    text.split(',').map(word).collect::<Result<_, ValueError>>().map_err(serde::de::Error::custom)
}

/// Normalizes a search text. `None`: it is blank.
pub(crate) fn text(q: &str) -> AppResult<Option<String>> {
    let q = search(q);
    if q.chars().count() > MAX_TEXT_CHARS || q.contains(char::is_control) {
        let message = format!("must be at most {MAX_TEXT_CHARS} characters long, without control characters");
        return Err(AppError::new(ErrorCode::InvalidQuery, format!("q {message}.")).with_field("q", "invalid", message));
    }
    Ok((!q.is_empty()).then_some(q))
}

async fn find_owner(conn: &mut Conn, owner: &str) -> AppResult<Option<UserId>> {
    if let Ok(id) = owner.parse() {
        return Ok(Some(id));
    }
    if owner.contains('\0') {
        return Ok(None);
    }
    Ok(user::find_by_email(conn, owner).await?.map(|(user, _)| user.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statuses(text: &str) -> Result<Vec<JobStatus>, String> {
        separated(IntoDeserializer::<ValueError>::into_deserializer(text)).map_err(|error| error.to_string())
    }

    #[test]
    fn several_statuses_are_separated_by_commas() {
        assert_eq!(statuses("failed"), Ok(vec![JobStatus::Failed]));
        assert_eq!(statuses("failed, cancelled"), Ok(vec![JobStatus::Failed, JobStatus::Cancelled]));
        for bad in ["", "dead", "failed,", "Failed"] {
            let error = statuses(bad).unwrap_err();
            assert!(error.contains("expected one of `queued`"), "{bad:?}: {error}");
        }
    }

    #[test]
    fn texts_to_look_for() {
        assert_eq!(text(" port 80 ").unwrap().as_deref(), Some("port 80"));
        assert_eq!(text("cafe\u{301}\u{200b}\n").unwrap().as_deref(), Some("café"));
        assert_eq!(text("  ").unwrap(), None);
        for bad in ["a\0b", &"x".repeat(201)] {
            assert_eq!(text(bad).unwrap_err().code(), ErrorCode::InvalidQuery);
        }
    }
}
