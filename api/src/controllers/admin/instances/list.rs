use clawdeploy_shared::db::{Scope, user};
use serde::Serialize;
use utoipa::ToSchema;

use super::query::InstancesQuery;
use crate::{
    auth::Admin,
    controllers::instances::list::page,
    error::AppResult,
    extract::{Json, Query},
    page::Page,
    state::AppState,
    views::instance::InstanceView,
};

/// An instance with its owner.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OwnedInstance {
    #[serde(flatten)]
    instance: InstanceView,
    owner_email: Option<String>,
}

/// Lists the instances of all people, newest first
#[utoipa::path(
    get, path = "/api/admin/instances", tag = "admin", params(InstancesQuery),
    responses((status = OK, body = Page<OwnedInstance>)),
)]
pub async fn list_all_instances(
    app: AppState,
    _: Admin,
    Query(query): Query<InstancesQuery>,
) -> AppResult<Json<Page<OwnedInstance>>> {
    let (query, filter) = query.read()?;
    let Page { items, next_cursor } = page(&app, Scope::Everything, &filter, &query).await?;
    let owners: Vec<_> = items.iter().filter_map(|instance| instance.owner_id).collect();
    let emails = user::emails(&mut *app.db.conn().await?, &owners).await?;
    let owned = |instance: InstanceView| {
        let owner_email = instance.owner_id.and_then(|owner| emails.get(&owner).cloned());
        OwnedInstance { instance, owner_email }
    };
    Ok(Json(Page { items: items.into_iter().map(owned).collect(), next_cursor }))
}
