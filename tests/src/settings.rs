//! Addresses of the services. `scripts/test --services` starts them and prints these settings.

use std::path::PathBuf;

/// An environment variable of the tests.
#[expect(clippy::disallowed_methods, reason = "the tests' settings are read here and nowhere else")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn required(name: &str) -> String {
    let advice = "start the services: eval \"$(scripts/test --services)\"";
    variable(name).unwrap_or_else(|| panic!("{name} is not set; {advice}"))
}

/// URL of the maintenance database, as a superuser. The server must hold nothing of value.
pub fn database_url() -> String {
    required("CLAWDEPLOY_TEST_DATABASE_URL")
}

/// A Redis server that holds nothing of value.
pub fn redis_url() -> String {
    required("CLAWDEPLOY_TEST_REDIS_URL")
}

/// The Docker engine, such as `unix:///var/run/docker.sock`.
pub fn docker_host() -> String {
    variable("CLAWDEPLOY_TEST_DOCKER_HOST").unwrap_or_else(|| "unix:///var/run/docker.sock".into())
}

/// Path of the engine's socket.
pub fn docker_socket() -> String {
    docker_host().trim_start_matches("unix://").to_owned()
}

/// Base image of tests that build the real image.
pub fn base_image() -> String {
    variable("CLAWDEPLOY_TEST_BASE_IMAGE").unwrap_or_else(|| "clawdeploy/base:bookworm-node24".into())
}

/// Directory of the previous release's programs.
pub fn previous() -> PathBuf {
    let name = "CLAWDEPLOY_TEST_PREVIOUS";
    variable(name).unwrap_or_else(|| panic!("{name} is not set; run scripts/test --compat")).into()
}
