//! Invariants of an installation when no job is open, whatever happened before.

use std::{collections::HashMap, time::Duration};

use clawdeploy_shared::ids::InstanceId;
use serde_json::Value;

use crate::{
    cleanup, database,
    docker::{self, Container},
    env::TestEnv,
    process::Signal,
    story, wait,
};

/// The state of an installation outside of its database.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct World {
    pub containers: Vec<Container>,
    /// Instances of the networks, one entry for each network.
    pub networks: Vec<String>,
    /// Instances that have a directory.
    pub directories: Vec<String>,
    pub trash: Vec<String>,
    /// Files that a write left incomplete.
    pub half_written: Vec<String>,
}

impl World {
    pub fn containers_of(&self, instance: &str) -> Vec<&Container> {
        self.containers.iter().filter(|c| c.instance == instance).collect()
    }
}

fn names(dir: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
}

impl TestEnv {
    /// Reads the state outside of the database.
    pub async fn world(&self) -> World {
        let (containers, networks) = (docker::containers(&self.name).await, docker::networks(&self.name).await);
        let mut world = World { containers, networks, trash: names(&self.data_dir.join(".trash")), ..World::default() };
        for name in names(&self.data_dir).into_iter().filter(|name| name.parse::<InstanceId>().is_ok()) {
            let files = names(&self.data_dir.join(&name).join("config"));
            world.half_written.extend(files.into_iter().filter(|file| file.starts_with('.') && file.contains(".new-")));
            world.directories.push(name);
        }
        world
    }

    /// Checks that nothing is left of an instance outside of its events and audit rows.
    pub async fn assert_nothing_left_of(&self, instance: &str) {
        let world = self.world().await;
        assert_eq!(world.containers_of(instance), Vec::<&Container>::new(), "containers of {instance}");
        assert!(!world.networks.iter().any(|of| of == instance), "a network of {instance}");
        assert!(!world.directories.iter().any(|of| of == instance), "files of {instance}");
        assert!(!world.trash.iter().any(|name| name.starts_with(instance)), "trash of {instance}");
        let ports = self.rows(&format!("SELECT port FROM ports WHERE instance_id = '{instance}'")).await;
        assert!(ports.is_empty(), "a port of {instance}: {ports:?}");
    }

    /// Checks the invariants, stops all programs, and removes everything.
    pub async fn finish(mut self) {
        self.wait_for_rest().await;
        self.settle_pool().await;
        self.check_rows().await;
        self.check_world().await;
        self.check_pool().await;
        self.check_programs().await;
        self.check_secrets().await;
        self.finished = true;
        cleanup::remove_traces(&self.name).await.expect("a clean end");
    }

    async fn check_world(&self) {
        // The next pass of a sweep removes what a dead worker left in the trash, and a snapshot may expire just now.
        let removed = async || {
            let world = self.world().await;
            world.trash.is_empty().then_some(world)
        };
        let world = match wait::poll(Duration::from_secs(10), removed).await {
            Some(world) => world,
            None => self.world().await,
        };
        let rows = self.rows("SELECT id, status, container_id FROM instances").await;
        let rows: HashMap<&str, &Value> = rows.iter().map(|row| (row["id"].as_str().unwrap(), row)).collect();
        // A cancelled build leaves a container of a build step that the engine is still removing.
        let of_build = |c: &&Container| c.instance.is_empty() && c.state == "removing";
        for container in world.containers.iter().filter(|c| !of_build(c)) {
            let row = rows.get(container.instance.as_str());
            let row = row.unwrap_or_else(|| panic!("a container without an instance: {container:?}"));
            assert_eq!(row["container_id"], container.id.as_str(), "{container:?} is not the one in {row}");
        }
        for (id, row) in &rows {
            let containers = world.containers_of(id);
            assert!(containers.len() <= 1, "several containers of {id}: {containers:?}");
            if row["status"] == "running" {
                let states: Vec<_> = containers.iter().map(|c| c.state.as_str()).collect();
                assert_eq!(states, ["running"], "container of {row}");
            }
            if ["running", "stopped"].contains(&row["status"].as_str().unwrap()) {
                assert!(world.directories.iter().any(|of| of == id), "the files of {row} are gone");
            }
        }
        let mut networks = world.networks.clone();
        networks.sort_unstable();
        networks.dedup();
        assert_eq!(networks.len(), world.networks.len(), "two networks of one instance: {:?}", world.networks);
        for id in world.networks.iter().chain(&world.directories) {
            assert!(rows.contains_key(id.as_str()), "a network or files without an instance: {id}");
        }
        assert_eq!((world.trash, world.half_written), (Vec::new(), Vec::new()), "leftovers of a removal or a write");
    }

    /// Checks that programs exit with 0 on SIGTERM, and that no session keeps a transaction open.
    async fn check_programs(&self) {
        self.assert_no_open_transaction().await;
        let mut alive = Vec::new();
        for worker in self.workers() {
            if worker.try_ended().await.is_none() {
                worker.signal(Signal::TERM);
                alive.push(worker);
            }
        }
        if self.api.try_ended().await.is_none() {
            self.api.signal(Signal::TERM);
            alive.push(self.api.clone());
        }
        for program in alive {
            let status = program.ended_within(Duration::from_secs(20)).await;
            assert!(status.success(), "{} ended with {status}", program.name);
        }
    }

    async fn check_secrets(&self) {
        let mut logs: Vec<(String, String)> =
            self.workers().iter().map(|worker| (worker.name.clone(), worker.log())).collect();
        logs.push(("api".to_owned(), self.api.log()));
        self.check_nothing_tells_a_secret(&self.dir.path().join("key"), logs).await;
    }
}

impl Drop for TestEnv {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        let (database_url, name) = (self.installation.database_url().to_owned(), self.name.clone());
        let panicking = std::thread::panicking();
        let workers = self.workers();
        let mut tails: Vec<String> = workers.iter().map(|worker| worker.tail(60)).collect();
        tails.push(self.api.tail(60));
        for program in workers.iter().chain([&self.api]) {
            program.signal(Signal::KILL);
        }
        cleanup::block_on(async move {
            if panicking {
                // On a new connection, because the test's own connections need its runtime, which is blocked here.
                let told = story::of_database(&database::open_url(&database_url)).await;
                show(&format!("{told}\n{}", tails.join("\n")));
            }
            if let Err(error) = cleanup::remove_traces(&name).await {
                show(&format!("could not clean up: {error:#}"));
            }
        });
    }
}

#[expect(clippy::print_stderr, reason = "what a failed test shows")]
fn show(text: &str) {
    eprintln!("{text}");
}
