use clawdeploy_shared::{
    db::{Conn, instance, instance::Instance, job, port},
    ids::InstanceId,
};
use diesel_async::AsyncConnection as _;
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use super::{InstancePath, InstanceView, view::current};
use crate::{
    audit::{Entry, Target},
    auth::Principal,
    error::{AppError, AppResult},
    extract::{Json, Path},
    middleware::RequestContext,
    state::AppState,
    validate::Checks,
};

/// What to change; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateInstance {
    #[schema(min_length = 1, max_length = 64)]
    name: Option<String>,
}

/// Renames an instance
#[utoipa::path(
    patch, path = "/api/instances/{id}", tag = "instances", params(InstancePath), request_body = UpdateInstance,
    responses((status = OK, body = InstanceView)),
)]
pub async fn update_instance(
    app: AppState,
    who: Principal,
    context: RequestContext,
    Path(path): Path<InstancePath>,
    Json(form): Json<UpdateInstance>,
) -> AppResult<Json<InstanceView>> {
    let mut checks = Checks::default();
    let name = form.name.map(|name| checks.name("name", &name));
    checks.done()?;

    let state = app.clone();
    let view = app
        .change(async move {
            let mut conn = state.db.conn().await?;
            conn.transaction(async |conn| {
                let instance = rename(conn, &who, &context, &path.id, name.as_deref()).await?;
                let port = port::of(conn, &path.id).await?;
                let open = job::open_on(conn, &path.id).await?;
                Ok(InstanceView::new(instance, port, current(open), &state.routing))
            })
            .await
        })
        .await?;
    Ok(Json(view))
}

async fn rename(
    conn: &mut Conn,
    who: &Principal,
    context: &RequestContext,
    id: &InstanceId,
    name: Option<&str>,
) -> AppResult<Instance> {
    let found = instance::find_for_update(conn, who.scope(), id).await?;
    let before = found.ok_or_else(|| AppError::not_found("instance"))?;
    let Some(name) = name.filter(|name| *name != before.name) else { return Ok(before) };
    let instance = instance::rename(conn, id, name).await?;
    Entry::new("instance.rename", Target::Instance(id))
        .owned_by(instance.owner_id)
        .detail(json!({ "from": before.name, "to": name }))
        .by(conn, who, context)
        .await?;
    Ok(instance)
}
