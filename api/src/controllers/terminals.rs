//! Terminals in instances' containers. Workers hold them; this module decides who may open one and attach to it.
//!
//! A browser attaches a WebSocket with a ticket, which is valid once and for half a minute, so that no URL contains a
//! session or token. Only the owner of an instance can have terminals in it.

use clawdeploy_shared::{
    db::terminal,
    ids::TerminalId,
    rpc::terminal::TerminalCommand,
    token::{session_token, token_hash},
};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    error::{AppError, AppResult},
    reveal::Revealed,
    state::AppState,
};

pub mod attach;
pub mod close;
pub mod direct;
pub mod list;
pub mod open;
pub mod ticket;

/// Lifetime of a ticket, in seconds.
const TICKET_SECONDS: u32 = 30;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct TerminalPath {
    /// Id of the terminal
    #[serde(deserialize_with = "crate::extract::parsed")]
    pub id: TerminalId,
}

/// Options of a new terminal.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DirectQuery {
    /// Columns; default 80
    pub cols: Option<u16>,
    /// Rows; default 24
    pub rows: Option<u16>,
    /// Command to run; default: a shell
    #[param(inline)]
    pub command: Option<TerminalCommand>,
}

/// A ticket to attach a WebSocket to a terminal.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ticket {
    /// For the subprotocol `ticket.{ticket}`; valid once.
    ticket: Revealed,
    /// Seconds until it expires.
    #[schema(example = 30)]
    expires_in: u32,
}

impl Ticket {
    /// Creates a ticket for a terminal and voids the earlier one.
    async fn give(app: &AppState, id: TerminalId) -> AppResult<Self> {
        let ticket = session_token();
        let given = terminal::set_ticket(&mut *app.db.conn().await?, id, &token_hash(ticket.expose_secret())).await?;
        if given {
            Ok(Self { ticket: Revealed(ticket), expires_in: TICKET_SECONDS })
        } else {
            Err(AppError::not_found("terminal"))
        }
    }
}
