//! Extractors for path, query and body whose rejections are problem details, and JSON responses.
//!
//! They replace axum's extractors, which clippy forbids elsewhere. Request types use `deny_unknown_fields`, so that a
//! misspelt field is an error and is not ignored.

#![expect(clippy::disallowed_types, reason = "wraps them")]

use std::{fmt::Display, str::FromStr};

use axum::{
    extract::{
        FromRequest, FromRequestParts, Request,
        rejection::{BytesRejection, FailedToBufferBody, JsonRejection},
    },
    http::{HeaderMap, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};

use crate::error::{AppError, AppResult, ErrorCode};

/// Maximum size of a request body.
pub const BODY_LIMIT_BYTES: usize = 64 * 1024;

/// Parameters in the path.
#[derive(Debug)]
pub struct Path<T>(pub T);

/// Parameters in the query string.
#[derive(Debug)]
pub struct Query<T>(pub T);

/// Deserializes an id in a path with its own parser, so that the error message is the parser's.
pub fn parsed<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

/// A JSON body of a request or a response.
#[derive(Debug)]
pub struct Json<T>(pub T);

/// An optional JSON body. An empty body gives the default.
#[derive(Debug)]
pub struct OptionalJson<T>(pub T);

/// A JSON body with the SHA-256 of its content. Key order and white space do not change the digest.
#[derive(Debug)]
pub struct DigestedJson<T> {
    pub value: T,
    pub sha256: [u8; 32],
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> AppResult<Self> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(rejection) => {
                let text = rejection.body_text();
                // The rejection's text has the form "Invalid URL: Cannot parse `id` with value `x`: not a valid job
                // id".
                let field = text.split('`').nth(1).unwrap_or("id").to_owned();
                let reason = text.rsplit(": ").next().unwrap_or("not valid").to_owned();
                let detail = format!("{field} in the path: {reason}.");
                Err(AppError::new(ErrorCode::InvalidPath, detail).with_field(field, "invalid", reason))
            }
        }
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> AppResult<Self> {
        match axum::extract::Query::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(rejection) => {
                let text = rejection.body_text();
                let told = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
                Err(Complaint::read(told).into_error(ErrorCode::InvalidQuery, ErrorCode::InvalidQuery, "query"))
            }
        }
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = AppError;

    async fn from_request(request: Request, state: &S) -> AppResult<Self> {
        require_json(request.headers())?;
        parse(&body(request, state).await?).map(Self)
    }
}

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for OptionalJson<T> {
    type Rejection = AppError;

    async fn from_request(request: Request, state: &S) -> AppResult<Self> {
        let typed = require_json(request.headers());
        let bytes = body(request, state).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        typed?;
        parse(&bytes).map(Self)
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for DigestedJson<T> {
    type Rejection = AppError;

    async fn from_request(request: Request, state: &S) -> AppResult<Self> {
        require_json(request.headers())?;
        let bytes = body(request, state).await?;
        let value = parse(&bytes)?;
        // `serde_json` sorts the keys of objects, so the digest depends on the content only.
        let content: serde_json::Value = parse(&bytes)?;
        Ok(Self { value, sha256: Sha256::digest(content.to_string()).into() })
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

fn require_json(headers: &HeaderMap) -> AppResult<()> {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json")) {
        return Ok(());
    }
    Err(AppError::new(ErrorCode::UnsupportedMediaType, "Send the body with Content-Type: application/json."))
}

async fn body<S: Send + Sync>(request: Request, state: &S) -> AppResult<axum::body::Bytes> {
    axum::body::Bytes::from_request(request, state).await.map_err(|rejection| match rejection {
        BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)) => {
            let detail = format!("The body is larger than {} KiB.", BODY_LIMIT_BYTES / 1024);
            AppError::new(ErrorCode::BodyTooLarge, detail)
        }
        other => AppError::new(ErrorCode::InvalidBody, "The body is incomplete.").with_source(other),
    })
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> AppResult<T> {
    axum::Json::from_bytes(bytes).map(|axum::Json(value)| value).map_err(|rejection| {
        let text = rejection.body_text();
        if matches!(rejection, JsonRejection::JsonDataError(_)) {
            let told = text.strip_prefix("Failed to deserialize the JSON body into the target type: ").unwrap_or(&text);
            return Complaint::read(told).into_error(ErrorCode::InvalidBody, ErrorCode::UnknownField, "body");
        }
        let told = text.strip_prefix("Failed to parse the request body as JSON: ").unwrap_or(&text);
        AppError::new(ErrorCode::InvalidBody, format!("The body is not valid JSON: {told}."))
    })
}

/// An error message of serde about one field.
#[derive(Debug, PartialEq, Eq)]
struct Complaint {
    field: Option<String>,
    code: &'static str,
    message: String,
}

impl Complaint {
    /// Parses `field: message at line 1 column 2`. All parts but the message are optional.
    fn read(text: &str) -> Self {
        let text = text.split(" at line ").next().unwrap_or(text);
        let quoted = |after: &str| {
            let (_, rest) = text.split_once(after)?;
            rest.split('`').next().map(str::to_owned)
        };
        if let Some(field) = quoted("unknown field `") {
            let known = text.split_once("`, expected ").map_or("nothing", |(_, known)| known);
            let message = format!("is unknown; expected {known}");
            return Self { field: Some(field), code: "unknown_field", message };
        }
        if let Some(field) = quoted("missing field `") {
            return Self { field: Some(field), code: "required", message: "is required".to_owned() };
        }
        let is_name = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.[]".contains(&b));
        match text.split_once(": ") {
            Some((field, message)) if is_name(field) && field != "." => {
                let message = message.replace("expected i64", "expected a whole number");
                Self { field: Some(field.to_owned()), code: "invalid", message }
            }
            _ => Self { field: None, code: "invalid", message: text.to_owned() },
        }
    }

    fn into_error(self, code: ErrorCode, unknown_field: ErrorCode, whole: &str) -> AppError {
        let code = if self.code == "unknown_field" { unknown_field } else { code };
        let field = self.field.unwrap_or_else(|| whole.to_owned());
        let separator = if self.code == "invalid" { ":" } else { "" };
        AppError::new(code, format!("{field}{separator} {}.", self.message)).with_field(field, self.code, self.message)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Form {
        #[expect(dead_code, reason = "only parsed")]
        name: String,
        #[expect(dead_code, reason = "only parsed")]
        memory_mb: Option<i64>,
    }

    fn refused(body: &str) -> serde_json::Value {
        let error = parse::<Form>(body.as_bytes()).unwrap_err();
        let problem = serde_json::to_value(error.problem("r")).unwrap();
        json!([problem["code"], problem["detail"], problem["errors"][0]["field"], problem["errors"][0]["code"]])
    }

    #[test]
    fn rejections_name_the_field() {
        assert_eq!(
            refused(r#"{"name":"a","nmae":1}"#),
            json!(["unknown_field", "nmae is unknown; expected `name` or `memoryMb`.", "nmae", "unknown_field"])
        );
        assert_eq!(refused("{}"), json!(["invalid_body", "name is required.", "name", "required"]));
        assert_eq!(
            refused(r#"{"name":"a","memoryMb":"much"}"#),
            json!([
                "invalid_body",
                "memoryMb: invalid type: string \"much\", expected a whole number.",
                "memoryMb",
                "invalid"
            ])
        );
        assert_eq!(
            refused("[]"),
            json!(["invalid_body", "body: invalid length 0, expected struct Form with 2 elements.", "body", "invalid"])
        );
        assert_eq!(refused("{")[0], "invalid_body");
        assert_eq!(refused("")[1], "The body is not valid JSON: EOF while parsing a value at line 1 column 0.");
    }

    #[test]
    fn only_json_is_read_as_json() {
        let with = |value: &str| HeaderMap::from_iter([(header::CONTENT_TYPE, value.parse().unwrap())]);
        for good in ["application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"] {
            assert!(require_json(&with(good)).is_ok(), "{good}");
        }
        for bad in ["", "text/plain", "application/x-www-form-urlencoded", "text/json"] {
            assert!(require_json(&with(bad)).is_err(), "{bad}");
        }
        assert!(require_json(&HeaderMap::new()).is_err());
    }
}
