use std::collections::HashMap;

use clawdeploy_shared::{
    db::{
        Conn, DbError, Scope, instance,
        instance::{Instance, InstanceFilter},
        job,
        job::Job,
        version_policy,
    },
    ids::InstanceId,
};

use crate::{
    auth::Principal,
    error::AppResult,
    extract::{Json, Query},
    page::{Page, PageQuery},
    state::AppState,
    views::instance::{InstanceView, current},
};

/// Lists your instances, newest first
#[utoipa::path(
    get, path = "/api/instances", tag = "instances", params(PageQuery),
    responses((status = OK, body = Page<InstanceView>)),
)]
pub async fn list_instances(
    app: AppState,
    who: Principal,
    Query(query): Query<PageQuery>,
) -> AppResult<Json<Page<InstanceView>>> {
    Ok(Json(page(&app, who.own(), &InstanceFilter::default(), &query).await?))
}

/// A page of the instances of a scope that match a filter, each with its current job.
pub async fn page(
    app: &AppState,
    scope: Scope,
    filter: &InstanceFilter,
    query: &PageQuery,
) -> AppResult<Page<InstanceView>> {
    let (limit, before) = query.read()?;
    let seen = app.read(scope, async |conn| {
        let rows = instance::list(conn, scope, filter, before, limit.fetched()).await?;
        let jobs = open_jobs(conn, &rows).await?;
        Ok((rows, jobs, version_policy::versions(conn).await?))
    });
    let (rows, mut jobs, versions) = seen.await?;
    Ok(Page::cut(
        rows,
        limit,
        |(row, _)| (row.created_at, row.id.clone()),
        |(row, port)| {
            let open = jobs.remove(&row.id).unwrap_or_default();
            InstanceView::new(row, port, current(open), &versions, app)
        },
    ))
}

async fn open_jobs(
    conn: &mut Conn,
    rows: &[(Instance, Option<u16>)],
) -> Result<HashMap<InstanceId, Vec<Job>>, DbError> {
    let ids: Vec<_> = rows.iter().map(|(row, _)| &row.id).collect();
    let mut open: HashMap<_, Vec<_>> = HashMap::new();
    for job in job::open_on_any(conn, &ids).await? {
        if let Some(id) = job.instance_id.clone() {
            open.entry(id).or_default().push(job);
        }
    }
    Ok(open)
}
