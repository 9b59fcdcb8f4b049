use clawdeploy_shared::db::{
    instance,
    job::{self, JobFilter},
};

use super::InstancePath;
use crate::{
    auth::Principal,
    error::{AppError, AppResult},
    extract::{Json, Path, Query},
    page::{Page, PageQuery},
    state::AppState,
    views::job::JobView,
};

/// Lists the jobs on an instance, newest first
#[utoipa::path(
    get, path = "/api/instances/{id}/jobs", tag = "instances", params(InstancePath, PageQuery),
    responses((status = OK, body = Page<JobView>)),
)]
pub async fn list_instance_jobs(
    app: AppState,
    who: Principal,
    Path(path): Path<InstancePath>,
    Query(query): Query<PageQuery>,
) -> AppResult<Json<Page<JobView>>> {
    let (limit, before_seq) = query.read::<i64>()?;
    let rows = app.read(who.scope(), async |conn| {
        instance::find(conn, who.scope(), &path.id).await?.ok_or_else(|| AppError::not_found("instance"))?;
        let filter = JobFilter { instance: Some(path.id), before_seq, ..JobFilter::default() };
        Ok(job::list(conn, who.scope(), &filter, limit.fetched()).await?)
    });
    let rows = rows.await?;
    Ok(Json(Page::cut(rows, limit, |job| job.seq, JobView::from)))
}
