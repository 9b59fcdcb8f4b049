//! Triggers in the database that record the transitions of instances and jobs, for checks that need their history.

use std::collections::HashMap;

use clawdeploy_shared::instance::InstanceStatus;
use diesel_async::SimpleAsyncConnection as _;

use crate::{docker, env::TestEnv, wait};

/// Transitions of instances and of jobs.
const EYES: &str = "
    CREATE TABLE test_moves (id bigint GENERATED ALWAYS AS IDENTITY, instance text, was text, becomes text, container text);
    CREATE FUNCTION test_note_move() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
        INSERT INTO test_moves (instance, was, becomes, container) VALUES (NEW.id, OLD.status, NEW.status, NEW.container_id);
        RETURN NULL; END $$;
    CREATE TRIGGER test_note_move AFTER UPDATE ON instances FOR EACH ROW
        WHEN (OLD.status <> NEW.status OR OLD.container_id IS DISTINCT FROM NEW.container_id) EXECUTE FUNCTION test_note_move();
    CREATE TABLE test_turns (id bigint GENERATED ALWAYS AS IDENTITY, job uuid, instance text, was text, becomes text, attempt bigint);
    CREATE FUNCTION test_note_turn() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
        INSERT INTO test_turns (job, instance, was, becomes, attempt)
            VALUES (NEW.id, NEW.instance_id, OLD.status, NEW.status, NEW.attempt);
        RETURN NULL; END $$;
    CREATE TRIGGER test_note_turn AFTER UPDATE ON jobs FOR EACH ROW WHEN (OLD.status <> NEW.status) EXECUTE FUNCTION test_note_turn();
    ";

impl TestEnv {
    /// Starts recording. [`Self::assert_invariants`] checks the records.
    pub async fn watch(&self) {
        self.db.conn().await.unwrap().batch_execute(EYES).await.unwrap();
    }

    /// Checks the invariants beyond those of [`Self::finish`], when no job is open. Needs [`Self::watch`].
    pub async fn assert_invariants(&self) {
        self.check_jobs().await;
        self.check_moves().await;
        self.check_ports().await;
        self.check_audit().await;
        self.check_actual().await;
    }

    /// No job changed after its end (unless an administrator retried it), no claim ran twice, and no two jobs ran at
    /// once on one instance.
    async fn check_jobs(&self) {
        let risen = "SELECT * FROM test_turns t WHERE was IN ('succeeded', 'failed', 'cancelled') AND NOT EXISTS \
            (SELECT 1 FROM audit a WHERE a.action = 'job.retry' AND a.target_id = t.job::text)";
        assert!(self.rows(risen).await.is_empty(), "jobs that changed after their end: {:?}", self.rows(risen).await);
        let twice =
            "SELECT job, attempt FROM test_turns WHERE becomes = 'running' GROUP BY job, attempt HAVING count(*) > 1";
        assert!(self.rows(twice).await.is_empty(), "claims that ran twice: {:?}", self.rows(twice).await);
        let turns =
            self.rows("SELECT job, instance, becomes FROM test_turns WHERE instance IS NOT NULL ORDER BY id").await;
        let mut busy: HashMap<String, String> = HashMap::new();
        for turn in turns {
            let text = |field: &str| turn[field].as_str().unwrap().to_owned();
            let (job, instance) = (text("job"), text("instance"));
            if turn["becomes"] == "running" {
                let other = busy.insert(instance.clone(), job.clone());
                assert_eq!(other, None, "two jobs ran at once on {instance}, the second one is {job}");
            } else {
                busy.retain(|_, holder| *holder != job);
            }
        }
    }

    async fn check_moves(&self) {
        for moved in self.rows("SELECT * FROM test_moves WHERE was <> becomes").await {
            let status = |field: &str| moved[field].as_str().unwrap().parse::<InstanceStatus>().unwrap();
            assert!(status("was").may_become(status("becomes")), "an illegal transition: {moved}");
        }
    }

    /// Each port is in the range, and a running container has the port of its instance.
    async fn check_ports(&self) {
        let range = self.slot.ports();
        let ports = self.rows("SELECT port, instance_id FROM ports WHERE instance_id IS NOT NULL").await;
        for row in &ports {
            let port = row["port"].as_u64().unwrap();
            assert!((u64::from(range.0)..=u64::from(range.1)).contains(&port), "a port outside of the range: {row}");
        }
        for container in docker::containers(&self.name).await.iter().filter(|c| c.state == "running") {
            let format = "{{range $p, $b := .NetworkSettings.Ports}}{{range $b}}{{.HostPort}} {{end}}{{end}}";
            let published = docker::inspect(&container.id, format).await;
            let held = ports.iter().find(|row| row["instance_id"] == container.instance.as_str());
            let held = held.map(|row| row["port"].to_string()).unwrap_or_default();
            assert_eq!(published, held, "port of {container:?}");
        }
    }

    /// What a user requested is in the audit log.
    async fn check_audit(&self) {
        let silent = "SELECT j.id, j.kind FROM jobs j WHERE requested_by IS NOT NULL AND instance_id IS NOT NULL AND \
            NOT EXISTS (SELECT 1 FROM audit a WHERE a.target_id = j.instance_id OR a.target_id = j.id::text \
                OR a.detail::text LIKE '%' || j.id || '%')";
        assert!(self.rows(silent).await.is_empty(), "jobs without an audit entry: {:?}", self.rows(silent).await);
    }

    /// No gateway started more often than its jobs explain: by the step, by the undo of a stop, and by the engine's
    /// restart policy. The policy's count is reset by each manual start, so only containers with a count of zero are
    /// checked. For tests that start no containers themselves.
    pub async fn assert_starts(&self) {
        for container in docker::containers(&self.name).await {
            let id = &container.instance;
            if docker::inspect(&container.id, "{{.RestartCount}}").await != "0" {
                continue;
            }
            let sql = format!(
                "SELECT count(*) AS n FROM job_events e JOIN jobs j ON j.id = e.job_id WHERE j.instance_id = '{id}' AND \
                 (e.kind = 'step_started' AND e.step = 'start_container' OR e.kind = 'claimed' AND j.unwinding_to IS NOT NULL)"
            );
            let allowed = self.row(&sql).await["n"].as_u64().unwrap();
            let log = self.data_dir.join(id).join("config/starts.log");
            let started = std::fs::read_to_string(log).unwrap_or_default().lines().count();
            assert!(started as u64 <= allowed, "{id} was started {started} times, and {allowed} times by its jobs");
        }
    }

    /// The rows are true: running instances answer, nothing else runs, and the desired state is reached or an error
    /// explains why not.
    async fn check_actual(&self) {
        // The reconciler may be a pass behind.
        let patience = std::time::Duration::from_secs(20);
        let difference = async || self.difference().await;
        let agreed = wait::poll(patience, async || difference().await.is_none().then_some(())).await;
        assert!(agreed.is_some(), "a row is not true: {:?}", difference().await);
    }

    async fn difference(&self) -> Option<String> {
        let world = self.world().await;
        let http = crate::http().timeout(std::time::Duration::from_secs(2)).build().unwrap();
        // Those of the warm pool belong to nobody; [`Self::check_pool`] checks them.
        let sql = "SELECT i.id, i.status, i.desired_state, i.error_code, p.port FROM instances i \
            LEFT JOIN ports p ON p.instance_id = i.id WHERE i.owner_id IS NOT NULL";
        for row in self.rows(sql).await {
            let id = row["id"].as_str().unwrap();
            let running = world.containers_of(id).iter().any(|c| c.state == "running");
            let answers = match row["port"].as_u64() {
                Some(port) => http.get(format!("http://127.0.0.1:{port}/readyz")).send().await.is_ok(),
                None => false,
            };
            let network = world.networks.iter().any(|of| of == id);
            let sound = match row["status"].as_str().unwrap() {
                "running" => {
                    running && answers && network && row["desired_state"] == "running" && row["error_code"].is_null()
                }
                "stopped" => !running && !answers,
                "error" => !row["error_code"].is_null(),
                _ => false,
            };
            if !sound {
                return Some(format!("{row}: running {running}, answers {answers}, network {network}"));
            }
        }
        None
    }
}
