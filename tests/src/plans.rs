//! The plans by which Postgres runs statements, as its module `auto_explain` tells them. It needs a superuser.

use std::{future::poll_fn, ops::ControlFlow};

use diesel_async::{AsyncPgConnection, SimpleAsyncConnection as _};
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_postgres::{AsyncMessage, NoTls};

use crate::database;

/// Each statement is planned for any value of its binds (a generic plan) and tells its plan in a notice. So do those in
/// functions and triggers.
const SETTINGS: &str = "LOAD 'auto_explain'; SET plan_cache_mode = force_generic_plan; \
    SET auto_explain.log_min_duration = 0; SET auto_explain.log_format = json; SET auto_explain.log_level = notice; \
    SET auto_explain.log_nested_statements = on; SET clawdeploy.claims = 'by_kind'";

/// A statement that ran, and its plan.
#[derive(Debug, Clone)]
pub struct Plan {
    pub statement: String,
    root: Value,
}

impl Plan {
    fn read(notice: &str) -> Option<Self> {
        let mut told: Value = serde_json::from_str(&notice[notice.find('{')?..]).ok()?;
        Some(Self { statement: told["Query Text"].as_str()?.to_owned(), root: told["Plan"].take() })
    }

    /// The tables that the plan reads from the first row to the last.
    pub fn whole_reads(&self) -> Vec<String> {
        let mut tables = Vec::new();
        let mut nodes = vec![&self.root];
        while let Some(node) = nodes.pop() {
            if node["Node Type"] == "Seq Scan" {
                tables.extend(node["Relation Name"].as_str().map(str::to_owned));
            }
            nodes.extend(node["Plans"].as_array().into_iter().flatten());
        }
        tables
    }
}

/// A connection that tells the plan of each statement.
pub struct Planned {
    pub conn: AsyncPgConnection,
    notices: UnboundedReceiver<String>,
}

impl std::fmt::Debug for Planned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Planned").finish_non_exhaustive()
    }
}

impl Planned {
    /// Connects to a database of the tests' server.
    pub async fn connect(database: &str) -> Self {
        let url = database::url(database);
        let (client, mut connection) = tokio_postgres::connect(&url, NoTls).await.expect("a connection");
        let (told, notices) = unbounded_channel();
        tokio::spawn(async move {
            let mut next = async || match poll_fn(|cx| connection.poll_message(cx)).await {
                Some(Ok(AsyncMessage::Notice(notice))) => {
                    let _ = told.send(notice.message().to_owned());
                    ControlFlow::Continue(())
                }
                Some(Ok(_)) => ControlFlow::Continue(()),
                Some(Err(_)) | None => ControlFlow::Break(()),
            };
            while next().await.is_continue() {}
        });
        let mut conn = AsyncPgConnection::try_from(client).await.expect("a connection");
        conn.batch_execute(SETTINGS).await.expect("auto_explain, and a superuser");
        Self { conn, notices }
    }

    /// The plans of the statements since the last call.
    pub async fn take(&mut self) -> Vec<Plan> {
        // A notice may come after its statement's last row, but not after the answer to another statement.
        self.conn.batch_execute("SET application_name = 'plans'").await.expect("an answer");
        let mut plans = Vec::new();
        while let Ok(notice) = self.notices.try_recv() {
            plans.extend(Plan::read(&notice));
        }
        plans
    }
}
