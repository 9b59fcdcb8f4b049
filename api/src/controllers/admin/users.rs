//! Accounts of all people.

use chrono::{DateTime, Utc};
use clawdeploy_shared::{
    db::{Conn, DbError, invitation},
    ids::UserId,
    token::{session_token, token_hash},
};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::reveal::Revealed;

pub mod create;
pub mod edit;
pub mod list;
pub mod reset_password;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct UserPath {
    /// Id of the person
    #[serde(deserialize_with = "crate::extract::parsed")]
    pub id: UserId,
}

/// An invitation to set a password, once, with `POST /api/auth/invitations/accept`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Invitation {
    /// Shown only in this response; pass it on to the person.
    token: Revealed,
    expires_at: DateTime<Utc>,
}

/// Creates an invitation and voids earlier ones.
async fn invite(conn: &mut Conn, id: UserId) -> Result<Invitation, DbError> {
    let token = session_token();
    let expires_at = invitation::make(conn, id, &token_hash(token.expose_secret())).await?;
    Ok(Invitation { token: Revealed(token), expires_at })
}
