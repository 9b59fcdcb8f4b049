//! Faults of changes.

use clawdeploy_tests::{Hold, client::Accepted};
use serde_json::{Value, json};

use crate::{
    driver::Stage,
    support::{ended, job, succeeded},
};

/// The setting that the owner changes during an update, in MiB.
const MEMORY: u32 = 3072;

impl Stage {
    /// The undo is given up, and the job does not claim otherwise. The snapshot is still there for the retry.
    pub(crate) async fn give_up_undo(&self) -> Accepted {
        let hold = Hold::default();
        self.doomed(&hold.at("update.put_files_back.undo")).await;
        let asked = self.ask().await;
        hold.reached(&self.env).await;
        let shelf = self.env.data_dir.join(".snapshots").join(&asked.instance);
        let aside = self.env.scratch().join("aside");
        std::fs::rename(&shelf, &aside).unwrap();
        let undo = "jsonb_build_object('failures', 14, 'since', now())";
        self.env.execute(&format!("UPDATE jobs SET undo = {undo} WHERE id = '{}'", asked.job)).await;
        hold.release();
        let dead = ended(&self.env, &asked.job).await;
        assert_eq!((&dead["status"], &dead["error_code"]), (&json!("failed"), &json!("undo_failed")), "{dead}");
        let row = self.env.row("SELECT status, error_code FROM instances").await;
        assert_eq!(row, json!({ "status": "error", "error_code": "undo_failed" }));
        let path = format!("/api/instances/{}/start", asked.instance);
        assert_eq!(self.ann.post_empty(&path).await.expect(409).code(), "undo_failed");
        std::fs::rename(&aside, &shelf).unwrap();
        let path = format!("/api/admin/jobs/{}/retry", asked.job);
        self.env.admin().await.post_empty(&path).await.expect(202);
        ended(&self.env, &asked.job).await;
        asked
    }

    /// Changes a setting that the running update does not apply.
    pub(crate) async fn edit_at_the_end(&self) -> Accepted {
        let hold = Hold::default();
        self.doomed(&hold.at("update.keep_snapshot.before")).await;
        let asked = self.ask().await;
        hold.reached(&self.env).await;
        let path = format!("/api/instances/{}", asked.instance);
        self.ann.patch(&path, &json!({ "memoryMb": MEMORY })).await.expect(200);
        hold.release();
        asked
    }

    /// Checks that the setting is pending and that a restart applies it.
    pub(crate) async fn judge_edited(&self) {
        let settings = "SELECT id, memory_mb, pending_settings FROM instances";
        let row = self.env.row(settings).await;
        assert_eq!((&row["memory_mb"], &row["pending_settings"]["memoryMb"]), (&json!(2048), &json!(MEMORY)), "{row}");
        let restart = self.ann.act(row["id"].as_str().unwrap(), "restart").await;
        succeeded(&self.env, &restart.job).await;
        let row = self.env.row(settings).await;
        assert_eq!((&row["memory_mb"], &row["pending_settings"]), (&json!(MEMORY), &Value::Null), "{row}");
        assert_eq!(job(&self.env, &restart.job).await["kind"], "recreate");
    }
}
