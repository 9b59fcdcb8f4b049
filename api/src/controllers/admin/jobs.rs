use clawdeploy_shared::db::{
    Scope,
    job::{self, JobFilter},
};

use super::JobsQuery;
use crate::{
    auth::Admin,
    controllers::jobs::JobView,
    error::AppResult,
    extract::{Json, Query},
    page::{Page, PageQuery},
    state::AppState,
};

/// Everybody's jobs, newest first
#[utoipa::path(
    get, path = "/api/admin/jobs", tag = "admin", params(JobsQuery),
    responses((status = OK, body = Page<JobView>)),
)]
pub async fn list_all_jobs(app: AppState, _: Admin, Query(query): Query<JobsQuery>) -> AppResult<Json<Page<JobView>>> {
    let JobsQuery { limit, cursor, status, kind, instance } = query;
    let (limit, before_seq) = PageQuery { limit, cursor }.read::<i64>()?;
    let mut conn = app.db.conn().await?;
    let filter = JobFilter { instance, status, kind, before_seq };
    let rows = job::list(&mut conn, Scope::Everything, &filter, limit.fetched()).await?;
    Ok(Json(Page::cut(rows, limit, |job| job.seq, JobView::from)))
}
