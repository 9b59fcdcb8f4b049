//! What is printed about an installation when its test fails.

use std::fmt::Write as _;

use clawdeploy_shared::db::{Db, Scope, instance, instance::InstanceFilter, job, job::JobFilter, job_event, warm_pool};

/// Jobs with their events, and instances.
pub async fn of_database(db: &Db) -> String {
    let told = async {
        let mut conn = db.conn().await?;
        let mut story = String::new();
        for (i, port) in instance::list(&mut conn, Scope::Everything, &InstanceFilter::default(), None, 100).await? {
            let (code, message) = (i.error_code.unwrap_or_default(), i.error_message.unwrap_or_default());
            let _ = writeln!(story, "instance {} {:?} port {port:?}: {} {code} {message}", i.id, i.name, i.status);
        }
        for w in warm_pool::list(&mut conn).await? {
            let _ = writeln!(story, "warm instance {}: ready {}, container {:?}", w.id, w.ready, w.container_id);
        }
        for j in job::list(&mut conn, Scope::Everything, &JobFilter::default(), 20).await? {
            let (on, code) = (j.instance_id.map(String::from).unwrap_or_default(), j.error_code.unwrap_or_default());
            let _ = writeln!(story, "job {} {} on {on}: {} attempt {} {code}", j.id, j.kind, j.status, j.attempt);
            for e in job_event::list(&mut conn, j.id, 0, 200).await? {
                let (at, step) = (e.created_at.format("%H:%M:%S%.3f"), e.step.unwrap_or_default());
                let _ = writeln!(story, "  {at} #{} {} {step} {}", e.attempt, e.kind, e.message);
            }
        }
        Ok::<_, clawdeploy_shared::db::DbError>(story)
    };
    told.await.unwrap_or_else(|error| format!("the database cannot be read: {error}"))
}
