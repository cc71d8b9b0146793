//! How providers speak to a service: one POST or GET at a time, through whatever carries it.
//!
//! ```text
//! vault, aws ── Call ──▶ Wire ──▶ service              Wire is HttpClient (feature provider-http), or the caller's own
//!            ◀── Reply ──
//! ```
//!
//! # Security
//!
//! Bodies carry data keys in the clear, inside of what the wire protects: use https, or http to a proxy on the same
//! machine. [`HttpClient`] refuses http to any other machine, follows no redirect and uses no proxy of the
//! environment. Every call ends within its time-out ([KL-25] asks the same of sinks).

use zeroize::Zeroizing;

use super::Outage;

/// A request.
pub struct Call<'a> {
    /// GET or POST.
    pub method: &'static str,
    /// All of it: scheme, host, path.
    pub url: &'a str,
    /// Names and values.
    pub headers: &'a [(&'a str, &'a str)],
    /// Empty with GET.
    pub body: &'a [u8],
}

/// What came back.
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The body; wiped on drop.
    pub body: Zeroizing<Vec<u8>>,
}

/// What carries calls.
pub trait Wire {
    /// Sends a call and waits for the reply, whatever its status.
    ///
    /// # Errors
    /// If there is none in time.
    fn call(&self, call: &Call<'_>) -> Result<Reply, Outage>;
}

/// Most bytes of a reply that are looked at.
pub const LONGEST: u64 = 1 << 20;

#[cfg(feature = "provider-http")]
mod client {
    use std::time::Duration;

    use ureq::Agent;
    use ureq::tls::{Certificate, RootCerts, TlsConfig};

    use super::*;

    /// A blocking client.
    pub struct HttpClient {
        agent: Agent,
        tls: bool,
    }

    impl HttpClient {
        /// A client that gives up after `timeout`, and trusts these certificates (PEM) for https.
        ///
        /// Without certificates there is no https. With them, the process has installed a provider of cryptography
        /// for rustls.
        #[must_use]
        pub fn new(timeout: Duration, roots: &[&[u8]]) -> Self {
            let roots: Vec<_> = roots.iter().filter_map(|pem| Certificate::from_pem(pem).ok()).collect();
            let tls = !roots.is_empty();
            let certificates = RootCerts::new_with_certs(&roots);
            let config = Agent::config_builder()
                .timeout_global(Some(timeout))
                .http_status_as_error(false)
                .max_redirects(0)
                .proxy(None)
                .tls_config(TlsConfig::builder().root_certs(certificates).build());
            Self { agent: config.build().new_agent(), tls }
        }
    }

    impl Wire for HttpClient {
        fn call(&self, call: &Call<'_>) -> Result<Reply, Outage> {
            if !(self.tls && call.url.starts_with("https://") || is_local(call.url)) {
                return Err(Outage::Unreachable);
            }
            let mut request = ureq::http::Request::builder().method(call.method).uri(call.url);
            for (name, value) in call.headers {
                request = request.header(*name, *value);
            }
            let sent = if call.method == "GET" {
                self.agent.run(request.body(()).map_err(|_| Outage::Unreachable)?)
            } else {
                self.agent.run(request.body(call.body).map_err(|_| Outage::Unreachable)?)
            };
            let mut reply = sent.map_err(|error| outage(&error))?;
            let body = reply.body_mut().with_config().limit(LONGEST).read_to_vec();
            let body = Zeroizing::new(body.map_err(|error| outage(&error))?);
            Ok(Reply { status: reply.status().as_u16(), body })
        }
    }

    fn outage(error: &ureq::Error) -> Outage {
        match error {
            ureq::Error::Timeout(_) => Outage::TimeOut,
            _ => Outage::Unreachable,
        }
    }

    fn is_local(url: &str) -> bool {
        let host = url.strip_prefix("http://").map(|rest| rest.split(['/', '?', '#']).next().unwrap_or(""));
        host.is_some_and(|host| {
            let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
            let address: Result<std::net::Ipv4Addr, _> = name.parse();
            name == "localhost" || name == "[::1]" || address.is_ok_and(|address| address.is_loopback())
        })
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn what_is_in_the_clear_stays_on_this_machine() {
            for local in ["http://localhost:1/x", "http://127.0.0.1/", "http://[::1]:8200"] {
                assert!(is_local(local), "{local}");
            }
            for far in [
                "http://example.org/",
                "http://127.0.0.1.example.org/",
                "http://127.0.0.1@example.org/",
                "http://localhost@example.org",
                "https://localhost",
                "http://",
            ] {
                assert!(!is_local(far), "{far}");
                let call = Call { method: "GET", url: far, headers: &[], body: &[] };
                let refused = HttpClient::new(Duration::from_secs(1), &[]).call(&call).err();
                assert_eq!(refused, Some(Outage::Unreachable));
            }
        }

        /// A service that takes the connection and says nothing costs the time-out and no more.
        #[test]
        fn a_hanging_service_costs_the_time_out() {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("http://{}/", listener.local_addr().unwrap());
            let client = HttpClient::new(Duration::from_millis(200), &[]);
            let call = Call { method: "POST", url: &url, headers: &[], body: b"{}" };
            let begun = std::time::Instant::now();
            assert_eq!(client.call(&call).err(), Some(Outage::TimeOut));
            assert!(begun.elapsed() < Duration::from_secs(5));
            drop(listener);
            assert_eq!(client.call(&call).err(), Some(Outage::Unreachable));
        }
    }
}

#[cfg(feature = "provider-http")]
pub use client::HttpClient;
