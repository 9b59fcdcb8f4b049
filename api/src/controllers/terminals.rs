//! Terminals in instances' containers. A worker holds them; here is decided who may have one.
//!
//! A browser that has a terminal attaches a WebSocket with a ticket, which is good once and for half a minute, so that what it is
//! signed in with is in no URL. The owner of an instance alone has terminals in it.

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

/// Seconds for which a ticket is good.
const TICKET_SECONDS: u32 = 30;

/// Which terminal.
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

/// What attaches a WebSocket.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ticket {
    /// For the subprotocol `ticket.{ticket}`, once.
    ticket: Revealed,
    /// Seconds for which it is good.
    #[schema(example = 30)]
    expires_in: u32,
}

impl Ticket {
    /// Another ticket for a terminal; one that was given before is void.
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
