//! The parts of the OpenAPI document that do not come from handlers.

use utoipa::{
    OpenApi as _,
    openapi::{
        Content, OpenApi, Ref, RefOr, ResponseBuilder,
        path::{Operation, PathItem},
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use crate::{
    auth::cookie,
    error::{FieldError, PROBLEM_JSON, Problem},
};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "ClawDeploy",
        description = "Hosts OpenClaw gateways. Changes to an instance run as jobs: the answer is 202 with the job, \
                       whose progress is at `GET /api/jobs/{id}/events`. Errors are problem details (RFC 9457) with a \
                       stable `code`. Enumerations grow: while a new version is installed, a value that this version does \
                       not know yet is shown as `unknown`. Clients must accept values that are not listed here.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    tags(
        (name = "auth", description = "Signing in and out, and sessions"),
        (name = "tokens", description = "Tokens for programs"),
        (name = "instances", description = "OpenClaw gateways"),
        (name = "devices", description = "Access to a gateway: dashboard links and device pairing"),
        (name = "terminals", description = "Shells in instances"),
        (name = "jobs", description = "Jobs and their progress"),
        (name = "admin", description = "For administrators"),
        (name = "health", description = "For operators"),
    ),
    components(schemas(Problem<'static>, FieldError)),
    security(("token" = []), ("session" = [])),
)]
struct Base;

/// The document without paths.
pub fn base() -> OpenApi {
    Base::openapi()
}

/// Adds what applies to all operations: the security schemes and the error response.
pub fn complete(mut document: OpenApi) -> OpenApi {
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("A token from `POST /api/tokens`"));
    let cookie = ApiKeyValue::with_description(cookie::NAME, "The cookie that `POST /api/auth/login` sets");
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("token", SecurityScheme::Http(bearer.build()));
    components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        let problem = ResponseBuilder::new()
            .description("Error")
            .content(PROBLEM_JSON, Content::new(Some(Ref::from_schema_name("Problem"))));
        operation.responses.responses.insert("default".to_owned(), RefOr::T(problem.build()));
        for (status, response) in &mut operation.responses.responses {
            if let RefOr::T(response) = response
                && response.description.is_empty()
            {
                reason(status).clone_into(&mut response.description);
            }
        }
    }
    document
}

fn operations(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut path.get, &mut path.put, &mut path.post, &mut path.patch, &mut path.delete].into_iter().flatten()
}

/// The standard name of a status. OpenAPI requires a description for each response.
fn reason(status: &str) -> &'static str {
    let status = status.parse().ok().and_then(|code: u16| axum::http::StatusCode::from_u16(code).ok());
    status.and_then(|status| status.canonical_reason()).unwrap_or("Response")
}

#[cfg(test)]
mod tests {
    use crate::router::document;

    /// The document is part of the public contract, so a change to it must appear in the diff of a review.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test may ask how it was called, and rewrite its own snapshot")]
    fn the_document_is_the_one_that_is_checked_in() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
        let now = document().to_pretty_json().unwrap() + "\n";
        if std::env::var_os("UPDATE_OPENAPI").is_some() {
            std::fs::write(file, &now).unwrap();
        }
        let then = std::fs::read_to_string(file).unwrap_or_default();
        assert!(now == then, "api/openapi.json is not current; run: UPDATE_OPENAPI=1 cargo test -p clawdeploy-api");
    }

    #[test]
    fn every_operation_has_a_name_of_its_own_and_a_summary() {
        let mut document = document();
        let mut names: Vec<_> = Vec::new();
        for operation in document.paths.paths.values_mut().flat_map(super::operations) {
            let name = operation.operation_id.clone().unwrap();
            assert!(operation.summary.as_ref().is_some_and(|summary| !summary.is_empty()), "{name}");
            names.push(name);
        }
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count, "two operations have the same name");
    }
}
