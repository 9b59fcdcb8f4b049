//! nginx, if it routes.

use clawdeploy_shared::config::Routing;
use rustix::fs::{Access, access};

use super::Check;
use crate::{
    config::{NginxArgs, WorkerConfig},
    nginx::{
        map,
        program::{CommandError, Inquiry, try_map},
    },
};

/// Empty if nginx does not route.
pub(super) async fn check(config: &WorkerConfig) -> Vec<Check> {
    if config.routing.routing == Routing::Direct {
        return Vec::new();
    }
    let args = &config.nginx;
    vec![program(args).await, map_file(args), answers(args).await]
}

/// Whether nginx can test a map, as the worker has it do before each change.
async fn program(args: &NginxArgs) -> Check {
    let tested = async {
        let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
        let path = dir.path().join("map.conf");
        tokio::fs::write(&path, map::render(0, &[])).await.map_err(|error| error.to_string())?;
        try_map(&args.nginx_program, &path).await.map_err(|error| match &error {
            CommandError::Start { source, .. } => format!("{error}: {source}"),
            _ => error.to_string(),
        })
    };
    match tested.await {
        Ok(()) => Check::ok("nginx", format!("{} tests maps", args.nginx_program.display())),
        Err(why) => {
            let fix = "Install nginx on the worker's machine, or set CLAWDEPLOY_NGINX_PROGRAM. Until then no instance gets an \
                       address.";
            Check::warn("nginx", why, fix)
        }
    }
}

fn map_file(args: &NginxArgs) -> Check {
    let dir = args.nginx_map.parent().unwrap_or(&args.nginx_map);
    let found = format!("the map's directory is {}", dir.display());
    match access(dir, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => Check::ok("nginx_map", found),
        Err(error) => {
            let found = format!("{found}, where the worker cannot write: {}", std::io::Error::from(error));
            Check::warn(
                "nginx_map",
                found,
                "Run deploy/install.sh, or set CLAWDEPLOY_NGINX_MAP (the worker replaces that file).",
            )
        }
    }
}

/// Whether the running nginx has our configuration.
async fn answers(args: &NginxArgs) -> Check {
    let address = args.nginx_probe;
    let generation = match Inquiry::new(address) {
        Ok(inquiry) => inquiry.generation().await,
        Err(_) => None,
    };
    if let Some(generation) = generation {
        return Check::ok("nginx_site", format!("nginx at {address} has generation {generation} of the map"));
    }
    let fix = "Start nginx with the configuration of deploy/nginx/render.sh (deploy/install.sh does that), or correct \
               CLAWDEPLOY_NGINX_PROBE. `nginx -t` says what is wrong with a configuration.";
    Check::warn("nginx_site", format!("nginx does not answer at {address} as the instances' proxy"), fix)
}
