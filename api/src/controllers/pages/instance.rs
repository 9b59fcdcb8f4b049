//! The status of an instance at its address: a page for browsers, a problem document for programs.
//!
//! It is public. It contains the status and the title of the current step, but no name, no owner and no cause of a
//! failure. Whoever opens the address of an instance that sleeps wakes it.

use std::{sync::LazyLock, time::Duration};

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use clawdeploy_shared::{
    db::route::{self, Shown},
    ids::InstanceId,
    instance::InstanceStatus,
    sleep::WokenBy,
};
use sha2::{Digest as _, Sha256};

use crate::{
    error::{AppError, AppResult, ErrorCode},
    extract::Path,
    state::AppState,
    wake::wake,
};

const STYLE: &str = "html{color-scheme:light dark;font:1rem/1.5 system-ui,sans-serif}\
    body{max-width:32rem;margin:18vh auto;padding:0 1.5rem}h1{font-size:1.5rem;margin:0 0 .5rem}\
    p{margin:.5rem 0}.step{opacity:.7}a{color:inherit}";

/// Nothing may be loaded or run. The only style is allowed by its hash.
static POLICY: LazyLock<Option<HeaderValue>> = LazyLock::new(|| {
    let hash = BASE64_STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).ok()
});

/// Public information about an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Notice {
    status: StatusCode,
    title: &'static str,
    text: &'static str,
    step: Option<String>,
    /// Seconds after which a program may retry.
    retry_after: Option<u64>,
    /// Seconds after which the page reloads itself.
    reload_after: Option<u64>,
}

impl Notice {
    fn unknown() -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            title: "There is no such instance",
            text: "There is no instance at this address. The address may be misspelt, or the instance was deleted.",
            step: None,
            retry_after: None,
            reload_after: None,
        }
    }

    fn of(shown: Shown) -> Self {
        use InstanceStatus::{
            Deleting, Error, Pending, Provisioning, Running, Starting, Stopped, Stopping, Unknown, Updating,
        };
        let (title, text, retry, reload) = match shown.status {
            Pending | Provisioning | Starting => {
                ("Starting", "The gateway is starting. This page opens it as soon as it answers.", 2, Some(2))
            }
            // nginx has not loaded the route yet, or the gateway has just exited.
            Running => {
                ("One moment", "The gateway does not answer right now. This page retries automatically.", 3, Some(3))
            }
            Updating => {
                ("Updating", "The instance is being updated. This page opens it as soon as it answers.", 5, Some(5))
            }
            Stopping => ("Stopping", "The instance is being stopped.", 10, Some(10)),
            Stopped => ("Stopped", "The instance is stopped. Its owner can start it in the control panel.", 60, None),
            Deleting => ("Deleting", "The instance is being deleted.", 60, None),
            // A newer version wrote the status, so the platform is being updated.
            Unknown => (
                "One moment",
                "The instance cannot be reached right now. This page retries automatically.",
                10,
                Some(10),
            ),
            Error => (
                "Not running",
                "The instance is not running. Its owner can find the reason in the control panel.",
                60,
                None,
            ),
        };
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            title,
            text,
            step: shown.step.filter(|_| reload.is_some()),
            retry_after: Some(retry),
            reload_after: reload,
        }
    }

    fn waking() -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            title: "Waking up",
            text: "The instance was asleep. This page opens it as soon as it answers.",
            step: None,
            retry_after: Some(2),
            reload_after: Some(2),
        }
    }

    /// It sleeps and cannot be woken now.
    fn asleep(refusal: &AppError) -> Self {
        let (text, seconds) = match refusal.code() {
            ErrorCode::HostFull => (
                "The instance is asleep, and the server has no room for it right now. This page retries automatically.",
                30,
            ),
            ErrorCode::VersionRefused => {
                ("The instance is asleep. Its owner must update it in the control panel before it can start.", 300)
            }
            _ => ("The instance is asleep and could not be woken. This page retries automatically.", 10),
        };
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            title: "Asleep",
            text,
            step: None,
            retry_after: Some(seconds),
            reload_after: Some(seconds),
        }
    }

    fn problem(self) -> AppError {
        let step = self.step.map(|step| format!(" {step} ...")).unwrap_or_default();
        let detail = format!("{}: {}{step}", self.title, self.text);
        match self.retry_after {
            None => AppError::new(ErrorCode::NotFound, detail),
            Some(seconds) => {
                AppError::new(ErrorCode::InstanceUnavailable, detail).with_retry_after(Duration::from_secs(seconds))
            }
        }
    }

    fn page(&self, panel: Option<&str>) -> String {
        let refresh =
            self.reload_after.map(|s| format!("<meta http-equiv=\"refresh\" content=\"{s}\">")).unwrap_or_default();
        let step = self.step.as_deref().map(|s| format!("<p class=\"step\">{} …</p>", escaped(s))).unwrap_or_default();
        let panel =
            panel.map(|url| format!("<p><a href=\"{}\">Control panel</a></p>", escaped(url))).unwrap_or_default();
        format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
             content=\"width=device-width\"><meta name=\"robots\" content=\"noindex\">{refresh}<title>{title}</title>\
             <style>{STYLE}</style></head><body><main><h1>{title}</h1><p>{text}</p>{step}{panel}</main></body></html>\n",
            title = self.title,
            text = self.text,
        )
    }
}

/// Escapes text for HTML and for attributes in double quotes.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Whether the client wants a page. Browsers request HTML when they open a page; programs do not.
pub(super) fn reads_pages(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepts.flat_map(|value| value.split(',')).any(|one| one.trim().starts_with("text/html"))
}

/// What to say about an instance. Wakes it if it sleeps.
async fn notice(app: &AppState, id: &str) -> AppResult<Notice> {
    let Ok(id) = id.parse::<InstanceId>() else { return Ok(Notice::unknown()) };
    let shown = route::shown(&mut *app.db.conn().await?, &id).await?;
    let Some(shown) = shown else { return Ok(Notice::unknown()) };
    if !shown.asleep {
        return Ok(Notice::of(shown));
    }
    match wake(app, &id, WokenBy::Address, None).await {
        Ok(Some(_)) => Ok(Notice::waking()),
        // Somebody was faster.
        Ok(None) => Ok(Notice::of(shown)),
        Err(refusal) if refusal.status().is_server_error() => Err(refusal),
        Err(refusal) => Ok(Notice::asleep(&refusal)),
    }
}

/// `id` is the requested subdomain of the base domain, which may not be an id.
pub async fn page(app: AppState, headers: HeaderMap, Path(id): Path<String>) -> AppResult<Response> {
    let notice = notice(&app, &id).await?;
    if !reads_pages(&headers) {
        return Err(notice.problem());
    }
    let page = notice.page(app.public_url.as_deref());
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    let mut response = (notice.status, [(header::CONTENT_TYPE, html)], page).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(policy) = POLICY.clone() {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    if let Some(seconds) = notice.retry_after {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_its_page() {
        for status in InstanceStatus::ALL {
            let notice = Notice::of(Shown { status: *status, step: Some("Creating <b>".into()), asleep: false });
            assert_eq!(notice.status, StatusCode::SERVICE_UNAVAILABLE, "{status}");
            let page = notice.page(Some("https://panel.test/?a=\"b\"&c"));
            assert!(page.contains("href=\"https://panel.test/?a=&quot;b&quot;&amp;c\""), "{page}");
            assert!(!page.contains("<b>") && !page.contains("<script"), "{page}");
            assert_eq!(page.contains("refresh"), notice.reload_after.is_some(), "{status}");
            // A page that reloads shows the current step.
            assert_eq!(page.contains("Creating &lt;b&gt;"), notice.reload_after.is_some(), "{status}");
        }
    }

    #[test]
    fn programs_get_a_problem() {
        let error = Notice::of(Shown { status: InstanceStatus::Stopped, step: None, asleep: false }).problem();
        assert_eq!((error.code(), error.status()), (ErrorCode::InstanceUnavailable, StatusCode::SERVICE_UNAVAILABLE));
        assert_eq!(Notice::unknown().problem().code(), ErrorCode::NotFound);
    }

    #[test]
    fn a_page_is_for_whoever_names_it() {
        let asks = |accept: &str| reads_pages(&HeaderMap::from_iter([(header::ACCEPT, accept.parse().unwrap())]));
        assert!(asks("text/html,application/xhtml+xml,*/*;q=0.8"));
        assert!(!asks("*/*") && !asks("application/json") && !reads_pages(&HeaderMap::new()));
    }
}
