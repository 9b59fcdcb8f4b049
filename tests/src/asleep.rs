//! Instances that fall asleep and wake. The fake gateway does not tell that it is idle, so tests say when its instance
//! falls asleep; from there on, everything is as with the real one.

use std::time::SystemTime;

use clawdeploy_shared::{
    db::{DbError, job::Job, sleep},
    ids::InstanceId,
};
use reqwest::Method;
use serde_json::Value;

use crate::{TestEnv, client::Answer, installation::Installation};

impl Installation {
    /// Lets a running instance fall asleep, as a worker does that found it idle for long enough. Returns the job that
    /// stops it. `None`: something else is under way, so it stays awake.
    pub async fn fall_asleep(&self, instance: &str, wake_at: Option<SystemTime>) -> Option<String> {
        self.fall(instance, wake_at, None).await
    }

    /// As [`fall_asleep`](Self::fall_asleep); its gateway is frozen, not stopped, if it
    /// [can be released](TestEnv::can_be_released).
    pub async fn freeze(&self, instance: &str, wake_at: Option<SystemTime>) -> Option<String> {
        self.fall(instance, wake_at, Some("a-suspension")).await
    }

    async fn fall(&self, instance: &str, wake_at: Option<SystemTime>, suspension: Option<&str>) -> Option<String> {
        let id: InstanceId = instance.parse().unwrap();
        let ask = async || -> Result<Option<Job>, DbError> {
            sleep::fall_asleep(&mut *self.db.conn().await?, &id, wake_at.map(Into::into), suspension).await
        };
        // As for other statements: that a test has terminated the session shows only now.
        let mut answer = ask().await;
        for _ in 0..4 {
            answer = if answer.is_ok() { answer } else { ask().await };
        }
        answer.unwrap().map(|job| job.id.to_string())
    }

    /// Opens the address of an instance to which nginx has no route. If it sleeps, this wakes it.
    pub async fn visit(&self, instance: &str) -> Answer {
        let anon = self.anon();
        let page = anon.request(Method::GET, &format!("/pages/instances/{instance}"));
        anon.send(page.header("accept", "text/html")).await
    }

    /// The jobs that were to wake an instance, in their order.
    pub async fn wakes(&self, instance: &str) -> Vec<String> {
        let sql = format!("SELECT id FROM jobs WHERE instance_id = '{instance}' AND payload ? 'woken' ORDER BY seq");
        self.rows(&sql).await.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
    }

    /// Checks what holds of every sleep when no job is open.
    pub async fn assert_sleeps(&self) {
        // A container may be removed or changed by hand while its instance sleeps, which is an error with a reason.
        let half = "SELECT id, status, desired_state, error_code, wake_at FROM instances \
             WHERE asleep_since IS NOT NULL AND NOT (desired_state = 'stopped' \
               AND (status = 'stopped' OR status = 'error' AND error_code IS NOT NULL)) \
             OR asleep_since IS NULL AND wake_at IS NOT NULL";
        assert_eq!(self.rows(half).await, Vec::<Value>::new(), "instances that neither sleep nor are awake");
        let often = "SELECT instance_id FROM jobs WHERE instance_id IS NOT NULL GROUP BY instance_id \
             HAVING count(*) FILTER (WHERE payload ? 'woken') > count(*) FILTER (WHERE payload ? 'asleep')";
        assert_eq!(self.rows(often).await, Vec::<Value>::new(), "instances that were woken more often than they slept");
        let silent = "SELECT id, error_code FROM jobs WHERE payload ? 'woken' AND status = 'failed' \
             AND (error_code IS NULL OR coalesce(error_message, '') = '')";
        assert_eq!(self.rows(silent).await, Vec::<Value>::new(), "wakes that failed for no reason");
    }
}

impl TestEnv {
    /// Has the fake gateway of an instance speak OpenClaw's protocol with us, so that it can be released from its suspension
    /// when it is thawed. False: it has no directory.
    pub fn can_be_released(&self, instance: &str) -> bool {
        let config = self.data_dir.join(instance).join("config");
        ["socket", "socket-paired"].iter().all(|name| std::fs::File::create(config.join(name)).is_ok())
    }
}
