//! HTTP to exactly the host of a setting.
//!
//! The name is resolved once, every address is checked, and connections go only to these addresses. Answers are limited
//! in size and time.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use clawdeploy_shared::{http, telemetry::chain};
use reqwest::{Client, Method, Response, StatusCode, header};
use tokio::{net::lookup_host, time::timeout};
use url::{Host, Url};

use super::{error::BuildError, public_address::is_public};
use crate::runtime::printed::clean;

const RESOLVE_LIMIT: Duration = Duration::from_secs(10);
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Time limit for the answer. A server packs the objects before it answers.
const ANSWER_LIMIT: Duration = Duration::from_mins(3);
/// Longest silence between two pieces of an answer.
const SILENCE_LIMIT: Duration = Duration::from_mins(1);

/// A server that may be contacted.
#[derive(Debug)]
pub(super) struct Remote {
    url: Url,
    /// Connects to the checked addresses and to no other.
    client: Client,
}

/// An answer with a size limit.
#[derive(Debug)]
pub(super) struct Answer {
    body: Response,
    left: u64,
    place: String,
}

impl Remote {
    /// Resolves the server of a URL and checks its addresses. `allow_private` also allows this machine, private
    /// networks and `http`.
    pub(super) async fn resolve(url: &Url, allow_private: bool) -> Result<Self, BuildError> {
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BuildError::Refused("a repository's URL must not contain a password".to_owned()));
        }
        if url.query().is_some() {
            return Err(BuildError::Refused("a repository's URL must not contain a query (?...)".to_owned()));
        }
        let default_port = match url.scheme() {
            "https" => 443,
            "http" if allow_private => 80,
            other => {
                return Err(BuildError::Refused(format!("a repository is fetched over https, not over {other}")));
            }
        };
        let host = url.host().ok_or_else(|| BuildError::Refused(format!("{url} has no host")))?;
        let port = url.port().unwrap_or(default_port);
        let addresses = addresses(&host.to_owned(), port, allow_private).await?;
        let unusable = |why| BuildError::Fetch { place: url.to_string(), why, transient: false };
        let mut client = http::client().map_err(|error| unusable(chain(&error)))?;
        // An IP address in the URL is used as it is.
        if let Host::Domain(name) = host {
            client = client.resolve_to_addrs(name, &addresses);
        }
        let client = client.connect_timeout(CONNECT_LIMIT).user_agent("git/2.0 (clawdeploy)").build();
        Ok(Self { url: url.clone(), client: client.map_err(|error| unusable(chain(&error)))? })
    }

    /// Sends a request. `path` is appended to the URL's. Any status but 200 is an error.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&'static str, &'static str)],
        body: Vec<u8>,
        cap: u64,
    ) -> Result<Answer, BuildError> {
        let mut url = self.url.clone();
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        url.set_path(&format!("{}{path}", self.url.path().trim_end_matches('/')));
        url.set_query(query);
        url.set_fragment(None);
        let mut request = self.client.request(method, url).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let sent = timeout(ANSWER_LIMIT, request.send()).await;
        let answer = sent.map_err(|_| self.failed("it does not answer", true))?;
        let answer = answer.map_err(|error| self.failed(chain(&error.without_url()), true))?;
        let status = answer.status();
        if status.is_redirection() {
            let to = answer.headers().get(header::LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("elsewhere");
            return Err(self.failed(format!("it redirects to {to}; redirects are not followed"), false));
        }
        if status != StatusCode::OK {
            let transient = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
            return Err(self.failed(format!("it answered {status}"), transient));
        }
        Ok(Answer { body: answer, left: cap, place: self.place() })
    }

    /// An error about this server. The reason may be the server's own text.
    pub(super) fn failed(&self, why: impl std::fmt::Display, transient: bool) -> BuildError {
        BuildError::Fetch { place: self.place(), why: clean(&why.to_string()), transient }
    }

    fn place(&self) -> String {
        self.url.to_string()
    }
}

impl Answer {
    /// The next piece. `None` at the end.
    pub(super) async fn piece(&mut self) -> Result<Option<Bytes>, BuildError> {
        let fetch = |why: String, transient| BuildError::Fetch { place: self.place.clone(), why, transient };
        let piece = timeout(SILENCE_LIMIT, self.body.chunk()).await;
        let piece = piece.map_err(|_| fetch("it stopped sending".to_owned(), true))?;
        let Some(data) = piece.map_err(|error| fetch(chain(&error.without_url()), true))? else { return Ok(None) };
        let Some(left) = self.left.checked_sub(data.len() as u64) else {
            return Err(fetch("it sent more than allowed".to_owned(), false));
        };
        self.left = left;
        Ok(Some(data))
    }

    /// The complete answer, for small ones.
    pub(super) async fn whole(mut self) -> Result<Vec<u8>, BuildError> {
        let mut whole = Vec::new();
        while let Some(piece) = self.piece().await? {
            whole.extend_from_slice(&piece);
        }
        Ok(whole)
    }
}

/// The addresses of a host, if every one of them may be connected to.
pub(super) async fn addresses(host: &Host, port: u16, allow_private: bool) -> Result<Vec<SocketAddr>, BuildError> {
    let found: Vec<SocketAddr> = match host {
        Host::Ipv4(ip) => vec![(*ip, port).into()],
        Host::Ipv6(ip) => vec![(*ip, port).into()],
        Host::Domain(name) => {
            let fetch = |why: String| BuildError::Fetch { place: name.clone(), why, transient: true };
            let found = timeout(RESOLVE_LIMIT, lookup_host((name.as_str(), port))).await;
            found
                .map_err(|_| fetch("its name could not be resolved in time".to_owned()))?
                .map_err(|e| fetch(format!("its name could not be resolved: {e}")))?
                .collect()
        }
    };
    match found.iter().find(|address| !allow_private && !is_public(address.ip())) {
        Some(address) => Err(BuildError::Refused(format!(
            "{host} is at {}, which is not a public address (CLAWDEPLOY_SOURCE_ALLOW_PRIVATE)",
            address.ip()
        ))),
        None => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refused(url: &str) -> bool {
        let url: Url = url.parse().unwrap();
        matches!(Remote::resolve(&url, false).await, Err(BuildError::Refused(_)))
    }

    /// Postgres refuses text with a NUL, and a terminal obeys escape sequences.
    #[tokio::test]
    async fn what_a_server_says_is_printable() {
        let remote = Remote::resolve(&"https://192.0.2.1/x".parse().unwrap(), true).await.unwrap();
        let BuildError::Fetch { why, .. } = remote.failed("no\0t \u{1b}[31mthere", false) else {
            panic!("another error")
        };
        assert_eq!(why, "not there");
    }

    #[tokio::test]
    async fn addresses_that_are_not_the_internets_are_refused_in_every_spelling() {
        for host in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "0",
            "0.0.0.0",
            "localhost",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.127.255.255",
            "192.0.0.1",
            "192.88.99.1",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "[::]",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:a9fe:a9fe]",
            "[::127.0.0.1]",
            "[fc00::1]",
            "[fd12::1]",
            "[fe80::1]",
            "[fec0::1]",
            "[ff02::1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "[2001::1]",
            "[2001:2::1]",
            "[2001:10::1]",
            "[2001:20::1]",
            "[2001:db8::1]",
            "[3fff::1]",
            "[100::1]",
        ] {
            assert!(refused(&format!("https://{host}/x.git")).await, "{host}");
        }
        for host in ["1.1.1.1", "100.63.0.1", "[2606:4700::1111]", "[2001:200::1]"] {
            assert!(!refused(&format!("https://{host}/x.git")).await, "{host}");
        }
    }

    #[tokio::test]
    async fn only_https_without_a_password_or_a_query() {
        for url in [
            "http://1.1.1.1/x",
            "ssh://1.1.1.1/x",
            "git://1.1.1.1/x",
            "ftp://1.1.1.1",
            "https://me:secret@1.1.1.1/x",
            "https://1.1.1.1/x?token=y",
        ] {
            assert!(refused(url).await, "{url}");
        }
        let url = "http://127.0.0.1/x".parse().unwrap();
        assert!(Remote::resolve(&url, true).await.is_ok());
    }
}
