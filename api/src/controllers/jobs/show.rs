use clawdeploy_shared::db::job;

use super::JobPath;
use crate::{
    auth::Principal,
    error::{AppError, AppResult},
    extract::{Json, Path},
    state::AppState,
    views::job::JobDetails,
};

/// Returns a job, with its steps and its place in the queue
#[utoipa::path(
    get, path = "/api/jobs/{id}", tag = "jobs", params(JobPath),
    responses((status = OK, body = JobDetails)),
)]
pub async fn get_job(app: AppState, who: Principal, Path(path): Path<JobPath>) -> AppResult<Json<JobDetails>> {
    let details = app.read(who.scope(), async |conn| {
        let job = job::find(conn, who.scope(), path.id).await?.ok_or_else(|| AppError::not_found("job"))?;
        Ok(JobDetails::load(conn, job).await?)
    });
    Ok(Json(details.await?))
}
