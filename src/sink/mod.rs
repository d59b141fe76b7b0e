//! Sinks send points to an upstream. Each is one folder here; [`drain`] gives all of them fresh frames first, then
//! the backlog, under the rules of their [`Profile`].

pub mod backoff;
pub mod drain;
pub mod http;
pub mod mackerel;
mod tls;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::derive::{Derive, Point};
use crate::platform::clock::Stamp;

/// What an upstream accepts.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    /// The oldest point it stores.
    pub max_age: Duration,
    /// The most points of one request.
    pub max_points: usize,
    /// How long to wait between two requests while a backlog drains.
    pub pause: Duration,
}

/// Why nothing went through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It may work later: network, server errors, rate limits.
    Later {
        /// In words.
        reason: String,
        /// What the server asked for, if it did.
        retry_after: Option<Duration>,
    },
    /// The server refuses this very content.
    Content {
        /// In words.
        reason: String,
    },
    /// The server refuses us until a person changes something: key, host, permission.
    Denied {
        /// In words.
        reason: String,
    },
}

impl Failure {
    pub(crate) fn later(reason: impl Into<String>) -> Self {
        Self::Later { reason: reason.into(), retry_after: None }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Later { reason, .. } | Self::Content { reason } | Self::Denied { reason }) = self;
        f.write_str(reason)
    }
}

impl std::error::Error for Failure {}

/// What became of the points of one call of [`Sink::send`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Taken.
    pub accepted: u64,
    /// Refused for good, each by itself.
    pub rejected: u64,
}

/// An upstream. Its calls block, with timeouts.
pub trait Sink: Send {
    /// The name in cursors, `status` and logs.
    fn name(&self) -> &'static str;

    /// What it accepts.
    fn profile(&self) -> Profile;

    /// Gets ready to send: registration, and what has to be said from time to time.
    ///
    /// # Errors
    /// Nothing can be sent until this succeeds.
    fn prepare(&mut self) -> Result<(), Failure>;

    /// What makes its points of frames.
    fn deriver(&self) -> Arc<dyn Derive>;

    /// Sends points, at most as many as the profile allows. Sending them again is harmless.
    ///
    /// # Errors
    /// None of them may have arrived then, or all.
    fn send(&mut self, points: &[Point]) -> Result<Receipt, Failure>;

    /// When the server last told its time, and what it was; `None` where it never did.
    fn server_time(&self) -> Option<Stamp>;

    /// Where in the interval this host sends, from 0 to 1, so that a fleet does not send at once.
    fn phase(&self) -> f64;

    /// Says good-bye.
    fn finish(&mut self);
}
