//! What the service knows, and the way from a request to the rule that answers it.
//!
//! Where Mackerel's documentation is silent the choice made here is said beside the rule; the agent must not
//! depend on such a choice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use serde_json::{json, Value};

use super::http::{Request, Response};

/// The answer of a rule; both sides are sent.
pub type Answer = Result<Response, Response>;

/// A host as the service keeps it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Host {
    /// Eleven characters of base 62.
    pub id: String,
    /// The body of the last POST or PUT, as received.
    pub body: Value,
    /// The body's name.
    pub name: String,
    /// The display name; kept when a PUT does not give one.
    pub display_name: Option<String>,
    /// The custom identifier; unique among the hosts that are not retired.
    pub custom_identifier: Option<String>,
    /// Service → roles; a PUT only adds.
    pub roles: BTreeMap<String, BTreeSet<String>>,
    /// working, standby, maintenance or poweroff.
    pub status: String,
    /// When it was created, in seconds since 1970.
    pub created_at: i64,
    /// When it was retired.
    pub retired_at: Option<i64>,
    /// How often it was PUT.
    pub puts: u64,
}

/// One request as it came, in the order of arrival.
#[derive(Clone, Debug)]
pub struct LoggedRequest {
    /// The method; empty if the connection was reset before the head was read.
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// The query, without the question mark.
    pub query: String,
    /// The headers; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The size of the body in bytes.
    pub body_size: usize,
    /// Points in the body of a POST to tsdb, whether accepted or not.
    pub points: usize,
    /// When it was read, in seconds since 1970 by the service's clock.
    pub received: i64,
    /// When it was read, by the monotonic clock.
    pub at: Instant,
    /// The status of the answer; none if a fault left the client without one.
    pub status: Option<u16>,
    /// The fault that struck it, for people.
    pub fault: Option<String>,
}

impl LoggedRequest {
    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// (host, metric name, seconds since 1970).
pub type PointKey = (String, String, i64);

/// Everything the service keeps; it survives [`stop`](super::FakeMackerel::stop).
#[derive(Debug, Default)]
pub struct State {
    /// All hosts by id, the retired ones too.
    pub hosts: BTreeMap<String, Host>,
    /// The stored points.
    pub points: BTreeMap<PointKey, f64>,
    /// Points dropped with a 200 because they were older than 24 h.
    pub dropped_old: u64,
    /// Points dropped with a 200 because they were more than 24 h ahead.
    pub dropped_future: u64,
    /// Points that came again (whatever the value).
    pub overwrites: u64,
    /// Graph definitions by name; the last one wins.
    pub graph_defs: BTreeMap<String, Value>,
    /// Check reports that were taken, in order of arrival.
    pub reports: Vec<Value>,
    /// Check reports ignored with a 200: six hours old, or not newer than the last of the same check.
    pub ignored_reports: u64,
    /// The newest `occurredAt` of each (host, check).
    pub last_report: BTreeMap<(String, String), i64>,
    /// Metadata by (host, namespace), and when it was put.
    pub metadata: BTreeMap<(String, String), (Value, i64)>,
    /// Every request.
    pub requests: Vec<LoggedRequest>,
    /// Connections accepted.
    pub connections: u64,
}

/// The API keys that the service takes.
#[derive(Clone, Debug)]
pub struct Keys {
    /// The key that may read and write.
    pub full: String,
    /// A key that may only read: GET is answered, all else is a 403.
    pub read_only: Option<String>,
}

impl Keys {
    /// A key that is missing or wrong is a 403 (the real status is not documented).
    fn check(&self, request: &Request) -> Result<(), Response> {
        let key = request.header("x-api-key");
        if key == Some(self.full.as_str()) {
            return Ok(());
        }
        if key.is_none() || key != self.read_only.as_deref() {
            return Err(refuse(403, "Authentication failed. Please try with valid Api Key."));
        }
        if request.method != "GET" {
            return Err(refuse(403, "This Api Key is read only."));
        }
        Ok(())
    }
}

/// An error as Mackerel words it.
pub fn refuse(status: u16, message: &str) -> Response {
    Response::json(status, &json!({"error": {"message": message}}))
}

/// `{"success":true}`.
pub fn success() -> Response {
    Response::json(200, &json!({"success": true}))
}

impl State {
    /// Carries out a request that came at `now`.
    pub fn answer(&mut self, request: &Request, keys: &Keys, now: i64) -> Response {
        let answer = keys.check(request).and_then(|()| self.route(request, now));
        let (Ok(response) | Err(response)) = answer;
        response
    }

    fn route(&mut self, request: &Request, now: i64) -> Answer {
        let path = request.path.strip_prefix("/api/v0/").ok_or_else(|| refuse(404, "Not Found"))?;
        let parts: Vec<&str> = path.split('/').collect();
        match (request.method.as_str(), parts.as_slice()) {
            ("GET", ["org"]) => Ok(Response::json(200, &json!({"name": "fake-mackerel", "displayName": null}))),
            ("POST", ["tsdb"]) => self.post_points(&request.json()?, now),
            ("POST", ["graph-defs", "create"]) => self.create_graph_defs(&request.json()?),
            ("POST", ["monitoring", "checks", "report"]) => self.report_checks(&request.json()?, now),
            ("GET", ["hosts" | "hosts.json"]) => Ok(self.list_hosts(request)),
            ("GET", ["hosts-by-custom-identifier", identifier]) => self.host_by_identifier(request, identifier),
            ("POST", ["hosts"]) => self.create_host(&request.json()?, now),
            ("GET", ["hosts", id]) => self.get_host(id),
            ("PUT", ["hosts", id]) => self.update_host(id, &request.json()?),
            ("POST", ["hosts", id, "status"]) => self.set_status(id, &request.json()?),
            ("POST", ["hosts", id, "retire"]) => self.retire(id, now),
            ("GET", ["hosts", id, "metadata"]) => self.list_metadata(id),
            ("GET", ["hosts", id, "metadata", namespace]) => self.get_metadata(id, namespace),
            ("PUT", ["hosts", id, "metadata", namespace]) => self.put_metadata(id, namespace, request, now),
            ("DELETE", ["hosts", id, "metadata", namespace]) => self.delete_metadata(id, namespace),
            _ => Err(refuse(404, "Not Found")),
        }
    }

    /// A host that exists, retired or not.
    pub fn host(&self, id: &str) -> Result<&Host, Response> {
        self.hosts.get(id).ok_or_else(|| refuse(404, "Host Not Found."))
    }

    /// A host that may be changed: 404 if unknown, 400 if retired.
    pub fn live_host(&mut self, id: &str) -> Result<&mut Host, Response> {
        let host = self.hosts.get_mut(id).ok_or_else(|| refuse(404, "Host Not Found."))?;
        if host.retired_at.is_some() {
            return Err(refuse(400, "Host is retired."));
        }
        Ok(host)
    }
}

/// Whether it is a name of the letters, digits and `others`, and not empty.
pub fn is_word(text: &str, others: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c))
}
