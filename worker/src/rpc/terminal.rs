//! Opens terminals and attaches WebSockets to them.

use axum::{
    body::Bytes,
    extract::{
        RawPathParams, State,
        ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    http::HeaderMap,
    response::{IntoResponse as _, Response},
};
use clawdeploy_shared::{
    ids::InstanceId,
    rpc::{
        RefusalCode, Verb,
        terminal::{ARGUMENTS_HEADER, AttachArguments, INPUT_CAP, OpenArguments},
    },
    telemetry::chain,
};

use super::{Rpc, admitted, container, read, refusal::Refused};
use crate::terminal::OpenError;

/// Room in a message beyond its input.
const MESSAGE_CAP: usize = 2 * INPUT_CAP;

pub(super) async fn open(rpc: &Rpc, instance: &InstanceId, arguments: OpenArguments) -> Result<(), Refused> {
    let container = container::running(&rpc.env.runtime, instance).await?;
    rpc.env.terminals.open(instance, &container, arguments).await.map_err(|error| match error {
        OpenError::Runtime(error) => error.into(),
        OpenError::NoShell => Refused::new(RefusalCode::CommandFailed, chain(&error)),
        OpenError::Full => Refused::new(RefusalCode::Busy, chain(&error)),
    })
}

/// GET with `Upgrade: websocket`. The arguments are in a header, and the signature covers them.
pub(super) async fn attach(
    State(rpc): State<Rpc>,
    params: RawPathParams,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let arguments = headers.get(ARGUMENTS_HEADER).map(|value| Bytes::copy_from_slice(value.as_bytes()));
    let arguments = arguments.unwrap_or_default();
    let (Some((instance, Verb::AttachTerminal)), Ok(upgrade)) =
        (admitted(&rpc, &params, &headers, &arguments), upgrade)
    else {
        return Refused::unauthorized().into_response();
    };
    let AttachArguments { terminal_id, from } = match read(&arguments) {
        Ok(arguments) => arguments,
        Err(refused) => return refused.into_response(),
    };
    if !rpc.env.identity.belongs() {
        return Refused::new(RefusalCode::UnknownTerminal, "the worker stands by").into_response();
    }
    let terminals = rpc.env.terminals.clone();
    if !terminals.holds(&instance, terminal_id) {
        return Refused::new(RefusalCode::UnknownTerminal, "this worker holds no such terminal").into_response();
    }
    upgrade
        .max_message_size(MESSAGE_CAP)
        .max_frame_size(MESSAGE_CAP)
        .write_buffer_size(0)
        .on_upgrade(async move |socket| terminals.attach(terminal_id, from, socket).await)
}
