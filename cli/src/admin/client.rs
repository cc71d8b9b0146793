//! One request at a time to the admin API.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ureq::Agent;
use ureq::http::Uri;
use zeroize::Zeroizing;

use super::args::Access;
use super::local;
use crate::error::Failure;

/// Where a coordinator listens unless it is told otherwise.
const DEFAULT: &str = "http://127.0.0.1:4434";
/// Longest answer in bytes.
const LONGEST: u64 = 64 << 20;

/// A client with its token.
pub struct Client {
    agent: Agent,
    base: String,
    authorization: Zeroizing<String>,
    token_from: String,
}

impl Client {
    /// By options, then environment, then default. Nothing is sent yet.
    pub fn new(access: &Access) -> Result<Self, Failure> {
        let local = local::find(access)?;
        let said = access.admin.clone().or_else(|| variable("QUORATE_ADMIN"));
        let base = said.or_else(|| local.as_ref().map(|local| local.base.clone()));
        let base = base.unwrap_or_else(|| DEFAULT.to_owned());
        let base = base.trim_end_matches('/').to_owned();
        check(&base)?;
        let (token, token_from) = token(access, local.and_then(|local| local.token))?;
        let authorization = Zeroizing::new(format!("Bearer {}", *token));
        let config = Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(15)))
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None);
        Ok(Self { agent: config.build().new_agent(), base, authorization, token_from })
    }

    /// The answer of a path that is there.
    pub fn get(&self, path: &str) -> Result<String, Failure> {
        self.find(path)?.ok_or_else(|| {
            Failure::failed(format!(
                "{} does not know {path}: is it the admin port of a coordinator?",
                self.base
            ))
        })
    }

    /// The answer of a path; `None` if there is no such thing.
    pub fn find(&self, path: &str) -> Result<Option<String>, Failure> {
        let request = self.agent.get(format!("{}{path}", self.base));
        let mut answer = request
            .header("Authorization", self.authorization.as_str())
            .call()
            .map_err(|error| self.unreachable(&error))?;
        match answer.status().as_u16() {
            200 => {
                let body = answer.body_mut().with_config().limit(LONGEST).read_to_string();
                Ok(Some(body.map_err(|error| self.unreachable(&error))?))
            }
            404 => Ok(None),
            401 => Err(Failure::usage(format!(
                "{} does not take the token from {}: use the file that the coordinator's configuration names",
                self.base, self.token_from
            ))),
            503 => Err(Failure::failed("the coordinator cannot read its store now; its log says why")),
            other => Err(Failure::failed(format!("{} answered {other} to {path}", self.base))),
        }
    }

    fn unreachable(&self, error: &ureq::Error) -> Failure {
        Failure::failed(format!(
            "{} does not answer ({error}): is the coordinator running, and is its admin port reachable from here? \
             Choose another address with --admin or QUORATE_ADMIN; from another machine, use a tunnel",
            self.base
        ))
    }
}

/// A path with its query.
pub fn path(path: &str, query: impl IntoIterator<Item = (&'static str, String)>) -> String {
    let pairs: Vec<String> =
        query.into_iter().map(|(name, value)| format!("{name}={}", encoded(&value))).collect();
    if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) }
}

fn encoded(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    value
        .bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// An address that this client can speak to: the token never leaves by a way that is not meant.
fn check(base: &str) -> Result<(), Failure> {
    let wrong =
        |why: &str| Err(Failure::usage(format!("the admin address {base:?} {why}, for instance {DEFAULT}")));
    if base.starts_with("https://") {
        return wrong(
            "cannot be used: this program speaks http to the admin port, through a tunnel if need be",
        );
    }
    let Some(host) = base.strip_prefix("http://") else { return wrong("must begin with http://") };
    if host.contains(['/', '?', '#', '@']) || host.is_empty() || base.parse::<Uri>().is_err() {
        return wrong("must be http://HOST:PORT");
    }
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    if !(name == "localhost" || name == "[::1]" || name.starts_with("127.")) {
        eprintln!("note: the admin token travels unencrypted to {host}");
    }
    Ok(())
}

/// The token and where it is from.
fn token(access: &Access, local: Option<PathBuf>) -> Result<(Zeroizing<String>, String), Failure> {
    let file =
        access.admin_token_file.clone().or_else(|| variable("QUORATE_ADMIN_TOKEN_FILE").map(Into::into));
    let variable = variable("QUORATE_ADMIN_TOKEN");
    let (token, from) = match (file.or_else(|| local.filter(|_| variable.is_none())), variable) {
        (Some(file), _) => (read(&file)?, file.display().to_string()),
        (None, Some(token)) => (Zeroizing::new(token), "QUORATE_ADMIN_TOKEN".to_owned()),
        (None, None) => {
            return Err(Failure::usage(
                "an admin token is needed: give the coordinator's --config, the token's file with --admin-token-file or QUORATE_ADMIN_TOKEN_FILE, or \
                 the token itself in QUORATE_ADMIN_TOKEN",
            ));
        }
    };
    let trimmed = Zeroizing::new(token.trim().to_owned());
    if trimmed.is_empty() || !trimmed.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Failure::usage(format!(
            "there is no admin token in {from}: one line of visible characters"
        )));
    }
    Ok((trimmed, from))
}

fn read(file: &Path) -> Result<Zeroizing<String>, Failure> {
    let text = std::fs::read_to_string(file).map(Zeroizing::new);
    text.map_err(|error| Failure::usage(format!("the admin token in {}: {error}", file.display())))
}

/// A variable that is set to something.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_encoded() {
        assert_eq!(path("/v1/models", None), "/v1/models");
        let query = [("job", "a b&c=d/ä".to_owned()), ("limit", "5".to_owned())];
        assert_eq!(path("/v1/rounds", query), "/v1/rounds?job=a%20b%26c%3Dd%2F%C3%A4&limit=5");
    }

    #[test]
    fn only_plain_addresses_are_taken() {
        for good in ["http://127.0.0.1:4434", "http://localhost:1", "http://[::1]:4434"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in
            ["", "127.0.0.1:4434", "https://127.0.0.1", "http://", "http://a/b", "http://u:p@a", "http://a b"]
        {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
