use clawdeploy_shared::{
    db::{
        Conn,
        instance::{InstanceSettings, seal_context},
        recoverable::{self, Manifest, Recoverable, Restore},
        user::{self, User},
    },
    ids::InstanceId,
    instance::{AiProvider, Channel, DEFAULT_CPU_MILLIS, DEFAULT_MEMORY_MB},
    secret::{Sealer, SecretError},
    token::gateway_token,
};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use super::{Accepted, InstancePath, Outcome};
use crate::{
    audit::{Entry, Target},
    auth::Principal,
    capacity,
    error::{AppError, AppResult},
    extract::{OptionalJson, Path},
    middleware::RequestContext,
    quota::{self, Wanted},
    state::AppState,
    validate::Checks,
};

/// Options of a restore. All fields are optional.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct UndeleteInstance {
    /// New name, for example if the earlier one is taken; 1 to 64 characters
    #[schema(min_length = 1, max_length = 64)]
    name: Option<String>,
}

/// Restores a deleted instance
///
/// Restores files, token, settings and address. Possible while `GET /api/instances/deleted` lists the instance.
#[utoipa::path(
    post, path = "/api/instances/{id}/undelete", tag = "instances", params(InstancePath),
    request_body = Option<UndeleteInstance>,
    responses((status = ACCEPTED, body = Accepted, headers(("Location", description = "URL of the job")))),
)]
pub async fn undelete_instance(
    app: AppState,
    who: Principal,
    context: RequestContext,
    Path(path): Path<InstancePath>,
    OptionalJson(form): OptionalJson<UndeleteInstance>,
) -> AppResult<Accepted> {
    let name = checked_name(form.name.as_deref())?;
    let state = app.clone();
    let outcome = app
        .transaction(who.own(), async move |conn| {
            let owner = user::lock(conn, who.user.id).await?;
            let row = recoverable::lock(conn, who.own(), &path.id).await?;
            let row = row.ok_or_else(|| AppError::not_found("instance"))?;
            let manifest = manifest(&row, &state.sealer).map_err(AppError::internal)?;
            let wanted = Wanted { memory_mb: manifest.settings.memory_mb, cpu_millis: manifest.settings.cpu_millis };
            quota::check(conn, &state.quotas, &owner, wanted, None).await?;
            let recovery = Recovery { row, manifest, name, action: "instance.undelete" };
            recovery.run(conn, &who, &context, &owner, &state).await
        })
        .await?;
    Ok(Accepted::of(&app, outcome))
}

/// Validates the requested name, if any.
pub(crate) fn checked_name(name: Option<&str>) -> AppResult<Option<String>> {
    let mut checks = Checks::default();
    let name = name.map(|name| checks.name("name", name));
    checks.done()?;
    Ok(name)
}

/// The stored manifest, or, if there is none, the default settings and a new token.
pub(crate) fn manifest(row: &Recoverable, sealer: &Sealer) -> Result<Manifest, SecretError> {
    if let Some(manifest) = row.manifest() {
        return Ok(manifest);
    }
    let id: &InstanceId = &row.id;
    let settings = InstanceSettings {
        memory_mb: DEFAULT_MEMORY_MB,
        cpu_millis: DEFAULT_CPU_MILLIS,
        channel: Channel::None,
        bot_token_sealed: None,
        ai_provider: AiProvider::None,
        api_key_sealed: None,
        env_sealed: std::collections::BTreeMap::new(),
    };
    Ok(Manifest::unnamed(id, sealer.seal(&gateway_token(), seal_context::gateway_token(id))?, settings))
}

/// A restore of an instance.
pub(crate) struct Recovery {
    pub(crate) row: Recoverable,
    pub(crate) manifest: Manifest,
    /// New name, if requested.
    pub(crate) name: Option<String>,
    pub(crate) action: &'static str,
}

impl Recovery {
    /// Inserts the instance and the job that starts it, if the host has room for it.
    pub(crate) async fn run(
        self,
        conn: &mut Conn,
        who: &Principal,
        context: &RequestContext,
        owner: &User,
        app: &AppState,
    ) -> AppResult<Outcome> {
        let Self { row, manifest, name, action } = self;
        // What is pending is applied by the first restart.
        let pending = manifest.pending_settings.as_ref().map_or(0, |pending| pending.memory_mb);
        capacity::check_restored(conn, &app.capacity, manifest.settings.memory_mb.max(pending)).await?;
        let name = name.or(row.name).unwrap_or_else(|| row.id.to_string());
        let restore = Restore {
            owner: owner.id,
            name: &name,
            manifest: &manifest,
            requested_by: Some(who.user.id),
            request_id: Some(&context.request_id),
        };
        let (instance, job) = recoverable::restore(conn, &restore).await?;
        Entry::new(action, Target::Instance(&row.id))
            .owned_by(owner.id)
            .detail(json!({ "name": name, "was": row.state, "jobId": job.id }))
            .by(conn, who, context)
            .await?;
        Ok(Outcome::load(conn, instance, job).await?)
    }
}
