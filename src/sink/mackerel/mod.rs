//! Mackerel's API, as mackerel-agent uses it.

mod identity;
mod post;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use ring::digest;
use serde_json::Value;
use ureq::http::Method;

use super::http::{Client, SetupError};
use super::{Failure, Profile, Receipt, Sink};
use crate::config::{Config, HostStatus};
use crate::derive::mackerel::{graph_definitions, Deriver};
use crate::derive::{Derive, Point};
use crate::host_spec::{self, Identity};
use crate::platform::clock::{Clock, Stamp};
use crate::platform::host::Host;

/// The sink's name.
pub const NAME: &str = "mackerel";

/// How often the host's description is sent.
const SPEC_INTERVAL_MS: u64 = 3_600_000;

/// When to try again what metrics do not depend on.
const RETRY_INTERVAL_MS: u64 = 300_000;

/// The service drops older points and answers 200 all the same; a minute is left for the way and the clocks.
const MAX_AGE: Duration = Duration::from_secs(24 * 3600 - 60);

/// The sink.
pub struct Mackerel {
    client: Client,
    config: Arc<Config>,
    host: Arc<Host>,
    clock: Arc<dyn Clock>,
    host_id: Option<String>,
    /// What the service holds, where the config names none: a PUT without it would erase it.
    known_identifier: Option<String>,
    /// Whether the service has confirmed the host's id in this process.
    is_confirmed: bool,
    spec_sent_ms: Option<u64>,
    /// A file whose time says when the description was sent; `tick` needs it, because each run is a process.
    marker: Option<PathBuf>,
    /// The status to set once.
    status_to_set: Option<HostStatus>,
    /// After a failure: when to describe the host again.
    retry_at_ms: Option<u64>,
}

impl std::fmt::Debug for Mackerel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mackerel").field("host_id", &self.host_id).finish_non_exhaustive()
    }
}

impl Mackerel {
    /// The sink of a config, if it has a key.
    ///
    /// # Errors
    /// When `ca_file` or the proxy cannot be used.
    pub fn new(config: &Arc<Config>, host: &Arc<Host>, clock: &Arc<dyn Clock>) -> Result<Option<Self>, SetupError> {
        let Some(key) = &config.api_key else { return Ok(None) };
        let version = env!("CARGO_PKG_VERSION");
        let headers = vec![
            ("X-Api-Key", key.expose().to_owned()),
            ("User-Agent", format!("iwashi/{version}")),
            ("X-Agent-Version", version.to_owned()),
            ("X-Revision", option_env!("IWASHI_REVISION").unwrap_or_default().to_owned()),
        ];
        Ok(Some(Self {
            client: Client::new(config, headers, clock)?,
            config: Arc::clone(config),
            host: Arc::clone(host),
            clock: Arc::clone(clock),
            host_id: identity::read(&config.root).ok().flatten(),
            known_identifier: None,
            is_confirmed: false,
            spec_sent_ms: None,
            marker: None,
            status_to_set: config.on_start,
            retry_at_ms: None,
        }))
    }

    /// The same for one run of `tick`: no status is set, and the description is sent once an hour by all runs.
    #[must_use]
    pub fn for_tick(mut self) -> Self {
        self.marker = Some(self.config.spool_path().join("described"));
        self.status_to_set = None;
        self
    }

    /// The same after a reload: the host has its status already.
    #[must_use]
    pub fn after_reload(mut self) -> Self {
        self.status_to_set = None;
        self
    }

    /// The host's description, as it is now.
    fn spec(&self) -> Result<Value, Failure> {
        let identity = Identity {
            display_name: self.config.display_name.as_deref(),
            roles: &self.config.roles,
            custom_identifier: self.config.custom_identifier.as_deref().or(self.known_identifier.as_deref()),
            checks: &self.config.checks,
        };
        // By way of a value, as `once` has it: a second way of writing it out would be 6 KiB of the ARMv6 program.
        let spec = host_spec::collect(&self.host, &identity);
        serde_json::to_value(spec).map_err(|error| Failure::later(error.to_string()))
    }

    /// Whether the host's description is due: each hour, also across the runs of `tick`.
    fn is_spec_due(&self, now: &Stamp) -> bool {
        if let Some(sent) = self.spec_sent_ms {
            return now.boottime_ms.wrapping_sub(sent) >= SPEC_INTERVAL_MS;
        }
        let written = self.marker.as_deref().and_then(|marker| std::fs::metadata(marker).ok()?.modified().ok());
        let written = written.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        !written.is_some_and(|written| {
            let age = now.wall_ms.saturating_sub(i64::try_from(written.as_millis()).unwrap_or(0));
            (0..SPEC_INTERVAL_MS.cast_signed()).contains(&age)
        })
    }

    /// Says what the service shows about the host. Metrics do not depend on it: what fails is tried again later.
    fn describe(&mut self, id: &str) {
        let now = self.clock.now();
        if self.retry_at_ms.is_some_and(|at| now.boottime_ms < at) {
            return;
        }
        self.retry_at_ms = None;
        if let Err(failure) = self.try_describe(id, &now) {
            log::warn!("mackerel: describe the host: {failure}");
            self.retry_at_ms = Some(now.boottime_ms.saturating_add(RETRY_INTERVAL_MS));
        }
    }

    fn try_describe(&mut self, id: &str, now: &Stamp) -> Result<(), Failure> {
        if self.is_spec_due(now) {
            self.client.call(&Method::PUT, &format!("/api/v0/hosts/{id}"), &json(&self.spec()?)?)?;
            self.client.call(&Method::POST, "/api/v0/graph-defs/create", &json(&graph_definitions())?)?;
            self.spec_sent_ms = Some(now.boottime_ms);
            if let Some(Err(error)) = self.marker.as_deref().map(|marker| std::fs::write(marker, b"")) {
                crate::verbose!("mackerel: note that the host was described: {error}");
            }
        }
        if let Some(status) = self.status_to_set {
            let body = json(&serde_json::json!({ "status": status.as_str() }))?;
            self.client.call(&Method::POST, &format!("/api/v0/hosts/{id}/status"), &body)?;
            self.status_to_set = None;
        }
        Ok(())
    }
}

impl Sink for Mackerel {
    fn name(&self) -> &'static str {
        NAME
    }

    fn profile(&self) -> Profile {
        // The service names no limit; 500 points are 45 KB, and eight minutes of a small host.
        Profile { max_age: MAX_AGE, max_points: 500, pause: Duration::from_secs(1) }
    }

    fn prepare(&mut self) -> Result<(), Failure> {
        let id = self.identify()?;
        self.describe(&id);
        Ok(())
    }

    fn deriver(&self) -> Arc<dyn Derive> {
        Arc::new(Deriver { use_mountpoint: self.config.use_mountpoint })
    }

    fn send(&mut self, points: &[Point]) -> Result<Receipt, Failure> {
        let Some(id) = &self.host_id else { return Err(Failure::later("not registered yet")) };
        post::send(points, &mut |points| {
            let body = post::body(id, points)?;
            let answer = self.client.call(&Method::POST, "/api/v0/tsdb", &body)?;
            // Nothing less is proof: a 200 may come from whatever stands between.
            match answer.get("success").and_then(Value::as_bool) {
                Some(true) => Ok(()),
                _ => Err(Failure::later("the answer to a metric post does not say success")),
            }
        })
    }

    fn server_time(&self) -> Option<Stamp> {
        self.client.server_time()
    }

    fn phase(&self) -> f64 {
        self.host_id.as_deref().map_or(0.0, |id| f64::from(delay_seconds(id)) / 60.0)
    }

    fn finish(&mut self) {
        let (Some(id), Some(status)) = (&self.host_id, self.config.on_stop) else { return };
        if !self.is_confirmed {
            return;
        }
        let sent = json(&serde_json::json!({ "status": status.as_str() }))
            .and_then(|body| self.client.call(&Method::POST, &format!("/api/v0/hosts/{id}/status"), &body));
        if let Err(failure) = sent {
            log::warn!("mackerel: set the status to {}: {failure}", status.as_str());
        }
    }
}

fn json(value: &Value) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(value).map_err(|error| Failure::later(error.to_string()))
}

/// At which second of the minute a host posts: the last byte of the SHA-1 of its id, modulo 60, as mackerel-agent.
fn delay_seconds(host_id: &str) -> u8 {
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, host_id.as_bytes());
    hash.as_ref().last().copied().unwrap_or_default() % 60
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_post_at_mackerel_agents_seconds() {
        assert_eq!(["246PUVUngPo", "21GZjCE5Etb", "2eQGEaLxibb"].map(delay_seconds), [40, 15, 48]);
    }
}
