//! The last layer of every image: our plugin for OpenClaw, and V8's compile cache.
//!
//! - **The plugin** lets a worker ask the running gateway for a link to the dashboard (`rpc/dashboard_link.rs`). It lies
//!   among those that come with OpenClaw, because only these are trusted without a line in each owner's configuration.
//! - **The cache**: a boot compiles thousands of modules. With a cache, V8 reads what it has compiled before
//!   (`docs/benchmarks.md` says what that saves).
//!
//! The gateway is started once when an image is built, and what Node writes at its end stays in the image, with what
//! `openclaw dashboard` grants: the plugin grants the same. The layer needs only what an instance needs, a gateway in
//! `/app` that runs as uid 1000, so images of all sources get it. The gateway has no network meanwhile.
//!
//! Containers inherit the variable that tells Node the directory, so only those of images with a cache have it. The
//! cache is for one version of Node, one uid, and the features of this machine's CPU. The limits of the heap make no
//! difference, so one cache serves instances of all sizes. Node never uses what does not fit and needs no permission to
//! write. An image without the layer is slower and otherwise as good, so a failure is only a line in the build's log.

use std::{collections::BTreeMap, time::Duration};

use bollard::models::ImageConfig;
use clawdeploy_shared::telemetry::chain;
use tokio::time::timeout;

use super::{
    build::{self, EngineBuild, Network},
    context,
    dockerfile::Needs,
    error::BuildError,
    node,
    output::Output,
    source::BuildLimits,
};
use crate::runtime::docker::Docker;

/// What the layer is made from, by name. `install.mjs` adds the plugin if this OpenClaw can run it. `fill.mjs` starts the
/// gateway, and checks that V8 takes what it wrote and that the plugin grants what the command grants.
const FILES: [(&str, &str); 4] = [
    ("clawdeploy/fill.mjs", include_str!("layer/fill.mjs")),
    ("clawdeploy/install.mjs", include_str!("layer/install.mjs")),
    ("clawdeploy/plugin/index.js", include_str!("layer/plugin/index.js")),
    ("clawdeploy/plugin/openclaw.plugin.json", include_str!("layer/plugin/openclaw.plugin.json")),
];

/// Directory of these files, the cache and the profile. Instances have no mount there.
const HOME: &str = "/opt/clawdeploy";

/// With one of these, an image has decided for itself.
const VARIABLES: [&str; 2] = ["NODE_COMPILE_CACHE", "NODE_DISABLE_COMPILE_CACHE"];

/// Time limit, which is part of that of the build. Making the layer took 55 s when a boot took 25 s; the limits of the
/// program add up to less.
const LIMIT: Duration = Duration::from_mins(8);

/// Identifies this version of the layer.
pub(super) fn recipe() -> impl Iterator<Item = String> {
    FILES.into_iter().map(|(_, text)| text.to_owned()).chain([dockerfile("", "", "")])
}

/// The same image with the layer, or the image itself if that cannot be made.
pub(super) async fn add(docker: &Docker, image_id: String, limits: &BuildLimits, output: &mut Output) -> String {
    let why = match timeout(LIMIT, layer(docker, &image_id, limits, output)).await {
        Ok(Ok(Some(made))) => return made,
        Ok(Ok(None)) => return image_id,
        Ok(Err(error)) => chain(&error),
        Err(_) => format!("it took longer than {} s", LIMIT.as_secs()),
    };
    output
        .line(&format!("The image gets no compile cache and no plugin of ours, so its gateways are slower: {why}"))
        .await;
    image_id
}

async fn layer(
    docker: &Docker,
    image_id: &str,
    limits: &BuildLimits,
    output: &mut Output,
) -> Result<Option<String>, BuildError> {
    let config = docker.inspect_image(image_id).await?.and_then(|image| image.config).unwrap_or_default();
    if let Err(why) = fits(&config) {
        output.line(&format!("The image stays without a compile cache and our plugin: {why}")).await;
        return Ok(None);
    }
    output.line("Starting the gateway once, so that the image has V8's compile cache").await;
    let user = config.user.filter(|user| !user.is_empty()).unwrap_or_else(|| "0".to_owned());
    let text = dockerfile(image_id, &build::mark(docker), &user);
    let files: Vec<_> = [("Dockerfile", text.as_str())].into_iter().chain(FILES).collect();
    let build = EngineBuild {
        context: context::archive(&files)?,
        needs: Needs::Classic,
        args: BTreeMap::new(),
        version: None,
        memory_bytes: limits.memory_bytes,
        no_cache: limits.no_cache,
        network: Network::None,
    };
    build::run(docker, build, output).await.map(Some)
}

/// Whether the layer can be made for an image with this configuration, or why not.
fn fits(config: &ImageConfig) -> Result<(), String> {
    // The layer's programs are for Node.
    if node::said_by(config).is_none() {
        return Err("the image does not say which Node it has".to_owned());
    }
    let set = config.env.iter().flatten().find_map(|entry| {
        VARIABLES.into_iter().find(|name| entry.strip_prefix(name).is_some_and(|rest| rest.starts_with('=')))
    });
    if let Some(name) = set {
        return Err(format!("the image sets {name} itself"));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | ':');
    if !config.user.iter().all(|user| user.chars().all(plain)) {
        return Err("the name of the image's user is unusual".to_owned());
    }
    Ok(())
}

/// Another owner of the files would need a layer with a copy of them; instances cannot write to them anyway.
///
/// The second variable keeps OpenClaw's CLI from restarting itself with a subdirectory of the cache: with it,
/// `openclaw devices list` took 2.2 s of CPU time, without it 2.6 s, and without a cache 3.0 s.
fn dockerfile(image_id: &str, mark: &str, user: &str) -> String {
    format!(
        "FROM {image_id}\n\
         {mark}\n\
         COPY --chown=1000:1000 clawdeploy {HOME}\n\
         USER 0:0\n\
         RUN [\"node\", \"{HOME}/install.mjs\", \"{HOME}/plugin\"]\n\
         USER 1000:1000\n\
         RUN [\"node\", \"{HOME}/fill.mjs\", \"{HOME}/compile-cache\", \"{HOME}/owner-profile.json\"]\n\
         USER {user}\n\
         ENV NODE_COMPILE_CACHE={HOME}/compile-cache OPENCLAW_PACKAGED_COMPILE_CACHE_RESPAWNED=1\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(env: &[&str], user: &str) -> ImageConfig {
        let env = env.iter().map(|&entry| entry.to_owned()).collect();
        ImageConfig { env: Some(env), user: Some(user.to_owned()), ..ImageConfig::default() }
    }

    #[test]
    fn the_layer_leaves_everything_else_as_it_was() {
        assert_eq!(
            dockerfile("sha256:01", "LABEL clawdeploy.deployment=\"d\"", "node"),
            "FROM sha256:01\nLABEL clawdeploy.deployment=\"d\"\nCOPY --chown=1000:1000 clawdeploy /opt/clawdeploy\n\
             USER 0:0\nRUN [\"node\", \"/opt/clawdeploy/install.mjs\", \"/opt/clawdeploy/plugin\"]\n\
             USER 1000:1000\nRUN [\"node\", \"/opt/clawdeploy/fill.mjs\", \"/opt/clawdeploy/compile-cache\", \
             \"/opt/clawdeploy/owner-profile.json\"]\nUSER node\nENV NODE_COMPILE_CACHE=/opt/clawdeploy/compile-cache \
             OPENCLAW_PACKAGED_COMPILE_CACHE_RESPAWNED=1\n"
        );
        assert_eq!(super::super::dockerfile::look(&dockerfile("x", "", "0")).unwrap(), Needs::Classic);
    }

    #[test]
    fn images_that_get_the_layer() {
        let official = ["PATH=/usr/bin", "NODE_VERSION=24.22.3"];
        for user in ["", "node", "1000:1000"] {
            assert_eq!(fits(&config(&official, user)), Ok(()), "{user}");
        }
        assert_eq!(fits(&config(&["NODE_VERSION=24.22.3", "NODE_COMPILE_CACHED=x"], "")), Ok(()));
    }

    #[test]
    fn images_that_stay_as_they_are() {
        for (env, user, why) in [
            (["A=b", "C=d"], "", "which Node"),
            (["NODE_VERSION=24.22.3", "NODE_COMPILE_CACHE=/x"], "", "sets NODE_COMPILE_CACHE"),
            (["NODE_VERSION=24.22.3", "NODE_DISABLE_COMPILE_CACHE=1"], "", "sets NODE_DISABLE_COMPILE_CACHE"),
            // Otherwise it would be a further instruction of our Dockerfile.
            (["NODE_VERSION=24.22.3", "A=b"], "node\nRUN evil", "unusual"),
        ] {
            assert!(fits(&config(&env, user)).unwrap_err().contains(why), "{why}");
        }
    }
}
