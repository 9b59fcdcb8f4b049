//! Refused calls as responses.

use std::borrow::Cow;

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use clawdeploy_shared::{
    rpc::{Refusal, RefusalCode},
    telemetry::chain,
};

use crate::runtime::RuntimeError;

#[derive(Debug)]
pub(super) struct Refused {
    pub(super) code: RefusalCode,
    pub(super) detail: Cow<'static, str>,
}

impl Refused {
    pub(super) fn new(code: RefusalCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into() }
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(RefusalCode::Unauthorized, "no valid signature for this call")
    }
}

impl From<RuntimeError> for Refused {
    fn from(error: RuntimeError) -> Self {
        // It existed a moment ago.
        let code = match &error {
            error if error.is_not_found() => RefusalCode::NoContainer,
            error if error.is_conflict() => RefusalCode::NotRunning,
            error if error.is_timeout() => RefusalCode::TimedOut,
            _ => RefusalCode::EngineFailed,
        };
        Self::new(code, chain(&error))
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = match self.code {
            RefusalCode::Unauthorized => StatusCode::UNAUTHORIZED,
            RefusalCode::InvalidArguments => StatusCode::BAD_REQUEST,
            RefusalCode::NoContainer
            | RefusalCode::UnknownRequest
            | RefusalCode::UnknownDevice
            | RefusalCode::UnknownTerminal => StatusCode::NOT_FOUND,
            RefusalCode::NotRunning => StatusCode::CONFLICT,
            RefusalCode::CommandFailed => StatusCode::BAD_GATEWAY,
            RefusalCode::Busy | RefusalCode::EngineFailed | RefusalCode::Draining => StatusCode::SERVICE_UNAVAILABLE,
            RefusalCode::TimedOut => StatusCode::GATEWAY_TIMEOUT,
        };
        let body = Refusal { code: self.code, detail: self.detail.into_owned() };
        let text = serde_json::to_vec(&body).unwrap_or_default();
        (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
    }
}
