//! How the fake starts.

use std::path::PathBuf;

use super::service::{Keys, LoggedRequest};
use super::tls::Leaf;

/// The service's clock: seconds since 1970.
pub type Now = Box<dyn Fn() -> i64 + Send + Sync>;
/// Called with each request as it is answered.
pub type OnRequest = Box<dyn Fn(&LoggedRequest) + Send + Sync>;

/// How to start.
pub struct Options {
    /// The port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// HTTPS with that certificate; none is HTTP.
    pub tls: Option<Leaf>,
    /// Where the CA's files go; none is a new directory for temporary files, removed at the end.
    pub ca_directory: Option<PathBuf>,
    /// The API keys.
    pub keys: Keys,
    /// The clock; none is the system's.
    pub now: Option<Now>,
    /// Called with each request as it is answered.
    pub on_request: Option<OnRequest>,
}

impl Default for Options {
    /// HTTP on a free port; keys `fake-key` and (to read only) `fake-read-key`.
    fn default() -> Self {
        Self {
            port: 0,
            tls: None,
            ca_directory: None,
            keys: Keys { full: "fake-key".to_owned(), read_only: Some("fake-read-key".to_owned()) },
            now: None,
            on_request: None,
        }
    }
}

impl Options {
    /// HTTPS with that certificate, the rest as by default.
    pub fn https(leaf: Leaf) -> Self {
        Self { tls: Some(leaf), ..Self::default() }
    }

    /// HTTP with the service's clock standing at that second (see [`shift_clock`](super::FakeMackerel::shift_clock)).
    pub fn at(now: i64) -> Self {
        Self { now: Some(Box::new(move || now)), ..Self::default() }
    }
}
