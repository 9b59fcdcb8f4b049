//! The API under test.

use std::{ops::Deref, time::Duration};

use clap::{CommandFactory as _, Parser as _};
use clawdeploy_api::{ApiConfig, AppState, auth::password::Passwords, serve::run};
use clawdeploy_shared::{
    db::user::{self, NewUser, Role},
    ids::UserId,
};
use clawdeploy_tests::{Installation, cleanup, database, env::write_key, slot::Slot, story};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle, time::timeout};

pub(crate) use self::log::log;

mod log;

/// Password of all accounts that have one.
pub(crate) const PASSWORD: &str = "canary horse battery";

/// Time limit of the API's shutdown.
const END: Duration = Duration::from_secs(20);

/// An API in the test process with its own database, which serves like `clawdeploy-api serve`.
///
/// It listens on a port on loopback, so that disconnects, streams and client addresses are as in production.
#[derive(Debug)]
pub(crate) struct TestApi {
    installation: Installation,
    running: Vec<(AppState, JoinHandle<anyhow::Result<()>>)>,
    settings: Vec<(String, String)>,
    dir: TempDir,
    finished: bool,
    _slot: Slot,
}

impl Deref for TestApi {
    type Target = Installation;
    fn deref(&self) -> &Installation {
        &self.installation
    }
}

impl TestApi {
    /// Starts it with these settings (`CLAWDEPLOY_…`) in addition to the usual ones.
    pub(crate) async fn start(settings: &[(&str, &str)]) -> Self {
        log::start();
        let slot = Slot::take();
        cleanup::remove_records(&slot.prefix()).await.expect("a clean slot");
        let name = format!("{}{}", slot.prefix(), hex::encode(rand::random::<[u8; 4]>()));
        let dir = tempfile::Builder::new().prefix(&name).tempdir().expect("a directory");
        let database = name.replace('-', "_");
        database::create(&database).await.expect("a database");
        let database_url = database::url(&database);
        let key_file = write_key(dir.path());
        let usual = [
            ("CLAWDEPLOY_DATABASE_URL", database_url.clone()),
            ("CLAWDEPLOY_REDIS_URL", clawdeploy_tests::settings::redis_url()),
            ("CLAWDEPLOY_REDIS_PREFIX", name.clone()),
            ("CLAWDEPLOY_KEY_FILE", key_file.display().to_string()),
        ];
        let usual = usual.into_iter().filter(|(name, _)| settings.iter().all(|(other, _)| other != name));
        let given = settings.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let all: Vec<_> = usual.chain(given).map(|(name, value)| (name.to_owned(), value)).collect();
        let (base, running) = serve(&all).await;
        let installation = Installation::new(name, database_url, base);
        Self { installation, running: vec![running], settings: all, dir, finished: false, _slot: slot }
    }

    /// Starts another API on the same database; returns its address.
    pub(crate) async fn start_another(&mut self) -> String {
        self.start_another_with(&[]).await
    }

    /// The same with other values of some settings.
    pub(crate) async fn start_another_with(&mut self, settings: &[(&str, &str)]) -> String {
        let mut all = self.settings.clone();
        all.retain(|(name, _)| settings.iter().all(|(other, _)| other != name));
        all.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let (base, running) = serve(&all).await;
        self.running.push(running);
        base
    }

    /// Creates an account with a password, unless it exists.
    pub(crate) async fn account(&self, email: &str) {
        let mut conn = self.db.conn().await.unwrap();
        if user::find_by_email(&mut conn, email).await.unwrap().is_some() {
            return;
        }
        let password_hash = Passwords::default().hash(PASSWORD.into()).await.unwrap();
        let id = UserId::generate();
        let new = NewUser { id, email, name: "Eve", password_hash: &password_hash, role: Role::User };
        user::insert(&mut conn, &new).await.unwrap();
    }

    /// Shuts the API down, like SIGTERM.
    pub(crate) async fn end(&mut self) {
        for (app, serving) in self.running.drain(..) {
            app.shutdown.cancel();
            let ended = timeout(END, serving).await.expect("the API to end in time");
            ended.expect("no panic").expect("an end in order");
        }
    }

    /// Checks the invariants and removes everything.
    pub(crate) async fn finish(mut self) {
        self.wait_for_rest().await;
        self.check_rows().await;
        self.assert_no_open_transaction().await;
        self.end().await;
        let key_file = self.dir.path().join("key");
        self.check_nothing_tells_a_secret(&key_file, vec![("api".to_owned(), log())]).await;
        self.finished = true;
        cleanup::remove_records(&self.name).await.expect("a clean end");
    }
}

impl Drop for TestApi {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        let (database_url, name) = (self.database_url().to_owned(), self.name.clone());
        let panicking = std::thread::panicking();
        cleanup::block_on(async move {
            if panicking {
                show(&story::of_database(&database::open_url(&database_url)).await);
                show(&log());
            }
            if let Err(error) = cleanup::remove_records(&name).await {
                show(&format!("could not clean up: {error:#}"));
            }
        });
    }
}

/// Serves on a free port on loopback.
async fn serve(settings: &[(String, String)]) -> (String, (AppState, JoinHandle<anyhow::Result<()>>)) {
    let state = AppState::new(&config(settings)).expect("settings that can be used");
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    (base, (state.clone(), tokio::spawn(run(state, listener))))
}

/// Parses settings as if they came from the environment. The environment of this process is neither read nor changed.
fn config(settings: &[(String, String)]) -> ApiConfig {
    let command = ApiConfig::command();
    let argument = |(name, value): &(String, String)| {
        let known = command.get_arguments().find(|argument| argument.get_env() == Some(name.as_ref()));
        let known = known.unwrap_or_else(|| panic!("the API has no setting {name}"));
        let long = known.get_long().expect("a long name");
        if known.get_action().takes_values() { format!("--{long}={value}") } else { format!("--{long}") }
    };
    let arguments = settings.iter().map(argument);
    ApiConfig::try_parse_from(std::iter::once("api".to_owned()).chain(arguments)).expect("good settings")
}

#[expect(clippy::print_stderr, reason = "what a failed test shows")]
fn show(text: &str) {
    eprintln!("{text}");
}
