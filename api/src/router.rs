//! The table of all routes. Method and path are declared at the handler, from which the OpenAPI document is generated
//! as well, so the two cannot differ.

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    http::Method,
    response::{IntoResponse as _, Response},
    routing::get,
};
use utoipa::openapi::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};
use utoipa_swagger_ui::SwaggerUi;

use crate::{
    controllers::{admin, audit, auth, health, instances, jobs, me, pages, sessions, terminals, tokens},
    error::{AppError, ErrorCode},
    extract::BODY_LIMIT_BYTES,
    middleware, openapi,
    state::AppState,
    web,
};

fn table() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(openapi::base())
        // Public
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(auth::options::get_auth_options))
        .routes(routes!(auth::setup::set_up))
        .routes(routes!(auth::login::login))
        .routes(routes!(auth::oidc::start::start_oidc))
        .routes(routes!(auth::oidc::finish::finish_oidc))
        .routes(routes!(auth::invitation::accept_invitation))
        // For signed-in people
        .routes(routes!(auth::logout::logout))
        .routes(routes!(me::get_me))
        .routes(routes!(me::password_change::change_password))
        .routes(routes!(me::totp::prepare::prepare_totp, me::totp::remove::remove_totp))
        .routes(routes!(me::totp::confirm::confirm_totp))
        .routes(routes!(sessions::list::list_sessions))
        .routes(routes!(audit::list_own_audit))
        .routes(routes!(sessions::end::end_session))
        .routes(routes!(tokens::list::list_tokens, tokens::create::create_token))
        .routes(routes!(tokens::revoke::revoke_token))
        .routes(routes!(instances::list::list_instances, instances::create::create_instance))
        .routes(routes!(
            instances::show::get_instance,
            instances::edit::edit_instance,
            instances::delete::delete_instance
        ))
        .routes(routes!(instances::usage::list::list_usage))
        .routes(routes!(instances::deleted::list_deleted_instances))
        .routes(routes!(instances::undelete::undelete_instance))
        .routes(routes!(instances::start::start_instance))
        .routes(routes!(instances::stop::stop_instance))
        .routes(routes!(instances::restart::restart_instance))
        .routes(routes!(instances::update::update_instance))
        .routes(routes!(instances::rollback::rollback_instance))
        .routes(routes!(instances::changes::list_changes))
        .routes(routes!(instances::jobs::list_instance_jobs))
        .routes(routes!(instances::dashboard_link::create_dashboard_link))
        .routes(routes!(instances::devices::list::list_devices))
        .routes(routes!(instances::devices::approve::approve_device))
        .routes(routes!(instances::devices::reject::reject_device))
        .routes(routes!(instances::devices::remove::remove_device))
        .routes(routes!(instances::logs::read_logs))
        .routes(routes!(instances::usage::follow::follow_usage))
        .routes(routes!(instances::usage::history::get_usage_history))
        .routes(routes!(terminals::list::list_terminals, terminals::open::open_terminal))
        .routes(routes!(terminals::direct::open_terminal_directly))
        .routes(routes!(terminals::ticket::create_terminal_ticket))
        .routes(routes!(terminals::close::close_terminal))
        .routes(routes!(jobs::show::get_job))
        .routes(routes!(jobs::cancel::cancel_job))
        .routes(routes!(jobs::events::list_job_events))
        .routes(routes!(jobs::build_log::follow_build_log))
        // For administrators
        .routes(routes!(admin::users::list::list_users, admin::users::create::create_user))
        .routes(routes!(admin::users::edit::edit_user))
        .routes(routes!(admin::users::reset_password::reset_password))
        .routes(routes!(admin::queues::list::list_queues))
        .routes(routes!(admin::capacity::show::get_capacity))
        .routes(routes!(admin::firewall::show::get_firewall))
        .routes(routes!(admin::queues::pause::pause_queue))
        .routes(routes!(admin::queues::resume::resume_queue))
        .routes(routes!(admin::jobs::list::list_all_jobs))
        .routes(routes!(admin::jobs::show::get_admin_job, admin::jobs::drop::drop_job))
        .routes(routes!(admin::jobs::retry::retry_job))
        .routes(routes!(admin::jobs::cancel::cancel_any_job))
        .routes(routes!(admin::workers::list::list_workers))
        .routes(routes!(admin::workers::drain::drain_worker))
        .routes(routes!(admin::reconciler::show::list_sweeps, admin::reconciler::run::run_reconciler))
        .routes(routes!(admin::instances::list::list_all_instances))
        .routes(routes!(admin::recoverable::list::list_recoverable_instances))
        .routes(routes!(admin::recoverable::purge::purge_instance))
        .routes(routes!(admin::recoverable::restore::restore_instance))
        .routes(routes!(admin::images::list::list_images))
        .routes(routes!(admin::images::show::get_image))
        .routes(routes!(admin::images::log::follow_image_log))
        .routes(routes!(admin::images::rebuild::rebuild_image))
        .routes(routes!(admin::rollouts::start::update_all))
        .routes(routes!(admin::rollouts::show::get_rollout))
        .routes(routes!(
            admin::version_policy::show::get_version_policy,
            admin::version_policy::set::set_version_policy
        ))
        .routes(routes!(admin::audit::list::list_audit))
        .routes(routes!(admin::audit::export::export_audit))
        .merge(deprecated())
}

/// Former paths that are kept for one release.
#[expect(deprecated, reason = "these handlers serve the former paths")]
fn deprecated() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(instances::usage::follow::follow_stats))
        .routes(routes!(instances::usage::history::get_stats_history))
}

/// The OpenAPI document that the API serves.
pub fn document() -> OpenApi {
    openapi::complete(table().into_openapi())
}

/// Builds the complete application.
pub fn build_app(state: AppState) -> Router {
    let (proxies, own) = (state.trusted_proxies.clone(), state.own_origin.clone());
    let (router, document) = table().split_for_parts();
    let docs = SwaggerUi::new("/api/docs").url("/api/openapi.json", openapi::complete(document));
    let router = router
        .merge(docs)
        .route("/api/terminals/{id}/ws", get(terminals::attach::attach_terminal))
        .route("/pages/instances/{id}", get(pages::instance::page))
        .route("/pages/instances/{id}/hold", get(pages::hold::hold))
        .fallback(no_route)
        .method_not_allowed_fallback(other_method)
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .with_state(state);
    middleware::around(router, proxies, own)
}

/// Answers requests to unknown paths: with a page or a file of the UI, or with 404.
async fn no_route(request: Request) -> Response {
    web::answer(&request).unwrap_or_else(|| {
        let detail = "This path does not exist. All paths are listed at /api/docs/.";
        AppError::new(ErrorCode::NotFound, detail).into_response()
    })
}

async fn other_method(method: Method) -> AppError {
    AppError::new(ErrorCode::MethodNotAllowed, format!("{method} is not allowed at this address."))
}
