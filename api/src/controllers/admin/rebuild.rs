use axum::http::{HeaderName, StatusCode, header};
use clawdeploy_shared::{
    db::{
        Conn,
        image::ImageSource,
        job::{self, Job, NewJob},
    },
    job::JobKind,
};
use diesel_async::AsyncConnection as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::{
    audit::{Entry, Target},
    auth::{Admin, Principal},
    controllers::jobs::JobView,
    error::{AppError, AppResult},
    extract::{Json, OptionalJson},
    middleware::RequestContext,
    state::AppState,
    validate::Checks,
};

/// At most one build is open at a time, whoever asks for it.
const DEDUPE_KEY: &str = "image";

/// Which image to build. Everything may be left out.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RebuildImage {
    /// Where OpenClaw comes from
    #[schema(value_type = Option<ImageSource>, default = "release")]
    source: Option<String>,
    /// Version of OpenClaw; left out: the one that the workers are set to
    #[schema(example = "2026.9.6")]
    version: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Rebuilding {
    job: JobView,
    /// Somebody had asked for the same before: this is the job of that request.
    joined: bool,
}

/// Builds the OpenClaw image
///
/// One build at a time: whoever asks for the same one meanwhile joins it, and another one is refused with 409.
#[utoipa::path(
    post, path = "/api/admin/image/rebuild", tag = "admin", request_body = Option<RebuildImage>,
    responses((status = ACCEPTED, body = Rebuilding, headers(("Location", description = "The job")))),
)]
pub async fn rebuild_image(
    app: AppState,
    Admin(who): Admin,
    context: RequestContext,
    OptionalJson(form): OptionalJson<RebuildImage>,
) -> AppResult<(StatusCode, [(HeaderName, String); 1], Json<Rebuilding>)> {
    let payload = form.check()?;
    let db = app.db.clone();
    let (job, made) = app
        .change(async move {
            let mut conn = db.conn().await?;
            conn.transaction(async |conn| {
                let (job, made) = enqueue(conn, &who, &context, &payload).await?;
                if !made && ["source", "version"].iter().any(|key| job.payload.get(key) != payload.get(key)) {
                    return Err(AppError::job_in_progress(job.into()));
                }
                Ok((job, made))
            })
            .await
        })
        .await?;
    if made {
        app.doorbell.ring(job.queue, job.id);
    }
    let location = [(header::LOCATION, format!("/api/jobs/{}", job.id))];
    Ok((StatusCode::ACCEPTED, location, Json(Rebuilding { job: job.into(), joined: !made })))
}

/// Queues a build, or joins the one that is open; true: it was queued.
pub(crate) async fn enqueue(
    conn: &mut Conn,
    who: &Principal,
    context: &RequestContext,
    payload: &Value,
) -> AppResult<(Job, bool)> {
    let new = NewJob {
        requested_by: Some(who.user.id),
        payload: payload.clone(),
        dedupe_key: Some(DEDUPE_KEY),
        request_id: Some(&context.request_id),
        ..NewJob::new(JobKind::RebuildImage)
    };
    let (job, made) = job::insert_or_join(conn, &new).await?;
    let detail = json!({ "jobId": job.id, "joined": !made, "payload": payload });
    Entry::new("image.rebuild", Target::Image).detail(detail).by(conn, who, context).await?;
    Ok((job, made))
}

impl RebuildImage {
    /// The job's arguments.
    fn check(&self) -> AppResult<Value> {
        let mut checks = Checks::default();
        let source = checks.word("source", self.source.as_deref(), ImageSource::ALL, ImageSource::Release);
        let mut payload = json!({ "source": source });
        if let Some(version) = &self.version {
            if !is_version(version) {
                checks.fail("version", "invalid", "must look like 2026.9.6");
            }
            payload["version"] = version.as_str().into();
        }
        checks.done()?;
        Ok(payload)
    }
}

/// It ends up in a build argument and in a tag.
fn is_version(text: &str) -> bool {
    let first_is_digit = text.bytes().next().is_some_and(|b| b.is_ascii_digit());
    first_is_digit && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for good in ["2026.9.6", "2026.9.6-beta.1", "1"] {
            assert!(is_version(good), "{good}");
        }
        for bad in ["", "latest", "-1", "1 2", "1;rm", "1/2", "1\n", &"1".repeat(65)] {
            assert!(!is_version(bad), "{bad:?}");
        }
    }

    #[test]
    fn the_arguments_of_the_job() {
        let form = |text: &str| serde_json::from_str::<RebuildImage>(text).unwrap().check();
        assert_eq!(form("{}").unwrap(), json!({ "source": "release" }));
        assert_eq!(form(r#"{"version":"2026.9.6"}"#).unwrap(), json!({ "source": "release", "version": "2026.9.6" }));
        assert!(form(r#"{"source":"git"}"#).is_err());
    }
}
