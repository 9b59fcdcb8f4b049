use axum::http::{HeaderName, StatusCode, header};
use clawdeploy_shared::{
    db::{Scope, image::ImageSource},
    openclaw::{git_ref::GitRef, reference::ImageReference, version::OpenclawVersion},
    text::trim,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::{
    auth::Admin,
    error::{AppError, AppResult},
    extract::{Json, OptionalJson},
    image_build::enqueue,
    middleware::RequestContext,
    state::AppState,
    validate::Checks,
    views::job::JobView,
};

/// The image to build. Omitted fields default to the workers' settings.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RebuildImage {
    /// Source of OpenClaw; default: `release` if a version is given
    #[schema(value_type = Option<ImageSource>)]
    source: Option<String>,
    /// Version of OpenClaw; only for the source `release`
    #[schema(example = "2026.9.6")]
    version: Option<String>,
    /// Branch, tag or commit for the source `git`; image with tag or digest for the source `registry`
    #[schema(example = "main")]
    reference: Option<String>,
    /// Build without the build cache, even if an image with the same content exists
    #[serde(default)]
    force: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Rebuilding {
    job: JobView,
    /// Whether the request joined a job that was already open.
    joined: bool,
}

/// Builds the OpenClaw image
///
/// Only one build is open at a time. A request that the open build satisfies joins it; any other request is refused
/// with 409. If an image with the same content exists, it is not built again, except with `force`.
#[utoipa::path(
    post, path = "/api/admin/image/rebuild", tag = "admin", request_body = Option<RebuildImage>,
    responses((status = ACCEPTED, body = Rebuilding, headers(("Location", description = "URL of the job")))),
)]
pub async fn rebuild_image(
    app: AppState,
    Admin(who): Admin,
    context: RequestContext,
    OptionalJson(form): OptionalJson<RebuildImage>,
) -> AppResult<(StatusCode, [(HeaderName, String); 1], Json<Rebuilding>)> {
    let payload = form.check()?;
    let (job, made) = app
        .transaction(Scope::Everything, async move |conn| {
            let (job, made) = enqueue(conn, &who, &context, &payload).await?;
            if !made && !is_answer_to(&job.payload, &payload) {
                return Err(AppError::job_in_progress(job.into()));
            }
            Ok((job, made))
        })
        .await?;
    if made {
        app.doorbell.ring(job.queue, job.id);
    }
    let location = [(header::LOCATION, format!("/api/jobs/{}", job.id))];
    Ok((StatusCode::ACCEPTED, location, Json(Rebuilding { job: job.into(), joined: !made })))
}

/// Whether an open build satisfies a request. Omitted arguments match any value.
fn is_answer_to(building: &Value, asked: &Value) -> bool {
    asked.as_object().is_none_or(|asked| asked.iter().all(|(key, value)| building.get(key) == Some(value)))
}

impl RebuildImage {
    /// Validates the request and returns the job's arguments.
    fn check(&self) -> AppResult<Value> {
        let mut checks = Checks::default();
        let mut payload = json!({});
        let default = if self.version.is_some() { Some(ImageSource::Release) } else { None };
        let source = match &self.source {
            Some(source) => checks.word("source", Some(source), ImageSource::ALL, ImageSource::Release),
            None => default,
        };
        if let Some(source) = source {
            payload["source"] = source.as_str().into();
        }
        if let Some(version) = self.version.as_deref().map(trim) {
            if source.is_some_and(|source| source != ImageSource::Release) {
                checks.fail("version", "unexpected", "is only allowed with the source release");
            } else if let Err(error) = OpenclawVersion::parse(version) {
                checks.fail("version", "invalid", format!("is not valid: {error}"));
            }
            payload["version"] = version.into();
        }
        if let Some(reference) = self.reference.as_deref().map(trim) {
            let bad = match source {
                Some(ImageSource::Git) => GitRef::parse(reference).err().map(|error| error.to_string()),
                Some(ImageSource::Registry) => reference.parse::<ImageReference>().err().map(|error| error.to_string()),
                Some(ImageSource::Release) => Some("the source release takes a version instead".to_owned()),
                None if self.source.is_some() => None,
                None | Some(ImageSource::Unknown) => Some("requires a source".to_owned()),
            };
            if let Some(why) = bad {
                checks.fail("reference", "invalid", format!("is not valid: {why}"));
            }
            payload["reference"] = reference.into();
        }
        if self.force {
            payload["force"] = true.into();
        }
        checks.done()?;
        Ok(payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_of_the_job() {
        let form = |form: Value| serde_json::from_value::<RebuildImage>(form).unwrap().check();
        for (asked, payload) in [
            (json!({}), json!({})),
            (json!({ "source": "release" }), json!({ "source": "release" })),
            (json!({ "version": "2026.9.6" }), json!({ "source": "release", "version": "2026.9.6" })),
            (json!({ "source": "git", "reference": "main" }), json!({ "source": "git", "reference": "main" })),
            (json!({ "version": " 2026.9.6\n" }), json!({ "source": "release", "version": "2026.9.6" })),
            (json!({ "source": "git", "reference": "\u{feff}main " }), json!({ "source": "git", "reference": "main" })),
            (json!({ "force": true }), json!({ "force": true })),
            (json!({ "force": false }), json!({})),
            (
                json!({ "source": "registry", "reference": "x.example/openclaw:1" }),
                json!({ "source": "registry", "reference": "x.example/openclaw:1" }),
            ),
        ] {
            assert_eq!(form(asked).unwrap(), payload);
        }
        let long = "1".repeat(41);
        for bad in [
            json!({ "source": "ftp" }),
            json!({ "version": "latest" }),
            json!({ "version": long }),
            json!({ "source": "git", "version": "2026.9.6" }),
            json!({ "source": "git", "reference": "--upload-pack=evil" }),
            json!({ "source": "registry", "reference": "A B" }),
            json!({ "source": "release", "reference": "main" }),
            json!({ "reference": "main" }),
        ] {
            assert!(form(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn whoever_asks_for_anything_takes_what_is_built() {
        let building = json!({ "source": "git", "reference": "v1" });
        for (asked, answer) in [
            (json!({}), true),
            (json!({ "source": "git" }), true),
            (json!({ "source": "git", "reference": "v2" }), false),
            (json!({ "source": "release" }), false),
            (json!({ "force": true }), false),
        ] {
            assert_eq!(is_answer_to(&building, &asked), answer, "{asked}");
        }
    }
}
