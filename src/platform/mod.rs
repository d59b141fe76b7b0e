//! The operating system: clock, files below an injectable root, mounts, network addresses, locks and signals.

pub mod clock;
pub mod date;
pub mod decimal;
pub mod df;
pub mod disk;
pub mod host;
pub mod kernel_file;
pub mod lock;
pub mod network;
pub mod ntp;
pub mod pidfile;
pub mod signals;
pub mod user;
