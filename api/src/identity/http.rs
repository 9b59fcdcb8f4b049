//! HTTP requests to the identity provider, limited in time and size.

use std::time::Duration;

use clawdeploy_shared::http;
use reqwest::{StatusCode, header};
use url::Url;

const LIMIT: Duration = Duration::from_secs(8);
const MAX_BYTES: usize = 512 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("{0} is not an https URL (http is allowed for this machine only)")]
    Address(Url),
    #[error("{0} did not answer in time")]
    Timeout(Url),
    #[error("{0} answered {1}")]
    Status(Url, u16),
    #[error("{0} answered with more than {MAX_BYTES} bytes")]
    TooLong(Url),
    #[error("{0} could not be reached")]
    Failed(Url, #[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A GET request, or a POST request if there is a form.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) url: &'a Url,
    pub(super) authorization: Option<String>,
    pub(super) form: Option<String>,
}

/// Returns the body of a response with status 200.
pub(super) async fn fetch(call: Call<'_>) -> Result<Vec<u8>, HttpError> {
    let url = call.url;
    let failed = |error: reqwest::Error| {
        // `HttpError` already contains the URL.
        let error = error.without_url();
        if error.is_timeout() { HttpError::Timeout(url.clone()) } else { HttpError::Failed(url.clone(), error.into()) }
    };
    if !may_be_asked(url) {
        return Err(HttpError::Address(url.clone()));
    }
    let builder = http::client().map_err(|error| HttpError::Failed(url.clone(), error.into()))?;
    let client = builder.timeout(LIMIT).user_agent("clawdeploy").build().map_err(failed)?;
    let mut request = match call.form {
        Some(form) => {
            client.post(url.clone()).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(form)
        }
        None => client.get(url.clone()),
    };
    if let Some(authorization) = call.authorization {
        request = request.header(header::AUTHORIZATION, authorization);
    }
    let answer = request.header(header::ACCEPT, "application/json").send().await.map_err(failed)?;
    if answer.status() != StatusCode::OK {
        return Err(HttpError::Status(url.clone(), answer.status().as_u16()));
    }
    http::body(answer, MAX_BYTES).await.map_err(failed)?.ok_or_else(|| HttpError::TooLong(url.clone()))
}

fn may_be_asked(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    url.scheme() == "https" || (url.scheme() == "http" && ["127.0.0.1", "[::1]", "localhost"].contains(&host))
}
