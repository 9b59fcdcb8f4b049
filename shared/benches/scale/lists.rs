//! Lists of the UI.

use chrono::{TimeDelta, Utc};
use clawdeploy_shared::{
    db::{
        Conn, Scope, audit, host, instance, instance::InstanceFilter, job, job::JobFilter, job_event, person, usage,
        version_policy,
    },
    job::{JobKind, JobStatus},
};

use crate::{data::Subject, table::Table};

/// A page, and the row that tells whether there is another.
const PAGE: i64 = 51;

/// Budget of a page, and of a page that searches in vain.
const PAGE_MS: f64 = 20.0;
const SEARCH_MS: f64 = 150.0;

pub(crate) async fn measure(table: &mut Table, conn: &mut Conn, of: &Subject) -> anyhow::Result<()> {
    jobs(table, conn, of).await?;
    entries(table, conn, of).await?;
    let all = Scope::Everything;
    let instances = async |conn: &mut Conn, text: Option<&str>, scope| {
        let filter = InstanceFilter { text: text.map(str::to_owned), ..InstanceFilter::default() };
        instance::list(conn, scope, &filter, None, 101).await
    };
    let own = Scope::Owner(of.busy_owner);
    table.line(conn, "instances: own", PAGE_MS, async |conn| instances(conn, None, own).await).await?;
    table.line(conn, "instances: all", PAGE_MS, async |conn| instances(conn, None, all).await).await?;
    table
        .line(conn, "instances: by text, none", 30.0, async |conn| instances(conn, Some("no such"), all).await)
        .await?;
    table.line(conn, "people", PAGE_MS, async |conn| person::list(conn, None, PAGE).await).await?;
    let quota = async |conn: &mut Conn| instance::usage_of(conn, of.busy_owner, None).await;
    table.line(conn, "quota of the person with most instances", PAGE_MS, quota).await?;
    table.line(conn, "memory that is promised", 10.0, async |conn| host::memory(conn, None).await).await?;
    table.line(conn, "memory that is used, and its growth", PAGE_MS, async |conn| host::usage(conn).await).await?;
    table
        .line(conn, "versions that instances are compared with", 10.0, async |conn| {
            version_policy::versions(conn).await
        })
        .await?;
    let recent = async |conn: &mut Conn| usage::recent(conn, all, std::slice::from_ref(&of.running_instance)).await;
    table.line(conn, "usage of the last hour", 10.0, recent).await?;
    let day = async |conn: &mut Conn| usage::history(conn, &of.running_instance).await;
    table.line(conn, "usage of the last day", PAGE_MS, day).await
}

async fn jobs(table: &mut Table, conn: &mut Conn, of: &Subject) -> anyhow::Result<()> {
    let any = JobFilter::default;
    let text = |text: &str| Some(text.to_owned());
    let lists = [
        ("jobs: all", PAGE_MS, any()),
        ("jobs: all, from the middle of the year", PAGE_MS, JobFilter { before_seq: Some(of.jobs / 2), ..any() }),
        ("jobs: on the instance with most", PAGE_MS, JobFilter { instance: Some(of.busy_instance.clone()), ..any() }),
        ("jobs: by the owner with most", PAGE_MS, JobFilter { owner: Some(of.busy_owner), ..any() }),
        ("jobs: by an owner with few", PAGE_MS, JobFilter { owner: Some(of.quiet_owner), ..any() }),
        (
            "jobs: by owner and status",
            PAGE_MS,
            JobFilter { owner: Some(of.busy_owner), statuses: vec![JobStatus::Failed], ..any() },
        ),
        ("jobs: failed", PAGE_MS, JobFilter { statuses: vec![JobStatus::Failed], ..any() }),
        ("jobs: open", PAGE_MS, JobFilter { statuses: vec![JobStatus::Queued, JobStatus::Running], ..any() }),
        ("jobs: of a kind that there is none of", PAGE_MS, JobFilter { kind: Some(JobKind::Restore), ..any() }),
        ("jobs: by id", PAGE_MS, JobFilter { text: Some(of.old_job.to_string()), ..any() }),
        ("jobs: by text, found", PAGE_MS, JobFilter { text: text("gateway_exited"), ..any() }),
        ("jobs: by text, none", SEARCH_MS, JobFilter { text: text("no such text"), ..any() }),
        (
            "jobs: failed, by text, none",
            SEARCH_MS,
            JobFilter { text: text("no such text"), statuses: vec![JobStatus::Failed], ..any() },
        ),
        (
            "jobs: by owner and text, none",
            SEARCH_MS,
            JobFilter { text: text("no such text"), owner: Some(of.busy_owner), ..any() },
        ),
    ];
    for (what, budget, filter) in &lists {
        let list = async |conn: &mut Conn| job::page(conn, Scope::Everything, filter, PAGE).await;
        table.line(conn, what, *budget, list).await?;
    }
    let events = async |conn: &mut Conn| job_event::list(conn, of.old_job, 0, 100).await;
    table.line(conn, "events of a job", 10.0, events).await
}

async fn entries(table: &mut Table, conn: &mut Conn, of: &Subject) -> anyhow::Result<()> {
    let any = audit::Filter::default;
    let text = |text: &str| Some(text.to_owned());
    let then = |days| Some(Utc::now() - TimeDelta::days(days));
    let lists = [
        ("audit: all", PAGE_MS, any()),
        ("audit: own, of a person with few", PAGE_MS, audit::Filter { about: Some(of.quiet_owner), ..any() }),
        ("audit: by owner", PAGE_MS, audit::Filter { owner: Some(of.busy_owner), ..any() }),
        (
            "audit: by target",
            PAGE_MS,
            audit::Filter { target_kind: text("instance"), target_id: text(of.busy_instance.as_str()), ..any() },
        ),
        ("audit: a day half a year ago", PAGE_MS, audit::Filter { from: then(181), until: then(180), ..any() }),
        ("audit: by action, none", SEARCH_MS, audit::Filter { action: text("user.promote"), ..any() }),
        ("audit: by actor, none", SEARCH_MS, audit::Filter { actor: text("nobody@example.test"), ..any() }),
    ];
    for (what, budget, filter) in &lists {
        table.line(conn, what, *budget, async |conn| audit::page(conn, filter, None, PAGE).await).await?;
    }
    Ok(())
}
