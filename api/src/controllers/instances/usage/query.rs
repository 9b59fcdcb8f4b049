//! The instances whose usage is requested.

use clawdeploy_shared::ids::InstanceId;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::error::{AppError, AppResult, ErrorCode};

/// Maximum number of instances in a request.
const MAX_IDS: usize = 100;

/// The instances.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct UsageQuery {
    /// Ids, separated by commas; at most 100
    #[param(value_type = Vec<InstanceId>, style = Form, explode = false, min_items = 1, max_items = 100)]
    ids: String,
}

impl UsageQuery {
    pub(super) fn read(&self) -> AppResult<Vec<InstanceId>> {
        let refused = |message: String| {
            AppError::new(ErrorCode::InvalidQuery, format!("ids {message}.")).with_field("ids", "invalid", message)
        };
        if self.ids.split(',').count() > MAX_IDS {
            return Err(refused(format!("must contain at most {MAX_IDS} ids")));
        }
        let ids = self.ids.split(',').map(|id| id.trim().parse::<InstanceId>());
        ids.collect::<Result<_, _>>().map_err(|_| refused("must be ids of instances, separated by commas".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_instances_and_no_more() {
        let read = |ids: String| UsageQuery { ids }.read();
        let one = InstanceId::random();
        assert_eq!(read(format!(" {one},{one}")).unwrap(), [one.clone(), one.clone()]);
        assert_eq!(read(vec![one.to_string(); MAX_IDS].join(",")).unwrap().len(), MAX_IDS);
        for bad in [String::new(), ",".to_owned(), "x".to_owned(), vec![one.to_string(); MAX_IDS + 1].join(",")] {
            assert_eq!(read(bad.clone()).unwrap_err().code(), ErrorCode::InvalidQuery, "{bad}");
        }
    }
}
