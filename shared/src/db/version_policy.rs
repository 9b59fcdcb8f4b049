//! Which versions of OpenClaw are known to be vulnerable, and whether they may start.

use chrono::{DateTime, Utc};
use diesel::{dsl::now, prelude::*, sql_types};
use diesel_async::RunQueryDsl;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Conn, DbError, schema::version_policy};
use crate::openclaw::version;

/// The policy: one row.
#[derive(Debug, Clone, Queryable, QueryableByName, Selectable, Serialize, ToSchema)]
#[diesel(table_name = version_policy, check_for_backend(diesel::pg::Pg))]
#[serde(rename_all = "camelCase")]
pub struct VersionPolicy {
    /// Older versions are vulnerable; null: none is known to be.
    pub minimum_version: Option<String>,
    /// Whether an instance with such a version is refused to start.
    pub refuse_start: bool,
    pub updated_at: DateTime<Utc>,
}

impl VersionPolicy {
    /// Whether a version is known to be vulnerable. An unknown version is not.
    pub fn is_vulnerable(&self, version: Option<&str>) -> bool {
        match (&self.minimum_version, version) {
            (Some(minimum), Some(version)) => version::is_older(version, minimum),
            _ => false,
        }
    }

    /// Whether a version may not be started.
    pub fn refuses(&self, version: Option<&str>) -> bool {
        self.refuse_start && self.is_vulnerable(version)
    }
}

pub async fn get(conn: &mut Conn) -> Result<VersionPolicy, DbError> {
    Ok(version_policy::table.select(VersionPolicy::as_select()).first(conn).await?)
}

pub async fn set(conn: &mut Conn, minimum_version: Option<&str>, refuse_start: bool) -> Result<VersionPolicy, DbError> {
    Ok(diesel::update(version_policy::table)
        .set((
            version_policy::minimum_version.eq(minimum_version),
            version_policy::refuse_start.eq(refuse_start),
            version_policy::updated_at.eq(now),
        ))
        .returning(VersionPolicy::as_returning())
        .get_result(conn)
        .await?)
}

/// What instances are compared with: the policy and the newest image.
#[derive(Debug, Clone, QueryableByName)]
pub struct Versions {
    #[diesel(embed)]
    pub policy: VersionPolicy,
    /// Docker's id of the newest image that is built and still exists. `None`: there is none.
    #[diesel(sql_type = sql_types::Nullable<sql_types::Text>)]
    pub latest_image: Option<String>,
    /// Version of OpenClaw in it.
    #[diesel(sql_type = sql_types::Nullable<sql_types::Text>)]
    pub latest_version: Option<String>,
}

/// Reads both in one query, for views of any number of instances. The newest image is that of
/// [`super::image::latest_ready`].
pub async fn versions(conn: &mut Conn) -> Result<Versions, DbError> {
    Ok(diesel::sql_query(
        "SELECT policy.minimum_version, policy.refuse_start, policy.updated_at, \
           latest.image_id AS latest_image, latest.version AS latest_version \
         FROM version_policy policy LEFT JOIN LATERAL ( \
           SELECT image_id, version FROM images WHERE status = 'ready' AND removed_at IS NULL \
           ORDER BY current_since DESC NULLS LAST, created_at DESC LIMIT 1) latest ON true",
    )
    .get_result(conn)
    .await?)
}
