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

/// Which versions of OpenClaw are known to be vulnerable, and what follows.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetVersionPolicy {
    /// Older versions are vulnerable; null: none is known to be
    #[schema(required, example = "2026.9.6")]
    minimum_version: Option<String>,
    /// Whether an instance with such a version is refused to start; it can be updated
    #[serde(default)]
    #[schema(default = false)]
    refuse_start: bool,
}

/// Sets which versions of OpenClaw may be started
///
/// Instances with an older version are shown as `vulnerable`. Running instances keep running.
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
