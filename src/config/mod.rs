//! The configuration: mackerel-agent's file, with our own tables beside.
//!
//! [`Config::load`] reads a file and what it includes, and either gives all of the configuration or every
//! [`Mistake`] in it at once. What may be meant otherwise is a warning, and is never fatal.

mod glob;
mod keys;
mod load;
mod minutes;
mod mistake;
mod pattern;
mod plugin;
mod size;
mod source;
mod table;
mod url;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

pub use mistake::{Kind, Mistake, Mistakes};
pub use regex_lite::Regex;

/// What the agent is told.
#[derive(Clone)]
pub struct Config {
    /// The main file, when one was read.
    pub file: Option<PathBuf>,
    /// The key of the organization.
    pub api_key: Option<ApiKey>,
    /// Where the API is: `scheme://[userinfo@]host[:port]`.
    pub api_base: String,
    /// The folder of the identity file, and of the spool unless that says otherwise.
    pub root: PathBuf,
    /// Where to write the process id.
    pub pidfile: Option<PathBuf>,
    /// The roles, `service:role`, as written: spaces after the colon are kept.
    pub roles: Vec<String>,
    /// The name shown instead of the host's.
    pub display_name: Option<String>,
    /// Log more.
    pub verbose: bool,
    /// Log errors only. Never true together with `verbose`.
    pub silent: bool,
    /// The proxies.
    pub proxy: ProxySettings,
    /// Whether connections to the API are kept open.
    pub keep_alive: bool,
    /// The status to set at start.
    pub on_start: Option<HostStatus>,
    /// The status to set at stop.
    pub on_stop: Option<HostStatus>,
    /// Whether filesystems are named by their mount points, and disks too.
    pub use_mountpoint: bool,
    /// What the sensors are told.
    pub sensors: Sensors,
    /// How the spool is kept.
    pub spool: SpoolSettings,
    /// The check monitors that the host has.
    pub checks: Vec<CheckMonitor>,
    /// Certificates to trust instead of the built-in ones (`ca_file`, our own key).
    pub ca_file: Option<PathBuf>,
    /// The host's custom identifier (`custom_identifier`, our own key).
    pub custom_identifier: Option<String>,
}

/// A configuration that can be used, and what to tell about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Unknown keys, and what has no effect.
    pub warnings: Vec<Mistake>,
}

/// What the command line sets. Absent means as in the file.
#[derive(Clone, Default)]
pub struct Overrides {
    /// `--apikey`
    pub api_key: Option<ApiKey>,
    /// `--apibase`
    pub api_base: Option<String>,
    /// `--root`
    pub root: Option<PathBuf>,
    /// `--pidfile`
    pub pidfile: Option<PathBuf>,
    /// `--role`, each one or more roles with commas between; if any, they replace those of the file.
    pub roles: Vec<String>,
    /// `--verbose`
    pub verbose: bool,
}

/// The API key. Neither `Debug` nor anything else prints it.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

/// The proxies as written: a URL or `direct`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ProxySettings {
    /// `http_proxy`
    pub http: Option<String>,
    /// `https_proxy`
    pub https: Option<String>,
}

/// A check monitor, `[plugin.checks.NAME]`, as the service knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckMonitor {
    /// Its name.
    pub name: String,
    /// What is noted beside it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub memo: String,
}

/// A status of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostStatus {
    /// `working`
    Working,
    /// `standby`
    Standby,
    /// `maintenance`
    Maintenance,
    /// `poweroff`
    Poweroff,
}

/// `[spool]`: how the spool is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolSettings {
    /// Its folder as written; see [`Config::spool_path`].
    pub path: Option<PathBuf>,
    /// The most it may take on disk, in bytes; never less than [`SpoolSettings::MIN_SIZE`].
    pub max_size: u64,
    /// How long a frame may wait to be synced to the disk; zero syncs each.
    pub sync_interval: Duration,
}

/// What the sensors are told.
#[derive(Clone, Debug, Default)]
pub struct Sensors {
    /// Block devices whose sanitised name matches are left out (`[disks] ignore`).
    pub disks_ignore: Option<Regex>,
    /// Interfaces whose sanitised name matches are left out (`[interfaces] ignore`).
    pub interfaces_ignore: Option<Regex>,
    /// Filesystems whose source, `/dev/` included, matches are left out (`[filesystems] ignore`).
    pub filesystems_ignore: Option<Regex>,
    /// Sensors switched off by name (`[sensors] NAME = false`).
    pub disabled: Vec<String>,
}

impl Config {
    /// Where the API is unless told otherwise.
    pub const DEFAULT_API_BASE: &'static str = "https://api.mackerelio.com";

    /// The root of a configuration that was read from a file but names none.
    pub const DEFAULT_ROOT: &'static str = "/var/lib/mackerel-agent";

    /// The defaults, for when there is no file.
    #[must_use]
    pub fn without_file(root: PathBuf) -> Self {
        Self {
            file: None,
            api_key: None,
            api_base: Self::DEFAULT_API_BASE.into(),
            root,
            pidfile: None,
            roles: Vec::new(),
            display_name: None,
            verbose: false,
            silent: false,
            proxy: ProxySettings::default(),
            keep_alive: true,
            on_start: None,
            on_stop: None,
            use_mountpoint: false,
            sensors: Sensors::default(),
            spool: SpoolSettings::default(),
            checks: Vec::new(),
            ca_file: None,
            custom_identifier: None,
        }
    }

    /// Where the API is, fit to be printed: without user and password.
    #[must_use]
    pub fn api_base_shown(&self) -> String {
        url::redact(&self.api_base)
    }

    /// The folder of the spool: `spool` in the root, or the path given, which counts from the root.
    #[must_use]
    pub fn spool_path(&self) -> PathBuf {
        self.root.join(self.spool.path.as_deref().unwrap_or("spool".as_ref()))
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("file", &self.file)
            .field("api_key", &self.api_key)
            .field("api_base", &url::redact(&self.api_base))
            .field("root", &self.root)
            .field("pidfile", &self.pidfile)
            .field("roles", &self.roles)
            .field("display_name", &self.display_name)
            .field("verbose", &self.verbose)
            .field("silent", &self.silent)
            .field("proxy", &self.proxy)
            .field("keep_alive", &self.keep_alive)
            .field("on_start", &self.on_start)
            .field("on_stop", &self.on_stop)
            .field("use_mountpoint", &self.use_mountpoint)
            .field("sensors", &self.sensors)
            .field("spool", &self.spool)
            .field("checks", &self.checks)
            .field("ca_file", &self.ca_file)
            .field("custom_identifier", &self.custom_identifier)
            .finish()
    }
}

impl fmt::Debug for Overrides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overrides")
            .field("api_key", &self.api_key)
            .field("api_base", &self.api_base.as_deref().map(url::redact))
            .field("root", &self.root)
            .field("pidfile", &self.pidfile)
            .field("roles", &self.roles)
            .field("verbose", &self.verbose)
            .finish()
    }
}

impl ApiKey {
    /// The key `text`; none when it is empty or cannot be sent in an HTTP header.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let is_sendable = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        is_sendable.then(|| Self(text.to_string()))
    }

    /// The key itself, for the header alone.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

impl fmt::Debug for ProxySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxySettings")
            .field("http", &self.http.as_deref().map(url::redact))
            .field("https", &self.https.as_deref().map(url::redact))
            .finish()
    }
}

impl HostStatus {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Working, Self::Standby, Self::Maintenance, Self::Poweroff];

    /// The word that the API and the file use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::Standby => "standby",
            Self::Maintenance => "maintenance",
            Self::Poweroff => "poweroff",
        }
    }
}

impl SpoolSettings {
    /// The least that `max_size` may be, in bytes: 256 KiB.
    pub const MIN_SIZE: u64 = 256 << 10;

    /// The most that `sync_interval` may be, in seconds.
    pub const MAX_SYNC_SECONDS: u64 = 3600;
}

impl Default for SpoolSettings {
    fn default() -> Self {
        Self { path: None, max_size: 64 << 20, sync_interval: Duration::ZERO }
    }
}
