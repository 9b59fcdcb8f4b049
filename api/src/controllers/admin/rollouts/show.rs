use clawdeploy_shared::{
    db::{
        Scope, instance, job,
        rollout::{self, Member, MemberStatus},
    },
    job::JobKind,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    auth::Admin,
    controllers::jobs::JobPath,
    error::{AppError, AppResult},
    extract::{Json, Path},
    state::AppState,
    views::job::JobView,
};

/// An update of all instances, and its progress.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    job: JobView,
    /// Number of instances whose turn has not come.
    waiting: usize,
    updating: usize,
    updated: usize,
    failed: usize,
    /// Number of instances that were not touched.
    skipped: usize,
    /// The instances, ordered by wave.
    members: Vec<NamedMember>,
}

/// An instance in a rollout, with its name.
#[derive(Debug, Serialize, ToSchema)]
pub struct NamedMember {
    #[serde(flatten)]
    member: Member,
    /// Name of the instance; null: it no longer exists.
    name: Option<String>,
}

/// Returns the progress of an update of all instances
#[utoipa::path(
    get, path = "/api/admin/update-all/{id}", tag = "admin", params(JobPath),
    responses((status = OK, body = Rollout)),
)]
pub async fn get_rollout(app: AppState, _: Admin, Path(path): Path<JobPath>) -> AppResult<Json<Rollout>> {
    let mut conn = app.db.conn().await?;
    let found = job::find(&mut conn, Scope::Everything, path.id).await?;
    let job = found.filter(|job| job.kind == JobKind::UpdateAll).ok_or_else(|| AppError::not_found("rollout"))?;
    let members = rollout::members(&mut conn, path.id).await?;
    let ids: Vec<_> = members.iter().map(|member| &member.instance_id).collect();
    let mut names = instance::names(&mut conn, &ids).await?;
    let count = |status| members.iter().filter(|member| member.status == status).count();
    Ok(Json(Rollout {
        job: job.into(),
        waiting: count(MemberStatus::Waiting),
        updating: count(MemberStatus::Updating),
        updated: count(MemberStatus::Updated),
        failed: count(MemberStatus::Failed),
        skipped: count(MemberStatus::Skipped),
        members: members
            .into_iter()
            .map(|member| NamedMember { name: names.remove(&member.instance_id), member })
            .collect(),
    }))
}
