//! Whether the Node of a base image can run a release.
//!
//! An image that is on the engine is never pulled again ([`super::base`]), so an old one of the same name stays. A release
//! that refuses its Node fails at the end of a build, after minutes; this says so before it.

use std::time::Duration;

use bollard::models::ImageConfig;
use clawdeploy_shared::{
    http,
    openclaw::version::{OpenclawVersion, is_comparable, is_older},
};
use nodejs_semver::{Range, Version};

use super::{error::BuildError, output::Output, source::ReleaseSource};
use crate::runtime::docker::Docker;

/// Time limit for the registry.
const LIMIT: Duration = Duration::from_secs(5);

/// Most bytes of a package's manifest. That of OpenClaw has some tens of kilobytes.
const MANIFEST_CAP: usize = 4 << 20;

/// Label of base images that `scripts/lib/base-image.sh` makes. The official images have a variable.
const LABEL_NODE: &str = "clawdeploy.node.version";
const VARIABLE: &str = "NODE_VERSION=";

/// Fails if the base image is known to have a Node that the release does not accept.
pub(super) async fn check(docker: &Docker, release: &ReleaseSource, output: &mut Output) -> Result<(), BuildError> {
    let base = release.base_image.to_string();
    let Some(has) = version_of(docker, &base).await? else {
        output.line(&format!("The base image {base} does not say which Node it has")).await;
        return Ok(());
    };
    // Only a registry that the settings name is asked: the worker itself may not reach the one that npm uses by default.
    let said = match release.npm_registry.as_deref() {
        Some(registry) => asked(registry, &release.version).await,
        None => None,
    };
    let Some(needs) = said.or_else(|| known(&release.version).map(str::to_owned)) else { return Ok(()) };
    if accepts(&needs, &has) {
        output.line(&format!("The base image has Node {has}; the release needs {needs}")).await;
        return Ok(());
    }
    Err(BuildError::OldNode { base, has, needs, version: release.version.to_string() })
}

/// The Node in an image, if it says so.
async fn version_of(docker: &Docker, image: &str) -> Result<Option<String>, BuildError> {
    let config = docker.inspect_image(image).await?.and_then(|image| image.config).unwrap_or_default();
    Ok(said_by(&config).map(str::to_owned))
}

/// The Node that an image's configuration states.
pub(super) fn said_by(config: &ImageConfig) -> Option<&str> {
    let label = config.labels.as_ref().and_then(|labels| labels.get(LABEL_NODE)).map(String::as_str);
    label.or_else(|| config.env.iter().flatten().find_map(|entry| entry.strip_prefix(VARIABLE)))
}

/// `engines.node` of the package. `None`: the registry did not answer, or the package does not say.
async fn asked(registry: &str, version: &OpenclawVersion) -> Option<String> {
    let url = format!("{}/openclaw/{version}", registry.trim_end_matches('/'));
    let client = http::client().ok()?.timeout(LIMIT).build().ok()?;
    let answer = client.get(url).send().await.ok()?.error_for_status().ok()?;
    let body = http::body(answer, MANIFEST_CAP).await.ok()??;
    let manifest: serde_json::Value = serde_json::from_slice(&body).ok()?;
    manifest.pointer("/engines/node")?.as_str().map(str::to_owned)
}

/// What releases are known to need, where the registry cannot be asked.
fn known(version: &OpenclawVersion) -> Option<&'static str> {
    let version = version.as_str();
    is_comparable(version).then(|| if is_older(version, "2026.10.6") { ">=24.16.0" } else { ">=24.22.1" })
}

/// Whether npm's range accepts the version. What cannot be read is left to the build.
fn accepts(range: &str, version: &str) -> bool {
    match (Range::parse(range), Version::parse(version.trim_start_matches('v'))) {
        (Ok(range), Ok(version)) => version.satisfies(&range),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, http::StatusCode, routing::get};

    use super::*;

    fn release(version: &str) -> OpenclawVersion {
        OpenclawVersion::parse(version).unwrap()
    }

    #[test]
    fn npm_ranges_are_read_as_npm_reads_them() {
        let range = ">=24.22.1 <25 || >=26.1";
        for (version, accepted) in [
            ("24.16.0", false),
            ("24.22.0", false),
            ("24.22.1", true),
            ("v24.30.0", true),
            ("25.2.0", false),
            ("26.0.9", false),
            ("26.1.0", true),
        ] {
            assert_eq!(accepts(range, version), accepted, "{version}");
        }
        assert!(!accepts("^24.22.1", "25.0.0") && accepts("24.x", "24.1.0") && accepts("22.1 - 24", "24.9.9"));
        assert!(accepts("*", "18.0.0"));
        assert!(accepts("what?", "24.0.0") && accepts(range, "nightly"), "left to the build");
    }

    #[test]
    fn what_is_known_without_a_registry() {
        assert_eq!(known(&release("2026.9.6")), Some(">=24.16.0"));
        assert_eq!(known(&release("2026.10.6")), Some(">=24.22.1"));
        assert_eq!(known(&release("2027.1.1")), Some(">=24.22.1"));
        assert_eq!(known(&release("1")), None);
    }

    #[tokio::test]
    async fn the_package_says_what_it_needs() {
        let package = r#"{"name":"openclaw","engines":{"node":">=24.22.1"}}"#;
        let app = Router::new()
            .route("/npm/openclaw/2026.10.6", get(async move || package))
            .route("/npm/openclaw/2026.1.1", get(async || r#"{"name":"openclaw"}"#))
            .route("/npm/openclaw/2026.2.2", get(async || (StatusCode::NOT_FOUND, "{}")));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let registry = format!("http://{}/npm/", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move { axum::serve(listener, app).await });
        assert_eq!(asked(&registry, &release("2026.10.6")).await.as_deref(), Some(">=24.22.1"));
        assert_eq!(asked(&registry, &release("2026.1.1")).await, None);
        assert_eq!(asked(&registry, &release("2026.2.2")).await, None);
        serving.abort();
    }
}
