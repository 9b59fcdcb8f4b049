use clawdeploy_shared::db::{Scope, job};

use super::query::JobsQuery;
use crate::{
    auth::Admin,
    error::AppResult,
    extract::{Json, Query},
    page::Page,
    state::AppState,
    views::admin_job::{AdminJob, Names},
};

/// Lists all jobs, newest first
#[utoipa::path(
    get, path = "/api/admin/jobs", tag = "admin", params(JobsQuery),
    responses((status = OK, body = Page<AdminJob>)),
)]
pub async fn list_all_jobs(app: AppState, _: Admin, Query(query): Query<JobsQuery>) -> AppResult<Json<Page<AdminJob>>> {
    let mut conn = app.db.conn().await?;
    let (limit, filter) = query.read(&mut conn).await?;
    let Some(filter) = filter else { return Ok(Json(Page::whole(Vec::new()))) };
    let rows = job::list(&mut conn, Scope::Everything, &filter, limit.fetched()).await?;
    let names = Names::of(&mut conn, &rows).await?;
    Ok(Json(Page::cut(rows, limit, |job| job.seq, |job| AdminJob::new(job, &names))))
}
