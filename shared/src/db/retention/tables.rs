//! For each table, how long its rows are kept. `docs/operations.md` has the same table for people.

/// A table and when its rows go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    pub table: &'static str,
    pub until: Until,
}

/// When a row of a table goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// A setting's number of days after it ended.
    Days(&'static str),
    /// As long after its end as the code at this place says.
    Fixed(&'static str),
    /// With the row of this table that it belongs to.
    Goes(&'static str),
    /// Somebody deletes it, or what it says is no longer so. There are only as many as there are of this.
    PerOne(&'static str),
}

const fn kept(table: &'static str, until: Until) -> Kept {
    Kept { table, until }
}

const JOBS: Until = Until::Days("CLAWDEPLOY_JOBS_KEEP_DAYS");

/// Every table of the schema.
pub const TABLES: [Kept; 35] = [
    kept("api_tokens", JOBS),
    kept("attempts", Until::Fixed("shared/src/attempts.rs")),
    kept("audit", Until::Days("CLAWDEPLOY_AUDIT_KEEP_DAYS")),
    kept("audit_exports", Until::PerOne("month")),
    kept("boots", Until::Goes("jobs")),
    kept("firewall", Until::PerOne("installation")),
    kept("idle_checks", Until::Goes("instances")),
    kept("identities", Until::Goes("users")),
    kept("images", JOBS),
    kept("installation", Until::PerOne("installation")),
    kept("instance_usage", Until::Fixed("shared/src/db/usage.rs")),
    kept("instances", Until::PerOne("instance")),
    kept("invitations", Until::Goes("users")),
    kept("job_events", Until::Goes("jobs")),
    kept("jobs", JOBS),
    kept("ports", Until::PerOne("port")),
    kept("queue_pauses", Until::PerOne("queue")),
    kept("ready_gateways", Until::Goes("jobs")),
    kept("recoverable_instances", Until::PerOne("directory of files")),
    kept("recovery_codes", Until::Goes("users")),
    kept("rollout_members", Until::Goes("jobs")),
    kept("routing", Until::PerOne("installation")),
    kept("sessions", Until::Fixed("shared/src/db/session.rs")),
    kept("setup_tokens", Until::PerOne("installation")),
    kept("sightings", Until::PerOne("orphan")),
    kept("snapshots", JOBS),
    kept("sweeps", Until::PerOne("sweep")),
    kept("terminals", Until::Fixed("shared/src/db/terminal.rs")),
    kept("users", Until::PerOne("person")),
    kept("version_policy", Until::PerOne("installation")),
    kept("warm_instances", Until::Goes("instances")),
    kept("warm_pool", Until::PerOne("installation")),
    kept("warm_pool_days", Until::Fixed("shared/src/db/warm_pool.rs")),
    kept("workers", Until::Fixed("shared/src/db/worker.rs")),
    kept("__diesel_schema_migrations", Until::PerOne("migration")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_names_every_table() {
        let manual = include_str!("../../../../docs/operations.md");
        let manual = manual.split("\n## ").find(|section| section.starts_with("Retention\n")).unwrap();
        for Kept { table, until } in TABLES {
            let row = manual.lines().find(|line| line.starts_with('|') && line.contains(&format!("`{table}`")));
            let row = row.unwrap_or_else(|| panic!("{table} has no row in docs/operations.md"));
            if let Until::Days(setting) = until {
                assert!(row.contains(setting), "{row}");
            }
        }
    }

    #[test]
    fn what_deletes_a_table_is_where_it_is_said_to_be() {
        for Kept { table, until } in TABLES {
            if let Until::Fixed(file) = until {
                let path = format!("{}/../{file}", env!("CARGO_MANIFEST_DIR"));
                let code = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
                let deletes = ["DELETE FROM ", "diesel::delete("].iter().any(|word| code.contains(word));
                assert!(deletes && code.contains(table), "{path}");
            }
        }
    }
}
