//! A complete installation: a database, an API process, worker processes, and all that they need.

use std::{
    ops::Deref,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::Engine as _;
use tempfile::TempDir;

use crate::{
    cleanup, database, fake::FakeMode, installation::Installation, postgres_server::PostgresServer, process::Process,
    programs::Program, settings, slot::Slot,
};

/// The image of instances.
#[derive(Debug, Clone)]
pub enum Image {
    Fake(FakeMode),
    /// OpenClaw itself. A test with it must be among those of the script `openclaw` in `.config/nextest.toml`, which makes
    /// the image.
    Real,
    Named(String),
}

impl From<FakeMode> for Image {
    fn from(mode: FakeMode) -> Self {
        Self::Fake(mode)
    }
}

impl Image {
    pub fn reference(&self) -> String {
        match self {
            Self::Fake(mode) => mode.image(),
            Self::Real => "openclaw:local".into(),
            Self::Named(reference) => reference.clone(),
        }
    }
}

/// Settings of an installation that differ between tests.
#[derive(Debug)]
pub struct Builder {
    workers: usize,
    image: Image,
    lease: f64,
    ready: f64,
    data_dir: Option<PathBuf>,
    database_port: Option<u16>,
    database_server: Option<Arc<PostgresServer>>,
    api: Program,
    settings: Vec<(String, String)>,
}

impl Builder {
    /// Uses this API program instead of the one of this checkout.
    #[must_use]
    pub fn api(self, api: Program) -> Self {
        Self { api, ..self }
    }

    /// Creates the database on this server instead of the shared one.
    #[must_use]
    pub fn database_server(self, server: &Arc<PostgresServer>) -> Self {
        Self { database_server: Some(Arc::clone(server)), ..self }
    }

    /// The programs connect to Postgres through this port, where a proxy listens.
    #[must_use]
    pub fn database_port(self, port: u16) -> Self {
        Self { database_port: Some(port), ..self }
    }

    /// Number of workers at the start. Default: one.
    #[must_use]
    pub fn workers(self, workers: usize) -> Self {
        Self { workers, ..self }
    }

    /// The image of instances. Default: a fake gateway that works.
    #[must_use]
    pub fn image(self, image: impl Into<Image>) -> Self {
        Self { image: image.into(), ..self }
    }

    /// Seconds until a lease expires. Default: six.
    #[must_use]
    pub fn lease(self, lease: f64) -> Self {
        Self { lease, ..self }
    }

    /// Seconds that a gateway may take to answer.
    #[must_use]
    pub fn ready(self, ready: f64) -> Self {
        Self { ready, ..self }
    }

    /// Directory of the instances' files. Default: one in the test's own directory.
    #[must_use]
    pub fn data_dir(self, data_dir: &Path) -> Self {
        Self { data_dir: Some(data_dir.to_owned()), ..self }
    }

    /// An environment variable for the API and the workers.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    pub async fn build(self) -> TestEnv {
        TestEnv::start(self).await
    }
}

/// How one worker differs from the others.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    pub program: Program,
    pub settings: Vec<(String, String)>,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self { program: Program::Worker, settings: Vec::new() }
    }
}

impl WorkerOptions {
    /// A worker with these kill points, such as `provision.write_config.between=return`.
    pub fn failpoints(points: &str) -> Self {
        Self::default().set("FAILPOINTS", points)
    }

    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }
}

/// A running installation.
#[derive(Debug)]
pub struct TestEnv {
    pub(crate) installation: Installation,
    /// Directory of the instances' files.
    pub data_dir: PathBuf,
    pub api: Arc<Process>,
    pub slot: Slot,
    pub image: Image,
    pub(crate) dir: TempDir,
    pub(crate) workers: Mutex<Vec<Arc<Process>>>,
    settings: Vec<(String, String)>,
    program: Program,
    pub(crate) finished: bool,
}

impl TestEnv {
    pub fn builder() -> Builder {
        let image = Image::Fake(FakeMode::Ok);
        Builder {
            workers: 1,
            image,
            lease: 6.0,
            ready: 60.0,
            data_dir: None,
            database_port: None,
            database_server: None,
            api: Program::Api,
            settings: Vec::new(),
        }
    }

    async fn start(builder: Builder) -> Self {
        let slot = Slot::take();
        cleanup::remove_traces(&slot.prefix()).await.expect("a clean slot");
        let name = format!("{}{}", slot.prefix(), hex::encode(rand::random::<[u8; 4]>()));
        let dir = tempfile::Builder::new().prefix(&name).tempdir().expect("a directory");
        let database = name.replace('-', "_");
        let database_url = if let Some(server) = &builder.database_server {
            // The programs run the migrations.
            server.create(&database).await;
            server.url(&database)
        } else {
            database::create(&database).await.expect("a database");
            database::url(&database)
        };
        let data_dir = builder.data_dir.clone().unwrap_or_else(|| dir.path().join("data"));
        let api_port = slot.api_port(0);
        let settings = common_settings(&builder, &slot, &name, dir.path(), &data_dir, &database_url);
        let env = Self {
            installation: Installation::new(name, database_url, format!("http://127.0.0.1:{api_port}")),
            api: Arc::new(start_api(builder.api, "api", api_port, &settings, dir.path())),
            workers: Mutex::default(),
            finished: false,
            program: builder.api,
            image: builder.image,
            data_dir,
            slot,
            dir,
            settings,
        };
        for _ in 0..builder.workers {
            env.start_worker(&WorkerOptions::default());
        }
        env.wait_until_up().await;
        env
    }

    async fn wait_until_up(&self) {
        let anon = crate::http().build().unwrap();
        let probe = format!("{}/healthz", self.base);
        let up = async || anon.get(&probe).send().await.ok().filter(|answer| answer.status().is_success());
        self.wait_for("the API to answer", Duration::from_secs(20), up).await;
        for worker in self.workers() {
            self.wait_until_ready(&worker).await;
        }
    }

    /// Starts a worker without waiting for it.
    pub fn start_worker(&self, options: &WorkerOptions) -> Arc<Process> {
        let mut workers = self.workers.lock().unwrap();
        let name = format!("worker-{}", workers.len() + 1);
        let mut settings = self.settings.clone();
        settings.extend(options.settings.iter().cloned());
        let worker = Arc::new(Process::start(&name, options.program, &["run"], &settings, self.dir.path()));
        workers.push(Arc::clone(&worker));
        worker
    }

    /// Starts a worker and waits until it takes jobs.
    pub async fn add_worker(&self, options: &WorkerOptions) -> Arc<Process> {
        let worker = self.start_worker(options);
        self.wait_until_ready(&worker).await;
        worker
    }

    async fn wait_until_ready(&self, worker: &Process) {
        let ready = async || {
            assert_eq!(worker.try_ended().await, None, "a worker ended at once\n{}", worker.tail(40));
            worker.log().contains("Worker is ready").then_some(())
        };
        self.wait_for("a worker to be ready", Duration::from_secs(20), ready).await;
    }

    /// Starts the API again on the same port after it has ended, without waiting for it.
    pub fn revive_api(&mut self) {
        let port = self.slot.api_port(0);
        self.api = Arc::new(start_api(self.program, "api", port, &self.settings, self.dir.path()));
    }

    /// Starts another API process on the same database; returns it and its address.
    pub fn start_api(&self, nth: u16, settings: &[(String, String)]) -> (Process, String) {
        self.start_api_of(self.program, nth, settings)
    }

    /// As [`Self::start_api`], with another program.
    pub fn start_api_of(&self, program: Program, nth: u16, settings: &[(String, String)]) -> (Process, String) {
        let port = self.slot.api_port(nth);
        let all: Vec<_> = self.settings.iter().chain(settings).cloned().collect();
        let api = start_api(program, &format!("api-{nth}"), port, &all, self.dir.path());
        (api, format!("http://127.0.0.1:{port}"))
    }

    /// All workers that were started, including those that have ended.
    pub fn workers(&self) -> Vec<Arc<Process>> {
        self.workers.lock().unwrap().clone()
    }

    /// The n-th worker that was started, from 0.
    pub fn worker(&self, nth: usize) -> Arc<Process> {
        Arc::clone(&self.workers.lock().unwrap()[nth])
    }

    /// The environment of the programs, for running their commands.
    pub fn settings(&self) -> &[(String, String)] {
        &self.settings
    }

    /// A directory for the test's own files.
    pub fn scratch(&self) -> &Path {
        self.dir.path()
    }
}

impl Deref for TestEnv {
    type Target = Installation;
    fn deref(&self) -> &Installation {
        &self.installation
    }
}

fn common_settings(
    builder: &Builder,
    slot: &Slot,
    name: &str,
    dir: &Path,
    data_dir: &Path,
    database_url: &str,
) -> Vec<(String, String)> {
    let key_file = write_key(dir);
    let (first, last) = slot.ports();
    let mut settings: Vec<(String, String)> = [
        ("DATABASE_URL", database_url.to_owned()),
        ("REDIS_URL", settings::redis_url()),
        ("REDIS_PREFIX", name.to_owned()),
        ("KEY_FILE", key_file.display().to_string()),
        ("DEPLOYMENT", name.to_owned()),
        ("PORT_RANGE", format!("{first}-{last}")),
        ("NETWORK_POOL", slot.network_pool()),
        ("DATA_DIR", data_dir.display().to_string()),
        ("DOCKER_HOST", settings::docker_host()),
        ("IMAGE", builder.image.reference()),
        ("IMAGE_SOURCE", "release".into()),
        ("LEASE_SECONDS", builder.lease.to_string()),
        ("SWEEP_SECONDS", "1".into()),
        ("READY_SECONDS", builder.ready.to_string()),
        ("ROUTING", "direct".into()),
        // Tests run in parallel, so none may change the machine's rules.
        ("FIREWALL", "off".into()),
        // Each test has a database of its own, but all have the same machine.
        ("MEMORY_OVERCOMMIT", "0".into()),
        // Tests count containers and jobs.
        ("WARM_POOL", "0".into()),
        ("FROZEN_MINUTES", "0".into()),
    ]
    .map(|(name, value)| (format!("CLAWDEPLOY_{name}"), value))
    .into();
    settings.push(("RUST_LOG".into(), "info,clawdeploy_worker=debug,clawdeploy_api=debug".into()));
    if let Some(port) = builder.database_port {
        settings.push(("CLAWDEPLOY_DATABASE_URL".into(), database::url_through(&name.replace('-', "_"), port)));
    }
    settings.extend(builder.settings.iter().cloned());
    settings
}

/// Writes a key for secrets, as an installation has one.
pub fn write_key(dir: &Path) -> PathBuf {
    let file = dir.join("key");
    write_secret(&file, &base64::engine::general_purpose::STANDARD.encode(rand::random::<[u8; 32]>()));
    file
}

/// Writes a file that only its owner may read.
fn write_secret(path: &Path, text: &str) {
    use std::io::Write as _;
    let mut file = std::fs::File::create(path).expect("a key file");
    file.set_permissions(std::fs::Permissions::from_mode(0o600)).expect("its mode");
    file.write_all(text.as_bytes()).expect("its content");
}

fn start_api(program: Program, name: &str, port: u16, settings: &[(String, String)], dir: &Path) -> Process {
    let mut settings = settings.to_vec();
    settings.push(("CLAWDEPLOY_LISTEN".into(), format!("127.0.0.1:{port}")));
    Process::start(name, program, &["serve"], &settings, dir)
}
