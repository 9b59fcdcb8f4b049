use clawdeploy_shared::{
    db::{
        Scope,
        version_policy::{self, VersionPolicy},
    },
    openclaw::version,
    text::trim,
};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::{
    audit::{Entry, Target},
    auth::Admin,
    error::AppResult,
    extract::Json,
    middleware::RequestContext,
    state::AppState,
    validate::Checks,
};

/// Policy for vulnerable versions of OpenClaw.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetVersionPolicy {
    /// Oldest version that is not vulnerable; null: no version is known to be vulnerable
    #[schema(required, example = "2026.9.6")]
    minimum_version: Option<String>,
    /// Refuse to start instances with a vulnerable version; they can still be updated
    #[serde(default)]
    #[schema(default = false)]
    refuse_start: bool,
}

/// Sets the policy for vulnerable versions of OpenClaw
///
/// Instances with a version older than `minimumVersion` are shown as `vulnerable`. Running instances keep running.
#[utoipa::path(
    put, path = "/api/admin/version-policy", tag = "admin", request_body = SetVersionPolicy,
    responses((status = OK, body = VersionPolicy)),
)]
pub async fn set_version_policy(
    app: AppState,
    Admin(who): Admin,
    context: RequestContext,
    Json(form): Json<SetVersionPolicy>,
) -> AppResult<Json<VersionPolicy>> {
    let mut checks = Checks::default();
    let minimum = form.minimum_version.map(|minimum| trim(&minimum).to_owned());
    if minimum.as_deref().is_some_and(|minimum| !version::is_comparable(minimum)) {
        checks.fail("minimumVersion", "invalid", "must be a comparable version, such as 2026.9.6");
    }
    if form.refuse_start && minimum.is_none() {
        checks.fail("minimumVersion", "required", "is required with refuseStart");
    }
    checks.done()?;
    app.transaction(Scope::Everything, async move |conn| {
        let policy = version_policy::set(conn, minimum.as_deref(), form.refuse_start).await?;
        let detail = json!({ "minimumVersion": policy.minimum_version, "refuseStart": policy.refuse_start });
        Entry::new("version_policy.set", Target::VersionPolicy).detail(detail).by(conn, &who, &context).await?;
        Ok(policy)
    })
    .await
    .map(Json)
}
