//! Filter of the list of all instances.

use clawdeploy_shared::{db::instance::InstanceFilter, instance::InstanceStatus};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    controllers::admin::jobs::query::{separated, text},
    error::AppResult,
    page::PageQuery,
};

/// Filter and page.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct InstancesQuery {
    /// Maximum number of items
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<i64>,
    /// `nextCursor` of the previous page
    cursor: Option<String>,
    /// Only instances with one of these statuses, separated by commas
    #[param(value_type = Option<Vec<InstanceStatus>>, style = Form, explode = false)]
    #[serde(default, deserialize_with = "separated")]
    status: Vec<InstanceStatus>,
    /// Only instances whose name, id or owner's e-mail contains this text
    #[param(max_length = 200)]
    q: Option<String>,
}

impl InstancesQuery {
    /// The page and the filter.
    pub(super) fn read(self) -> AppResult<(PageQuery, InstanceFilter)> {
        let text = self.q.as_deref().map(text).transpose()?.flatten();
        Ok((PageQuery { limit: self.limit, cursor: self.cursor }, InstanceFilter { statuses: self.status, text }))
    }
}
