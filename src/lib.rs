//! iwashi (鰯, sardine): a minimal, static, offline-first Mackerel agent.
//!
//! Data flows one way, and the modules are listed in that order:
//!
//! ```text
//! sensor ─► frame ─► spool (segments on disk) ─► derive ─► sink ─► HTTPS
//! ```
//!
//! [`platform`] is the operating system (clock, files, mounts, network addresses). A [`sensor`] reads the
//! kernel into a [`frame`], whose readings name a [`series`]. The [`spool`] keeps frames on disk exactly as
//! read. [`mod@derive`] turns two consecutive frames into points, and a [`sink`] sends them. [`agent`] is the
//! daemon around all that, and [`cli`] the commands. Everything below `agent` is plain blocking code.

/// A message that only `verbose` asks for.
///
/// Not `log::debug!`: release builds leave that level out (`release_max_level_info`), and with it the many messages of
/// rustls and ureq, which nobody reads and whose texts are a good part of the binary.
macro_rules! verbose {
    ($($message:tt)+) => { ::log::info!(target: "iwashi::verbose", $($message)+) };
}
pub(crate) use verbose;

pub mod platform;

pub mod config;
pub mod frame;
pub mod series;

pub mod sensor;

pub mod spool;

pub mod derive;

pub mod host_spec;
pub mod sink;

pub mod agent;

pub mod cli;
