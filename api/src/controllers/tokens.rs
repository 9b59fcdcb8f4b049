//! The person's API tokens, for programs.

use clawdeploy_shared::ids::TokenId;
use serde::Deserialize;
use utoipa::IntoParams;

pub mod create;
pub mod list;
pub mod revoke;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct TokenPath {
    /// Id of the token
    #[serde(deserialize_with = "crate::extract::parsed")]
    pub id: TokenId,
}
