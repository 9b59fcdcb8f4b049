use clawdeploy_shared::db::{
    Scope, person, second_factor, session,
    user::{self, NO_PASSWORD},
};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use super::{Invitation, UserPath, invite};
use crate::{
    audit::{Entry, Target},
    auth::Admin,
    error::{AppError, AppResult},
    extract::{Json, OptionalJson, Path},
    middleware::RequestContext,
    state::AppState,
};

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResetPassword {
    /// Also remove the authenticator app, for people who have lost it together with the recovery codes
    #[serde(default)]
    #[schema(default = false)]
    remove_totp: bool,
}

/// Resets a person's password and creates an invitation to set a new one
///
/// The person is signed out everywhere. API tokens stay valid.
#[utoipa::path(
    post, path = "/api/admin/users/{id}/reset-password", tag = "admin", params(UserPath),
    request_body = Option<ResetPassword>, responses((status = OK, body = Invitation)),
)]
pub async fn reset_password(
    app: AppState,
    Admin(who): Admin,
    context: RequestContext,
    Path(path): Path<UserPath>,
    OptionalJson(form): OptionalJson<ResetPassword>,
) -> AppResult<Json<Invitation>> {
    let invitation = app
        .transaction(Scope::Everything, async move |conn| {
            let user = person::find_for_update(conn, path.id).await?;
            let user = user.ok_or_else(|| AppError::not_found("person"))?;
            user::set_password(conn, user.id, NO_PASSWORD).await?;
            session::end_all(conn, user.id, None).await?;
            if form.remove_totp {
                second_factor::remove(conn, user.id).await?;
            }
            let invitation = invite(conn, user.id).await?;
            let entry = Entry::new("user.reset_password", Target::User(user.id)).owned_by(user.id);
            entry
                .detail(json!({ "email": user.email, "removeTotp": form.remove_totp }))
                .by(conn, &who, &context)
                .await?;
            Ok(invitation)
        })
        .await?;
    Ok(Json(invitation))
}
