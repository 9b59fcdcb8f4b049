use clawdeploy_shared::{
    db::{
        Conn, Scope,
        recoverable::{self, Recoverable},
        user::{self, User},
    },
    ids::UserId,
};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    auth::Admin,
    controllers::instances::{
        Accepted, InstancePath,
        undelete::{Recovery, checked_name, manifest},
    },
    error::{AppError, AppResult, ErrorCode},
    extract::{OptionalJson, Path},
    middleware::RequestContext,
    state::AppState,
};

/// Options of a restore. Known values may be omitted.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RestoreInstance {
    /// Id of the new owner; default: the earlier owner
    owner_id: Option<UserId>,
    /// Name; default: the earlier name, or the id; 1 to 64 characters
    #[schema(min_length = 1, max_length = 64)]
    name: Option<String>,
}

/// Restores a deleted instance, or a directory without an instance in the database
///
/// Restores files, token, settings and address, as far as they are known. Quotas are not checked, but the host
/// must have memory left for the instance.
#[utoipa::path(
    post, path = "/api/admin/recoverable-instances/{id}/restore", tag = "admin", params(InstancePath),
    request_body = Option<RestoreInstance>,
    responses((status = ACCEPTED, body = Accepted, headers(("Location", description = "URL of the job")))),
)]
pub async fn restore_instance(
    app: AppState,
    Admin(who): Admin,
    context: RequestContext,
    Path(path): Path<InstancePath>,
    OptionalJson(form): OptionalJson<RestoreInstance>,
) -> AppResult<Accepted> {
    let name = checked_name(form.name.as_deref())?;
    let state = app.clone();
    let outcome = app
        .transaction(Scope::Everything, async move |conn| {
            let row = recoverable::lock(conn, Scope::Everything, &path.id).await?;
            let row = row.ok_or_else(|| AppError::not_found("recoverable instance"))?;
            let owner = owner(conn, &row, form.owner_id).await?;
            let manifest = manifest(&row, &state.sealer).map_err(AppError::internal)?;
            Recovery { row, manifest, name, action: "instance.restore" }.run(conn, &who, &context, &owner, &state).await
        })
        .await?;
    Ok(Accepted::of(&app, outcome))
}

/// The new owner's account, locked.
async fn owner(conn: &mut Conn, row: &Recoverable, asked: Option<UserId>) -> AppResult<User> {
    let unknown = |detail: &'static str, code: &'static str| {
        Err(AppError::new(ErrorCode::ValidationFailed, detail).with_field(
            "ownerId",
            code,
            "is not the id of an account",
        ))
    };
    let Some(id) = asked.or(row.owner_id) else {
        return unknown("The instance's owner is not known. Set ownerId to the id of the new owner.", "required");
    };
    match user::lock(conn, id).await {
        Err(error) if error.is_not_found() => {
            unknown("There is no such account. Set ownerId to the id of the new owner.", "unknown_value")
        }
        other => Ok(other?),
    }
}
