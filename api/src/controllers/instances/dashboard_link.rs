use chrono::{DateTime, Utc};
use clawdeploy_shared::{
    rpc::{NoArguments, OwnerBootstrap, Verb},
    sleep::WokenBy,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::InstancePath;
use crate::{
    audit::{Entry, Target},
    auth::Principal,
    error::{AppError, AppResult, ErrorCode},
    extract::{Json, Path},
    middleware::RequestContext,
    reveal::Revealed,
    state::AppState,
    wake::own_awake,
};

/// A link that opens the dashboard without entering a token.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DashboardLink {
    /// Can be opened once. The browser that opens it stays signed in.
    url: Revealed,
    expires_at: DateTime<Utc>,
}

/// Creates a link that opens the dashboard as its owner
///
/// For the owner only, while the instance runs; one that sleeps is woken (`waking`). The link can be opened once, within ten minutes. It pairs the browser
/// with the instance. OpenClaw creates the link, which takes a few seconds.
#[utoipa::path(
    post, path = "/api/instances/{id}/dashboard-link", tag = "devices", params(InstancePath),
    responses((status = OK, body = DashboardLink, headers(("Cache-Control", description = "`no-store`")))),
)]
pub async fn create_dashboard_link(
    app: AppState,
    who: Principal,
    context: RequestContext,
    Path(path): Path<InstancePath>,
) -> AppResult<Json<DashboardLink>> {
    let (instance, port) = own_awake(&app, &who, &context, &path.id, WokenBy::Dashboard).await?;
    let port = port.ok_or_else(|| AppError::new(ErrorCode::NotRunning, "The instance has no port yet. Try again."))?;
    let state = app.clone();
    let made = app
        .change(async move {
            let made: OwnerBootstrap = state.rpc.call(Verb::DashboardLink, &path.id, &NoArguments {}).await?;
            // The entry is written before the link is returned.
            let entry = Entry::new("instance.dashboard_link", Target::Instance(&path.id))
                .owned_by(instance.owner_id)
                .detail(json!({ "expiresAt": made.expires_at }));
            state.db.write(who.own(), async |conn| entry.by(conn, &who, &context).await).await?;
            let dashboard = state.routing.dashboard_url(&path.id, port);
            Ok(DashboardLink { url: Revealed(link(&dashboard, &made.token)), expires_at: made.expires_at })
        })
        .await?;
    Ok(Json(made))
}

/// The fragment after `#` is not sent to any server. The page connects to the gateway at its own address.
fn link(dashboard: &str, token: &SecretString) -> SecretString {
    format!("{dashboard}#bootstrapToken={}&bootstrapProfile=owner", token.expose_secret()).into()
}
