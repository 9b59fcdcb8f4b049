use clawdeploy_shared::{db::Conn, ids::InstanceId, job::JobKind};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use super::{
    Accepted, InstancePath, Outcome,
    change::{self, Change},
};
use crate::{
    auth::Principal,
    error::AppResult,
    extract::{OptionalJson, Path},
    image_build,
    middleware::RequestContext,
    state::AppState,
};

/// Options of an update. All fields are optional.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct UpdateInstance {
    /// Build the image from the latest source first; requests share one build
    #[schema(default = true)]
    rebuild: bool,
    /// Recreate the container even if it already runs the newest image
    #[schema(default = false)]
    force: bool,
}

impl Default for UpdateInstance {
    fn default() -> Self {
        Self { rebuild: true, force: false }
    }
}

/// Updates OpenClaw in an instance
///
/// Port, token and files do not change; pending settings are applied. The earlier state is kept for a while (see
/// `GET …/changes`), and on failure the instance is rolled back. A stopped instance is updated and stays stopped. If an
/// update is already open, the response describes that job.
#[utoipa::path(
    post, path = "/api/instances/{id}/update", tag = "instances", params(InstancePath),
    request_body = Option<UpdateInstance>,
    responses((
        status = ACCEPTED, body = Accepted,
        headers(
            ("Location", description = "URL of the job"),
            ("Idempotency-Replayed", description = "`true`: the job existed before"),
        ),
    )),
)]
pub async fn update_instance(
    app: AppState,
    who: Principal,
    context: RequestContext,
    Path(path): Path<InstancePath>,
    OptionalJson(form): OptionalJson<UpdateInstance>,
) -> AppResult<Accepted> {
    let outcome = app
        .transaction(who.scope(), async move |conn| in_transaction(conn, &who, &context, &path.id, &form).await)
        .await?;
    Ok(Accepted::of(&app, outcome))
}

async fn in_transaction(
    conn: &mut Conn,
    who: &Principal,
    context: &RequestContext,
    id: &InstanceId,
    form: &UpdateInstance,
) -> AppResult<Outcome> {
    let (instance, open) = change::ready(conn, who, id, JobKind::Update).await?;
    if let Some(job) = open {
        return Ok(Outcome::load(conn, instance, job).await?.replayed(true));
    }
    let build = if form.rebuild { Some(image_build::enqueue(conn, who, context, &json!({})).await?.0) } else { None };
    let change = Change {
        kind: JobKind::Update,
        payload: json!({ "force": form.force }),
        after: build.as_ref().map(|job| job.id),
        audit_action: "instance.update",
    };
    let job = change::queue(conn, who, context, &instance, change).await?;
    Ok(Outcome { others: Vec::from_iter(build), ..Outcome::load(conn, instance, job).await? })
}
