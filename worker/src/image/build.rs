//! One engine build, from a context to an image.

use std::collections::BTreeMap;

use clawdeploy_shared::openclaw::version::OpenclawVersion;

use super::{buildkit::Trace, dockerfile::Needs, error::BuildError, output::Output};
use crate::runtime::docker::{Docker, LABEL_DEPLOYMENT, LABEL_OPENCLAW_VERSION, build::BuildMessage};

/// Half the default weight: running gateways take precedence.
const BUILD_CPU_SHARES: i32 = 512;

const LABEL_IMAGE: &str = "clawdeploy.image";
/// Label value of every image that we build.
const IMAGE: &str = "openclaw";

/// What the steps of a build reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Network {
    /// What any container reaches.
    Default,
    None,
}

/// Input of an engine build.
pub(super) struct EngineBuild<'a> {
    pub(super) context: std::fs::File,
    pub(super) needs: Needs,
    pub(super) args: BTreeMap<String, String>,
    pub(super) version: Option<&'a OpenclawVersion>,
    /// Limit for each step, if the builder supports it. BuildKit does not.
    pub(super) memory_bytes: u64,
    /// Do not use cached steps.
    pub(super) no_cache: bool,
    pub(super) network: Network,
}

/// Builds and returns the image's id. Dropping the future stops the engine.
pub(super) async fn run(docker: &Docker, build: EngineBuild<'_>, output: &mut Output) -> Result<String, BuildError> {
    let engine = docker.engine().await?.version;
    if !build.needs.met_by(&engine) {
        return Err(BuildError::BuildKitNeeded { needs: build.needs.to_string(), engine });
    }
    let parameters = parameters(docker, &build);
    let mut running = docker.start_build(&parameters, tokio::fs::File::from_std(build.context)).await?;
    let mut image_id = None;
    while let Some(BuildMessage { stream, error, id, aux }) = running.next(docker).await? {
        if let Some(text) = stream {
            output.push(&text).await;
        }
        if let Some(aux) = aux {
            if id.as_deref() == Some("moby.buildkit.trace") {
                if let Some(trace) = aux.as_str().and_then(Trace::decode) {
                    output.trace(trace).await;
                }
            } else if let Some(id) = aux.get("ID").and_then(serde_json::Value::as_str) {
                image_id = Some(id.to_owned());
            }
        }
        if let Some(error) = error {
            let (step, tail) = output.end();
            return Err(BuildError::Step { step, message: message(&error), tail });
        }
    }
    image_id.ok_or(BuildError::NoImage)
}

/// The `LABEL` instruction that marks our images.
pub(super) fn mark(docker: &Docker) -> String {
    format!("LABEL {LABEL_DEPLOYMENT}=\"{}\"", docker.deployment())
}

fn parameters(docker: &Docker, build: &EngineBuild<'_>) -> Vec<(&'static str, String)> {
    let mut labels = BTreeMap::from([(LABEL_IMAGE, IMAGE), (LABEL_DEPLOYMENT, docker.deployment())]);
    if let Some(version) = build.version {
        labels.insert(LABEL_OPENCLAW_VERSION, version.as_str());
    }
    let mut parameters = vec![
        ("dockerfile", "Dockerfile".to_owned()),
        ("buildargs", serde_json::json!(build.args).to_string()),
        ("labels", serde_json::json!(labels).to_string()),
        // Removes the containers of all steps, including a failed one.
        ("rm", "1".to_owned()),
        ("forcerm", "1".to_owned()),
        ("cpushares", BUILD_CPU_SHARES.to_string()),
    ];
    if build.memory_bytes > 0 {
        parameters.push(("memory", build.memory_bytes.to_string()));
        parameters.push(("memswap", build.memory_bytes.to_string()));
    }
    if build.no_cache {
        parameters.push(("nocache", "1".to_owned()));
    }
    if build.network == Network::None {
        parameters.push(("networkmode", "none".to_owned()));
    }
    if build.needs != Needs::Classic {
        parameters.push(("version", "2".to_owned()));
    }
    parameters
}

/// The engine's message without the command, which can be a whole script.
fn message(engine: &str) -> String {
    match engine.rsplit_once("returned a non-zero code: ") {
        Some((command, code)) if command.starts_with("The command '") => format!("the command exited with code {code}"),
        _ => engine.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_command_is_told_by_its_code() {
        let engine = "The command '/bin/bash -c a; very; long; script' returned a non-zero code: 137";
        assert_eq!(message(engine), "the command exited with code 137");
        assert_eq!(message("pull access denied for x"), "pull access denied for x");
    }

    #[test]
    fn a_build_without_a_network_says_so() {
        let docker = Docker::connect("/nonexistent", "d").unwrap();
        let mode = |network| {
            let build = EngineBuild {
                context: tempfile::tempfile().unwrap(),
                needs: Needs::Classic,
                args: BTreeMap::new(),
                version: None,
                memory_bytes: 0,
                no_cache: false,
                network,
            };
            parameters(&docker, &build).into_iter().find(|(name, _)| *name == "networkmode").map(|(_, mode)| mode)
        };
        assert_eq!(mode(Network::None).as_deref(), Some("none"));
        assert_eq!(mode(Network::Default), None);
    }
}
