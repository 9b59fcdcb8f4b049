use axum::http::StatusCode;
use clawdeploy_shared::{
    db::{
        Scope,
        person::{self, Person},
        user::{self, NO_PASSWORD, NewUser, Role},
    },
    ids::UserId,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{Invitation, invite};
use crate::{
    audit::{Entry, Target},
    auth::Admin,
    error::{AppError, AppResult},
    extract::Json,
    middleware::RequestContext,
    state::AppState,
    validate::Checks,
};

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateUser {
    /// E-mail with which the person signs in
    #[schema(example = "ann@example.com")]
    email: String,
    /// Name of the person
    #[serde(default)]
    #[schema(max_length = 64)]
    name: String,
    #[schema(value_type = Option<Role>, default = "user")]
    role: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreatedUser {
    user: Person,
    invitation: Invitation,
}

/// Creates an account and an invitation to set its password
///
/// The invitation is valid for 24 hours. `POST /api/admin/users/{id}/reset-password` creates another one.
#[utoipa::path(
    post, path = "/api/admin/users", tag = "admin", request_body = CreateUser,
    responses((status = CREATED, body = CreatedUser)),
)]
pub async fn create_user(
    app: AppState,
    Admin(who): Admin,
    context: RequestContext,
    Json(form): Json<CreateUser>,
) -> AppResult<(StatusCode, Json<CreatedUser>)> {
    let mut checks = Checks::default();
    let email = checks.email("email", &form.email);
    let name = if form.name.trim().is_empty() { String::new() } else { checks.name("name", &form.name) };
    let role = checks.word("role", form.role.as_deref(), Role::ALL, Role::User);
    checks.done()?;
    let role = role.unwrap_or(Role::User);
    let created = app
        .transaction(Scope::Everything, async move |conn| {
            let id = UserId::generate();
            let new = NewUser { id, email: &email, name: &name, password_hash: NO_PASSWORD, role };
            user::insert(conn, &new).await?;
            let invitation = invite(conn, id).await?;
            let entry = Entry::new("user.create", Target::User(id)).owned_by(id);
            entry.detail(json!({ "email": email, "role": role })).by(conn, &who, &context).await?;
            let user = person::find(conn, id).await?.ok_or_else(|| AppError::not_found("person"))?;
            Ok(CreatedUser { user, invitation })
        })
        .await?;
    Ok((StatusCode::CREATED, Json(created)))
}
