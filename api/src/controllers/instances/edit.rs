use axum::response::{IntoResponse as _, Response};
use clawdeploy_shared::{
    db::{
        Conn, instance,
        instance::{Instance, UnknownSetting},
        job, port, sleep, user, version_policy,
    },
    ids::InstanceId,
    job::JobKind,
    sleep::MOST_MINUTES,
};
use serde_json::json;

use super::{
    Accepted, InstancePath, Outcome,
    change::{self, Change, refuse_stuck},
    settings::{EditInstance, SleepMinutes},
};
use crate::{
    audit::{Entry, Target},
    auth::Principal,
    capacity,
    error::{AppError, AppResult, ErrorCode},
    extract::{Json, Path},
    middleware::RequestContext,
    quota::{self, Wanted},
    state::AppState,
    validate::Checks,
    views::instance::{InstanceView, changed, current},
};

/// Changes the name or the settings of an instance
///
/// The name and `sleepMinutes` apply at once. Changes of limits, channel, provider and environment need a new container. They are stored, shown as
/// `pendingChanges`, and applied by the next start, restart or update. With `applyNow`, they are applied at once: the
/// response is then 202 with the job, and on failure the instance stays as it was.
#[utoipa::path(
    patch, path = "/api/instances/{id}", tag = "instances", params(InstancePath), request_body = EditInstance,
    responses(
        (status = OK, description = "The instance; pending changes are applied later", body = InstanceView),
        (status = ACCEPTED, description = "The instance, and the job that applies the pending changes", body = Accepted,
         headers(("Location", description = "URL of the job"))),
    ),
)]
pub async fn edit_instance(
    app: AppState,
    who: Principal,
    context: RequestContext,
    Path(path): Path<InstancePath>,
    Json(form): Json<EditInstance>,
) -> AppResult<Response> {
    let (state, scope) = (app.clone(), who.scope());
    let edited = app
        .transaction(scope, async move |conn| in_transaction(conn, &who, &context, &path.id, form, &state).await)
        .await?;
    match edited {
        Edited::Applying(outcome) => Ok(Accepted::of(&app, *outcome).into_response()),
        Edited::Noted(instance) => {
            let seen = app.read(scope, async |conn| {
                let port = port::of(conn, &instance.id).await?;
                let open = job::open_on(conn, &instance.id).await?;
                Ok((port, open, version_policy::versions(conn).await?))
            });
            let (port, open, versions) = seen.await?;
            let view = InstanceView::new(*instance, port, current(open), &versions, &app);
            Ok(Json(view).into_response())
        }
    }
}

enum Edited {
    Noted(Box<Instance>),
    Applying(Box<Outcome>),
}

async fn in_transaction(
    conn: &mut Conn,
    who: &Principal,
    context: &RequestContext,
    id: &InstanceId,
    form: EditInstance,
    app: &AppState,
) -> AppResult<Edited> {
    let found = instance::find_for_update(conn, who.scope(), id).await?;
    let mut instance = found.ok_or_else(|| AppError::not_found("instance"))?;
    let apply_now = form.apply_now;
    // Settings that this version does not know would be lost when the others are written.
    let newer = |error: UnknownSetting| {
        AppError::new(ErrorCode::WrongStatus, format!("The settings cannot be changed now: {error}."))
    };
    instance.known_settings().map_err(newer)?;
    let now = instance.wanted_settings().map_err(AppError::internal)?;

    let mut checks = Checks::default();
    // An unchanged name is not checked: it may be older than the rules for names.
    let name = form.name.as_deref().filter(|name| *name != instance.name).map(|name| checks.name("name", name));
    let sleep_minutes = match form.sleep_minutes {
        SleepMinutes::Unchanged => instance.sleep_minutes,
        SleepMinutes::ServersDefault => None,
        SleepMinutes::Own(minutes) => Some(checks.number("sleepMinutes", Some(minutes), (0, MOST_MINUTES), 0)),
    };
    let edit = form.check(&mut checks, &now);
    checks.done()?;
    let wanted = edit.settings(&now, id, &app.sealer).map_err(AppError::internal)?;

    if let Some(name) = name.filter(|name| *name != instance.name) {
        let before = std::mem::replace(&mut instance, instance::rename(conn, id, &name).await?);
        Entry::new("instance.rename", Target::Instance(id))
            .owned_by(instance.owner_id)
            .detail(json!({ "from": before.name, "to": name }))
            .by(conn, who, context)
            .await?;
    }
    if sleep_minutes != instance.sleep_minutes {
        instance = sleep::set_minutes(conn, id, sleep_minutes).await?;
        Entry::new("instance.settings", Target::Instance(id))
            .owned_by(instance.owner_id)
            .detail(json!({ "changed": ["sleepMinutes"], "sleepMinutes": sleep_minutes }))
            .by(conn, who, context)
            .await?;
    }
    if wanted.memory_mb > now.memory_mb || wanted.cpu_millis > now.cpu_millis {
        let owner = instance.owner_id.ok_or_else(|| AppError::not_found("instance"))?;
        let owner = user::lock(conn, owner).await?;
        let limits = Wanted { memory_mb: wanted.memory_mb, cpu_millis: wanted.cpu_millis };
        quota::check(conn, &app.quotas, &owner, limits, Some(id)).await?;
        capacity::check_more(conn, &app.capacity, &instance, wanted.memory_mb).await?;
    }
    if wanted != now {
        // The undo of a stuck change restores the settings from before it, and would overwrite these.
        refuse_stuck(conn, id).await?;
        let has = instance.settings();
        let open = job::open_on(conn, id).await?;
        instance = if instance.container_id.is_none() && open.is_empty() {
            // The first container will be created with them.
            instance::set_settings(conn, id, &wanted).await?
        } else {
            // An open change may still change the current settings, so that they differ from these when it ends.
            let may_change = open.iter().any(|job| job.kind.is_change());
            instance::set_pending(conn, id, Some(&wanted).filter(|wanted| may_change || **wanted != has)).await?
        };
        Entry::new("instance.settings", Target::Instance(id))
            .owned_by(instance.owner_id)
            .detail(json!({ "changed": changed(&now, &wanted) }))
            .by(conn, who, context)
            .await?;
    }
    if !apply_now || instance.pending_settings.is_none() {
        return Ok(Edited::Noted(Box::new(instance)));
    }
    apply(conn, who, context, id).await.map(|outcome| Edited::Applying(Box::new(outcome)))
}

/// Queues the job that recreates the container with the pending settings.
async fn apply(conn: &mut Conn, who: &Principal, context: &RequestContext, id: &InstanceId) -> AppResult<Outcome> {
    // Never an open job: it would not include settings that were changed since it began.
    let (instance, _) = change::ready(conn, who, id, JobKind::ApplySettings).await?;
    let change =
        Change { kind: JobKind::ApplySettings, payload: json!({}), after: None, audit_action: "instance.recreate" };
    let job = change::queue(conn, who, context, &instance, change).await?;
    Ok(Outcome::load(conn, instance, job).await?)
}
