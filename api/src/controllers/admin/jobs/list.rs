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
///
/// A request looks at a limited number of jobs. With filters that match few, a page may have fewer items than `limit`, or none,
/// and a `nextCursor` that continues the search.
#[utoipa::path(
    get, path = "/api/admin/jobs", tag = "admin", params(JobsQuery),
    responses((status = OK, body = Page<AdminJob>)),
)]
pub async fn list_all_jobs(app: AppState, _: Admin, Query(query): Query<JobsQuery>) -> AppResult<Json<Page<AdminJob>>> {
    let mut conn = app.db.conn().await?;
    let (limit, filter) = query.read(&mut conn).await?;
    let Some(filter) = filter else { return Ok(Json(Page::whole(Vec::new()))) };
    let found = job::page(&mut conn, Scope::Everything, &filter, limit.fetched()).await?;
    let names = Names::of(&mut conn, &found.jobs).await?;
    let page = Page::cut(found.jobs, limit, |job| job.seq, |job| AdminJob::new(job, &names));
    Ok(Json(page.or_continue_at(found.searched_to)))
}
