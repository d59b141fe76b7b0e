//! The rules for points, graph definitions, check reports and metadata.

use serde_json::{json, Value};

use super::http::{http_date, Request, Response};
use super::service::{is_word, refuse, success, Answer, PointKey, State};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// 100 KB, read in the narrower way.
const METADATA_LIMIT: usize = 100_000;

const UNITS: [&str; 9] =
    ["float", "integer", "percentage", "seconds", "milliseconds", "bytes", "bytes/sec", "bits/sec", "iops"];

fn bad(message: &str) -> Response {
    refuse(400, message)
}

/// One point of a POST; any fault of form is a 400.
fn point(value: &Value) -> Result<(PointKey, f64), Response> {
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    let host = text("hostId").ok_or_else(|| bad("hostId must be a string."))?;
    let name = text("name").filter(|name| is_word(name, "._-")).ok_or_else(|| bad("Invalid metric name."))?;
    let time = value.get("time").and_then(Value::as_i64).ok_or_else(|| bad("time must be an integer."))?;
    let number = value.get("value").and_then(Value::as_f64).ok_or_else(|| bad("value must be a number."))?;
    Ok(((host.to_owned(), name.to_owned(), time), number))
}

impl State {
    /// All or nothing: a malformed point is a 400, an unknown or retired host a 404, for the whole request (both
    /// statuses are this service's choice; Mackerel's page lists only 403). Points more than 24 h old or ahead are
    /// dropped with a 200. Times are not rounded to minutes.
    pub(super) fn post_points(&mut self, body: &Value, now: i64) -> Answer {
        let values = body.as_array().ok_or_else(|| bad("The body must be an array."))?;
        let points = values.iter().map(point).collect::<Result<Vec<_>, _>>()?;
        for ((host, ..), _) in &points {
            if self.host(host)?.retired_at.is_some() {
                return Err(refuse(404, "Host Not Found."));
            }
        }
        for (key, value) in points {
            let age = now.saturating_sub(key.2);
            if age > DAY {
                self.dropped_old += 1;
            } else if age < -DAY {
                self.dropped_future += 1;
            } else if self.points.insert(key, value).is_some() {
                self.overwrites += 1;
            }
        }
        Ok(success())
    }

    /// The name begins with `custom.` and has no empty part; the unit is one of the nine; metrics have names.
    pub(super) fn create_graph_defs(&mut self, body: &Value) -> Answer {
        let definitions = body.as_array().ok_or_else(|| bad("The body must be an array."))?;
        for definition in definitions {
            let name = definition.get("name").and_then(Value::as_str).filter(|name| is_graph_name(name));
            let name = name.ok_or_else(|| bad("Invalid graph name."))?;
            if let Some(unit) = definition.get("unit") {
                unit.as_str().filter(|unit| UNITS.contains(unit)).ok_or_else(|| bad("Invalid unit."))?;
            }
            let metrics = definition.get("metrics").and_then(Value::as_array);
            for metric in metrics.ok_or_else(|| bad("metrics must be an array."))? {
                let metric = metric.get("name").and_then(Value::as_str).filter(|name| is_graph_name(name));
                let inside = metric.and_then(|metric| metric.strip_prefix(name)).is_some_and(|m| m.starts_with('.'));
                if !inside {
                    return Err(bad("Invalid metric name."));
                }
            }
        }
        for definition in definitions {
            let name = definition.get("name").and_then(Value::as_str).unwrap_or_default();
            self.graph_defs.insert(name.to_owned(), definition.clone());
        }
        Ok(success())
    }

    /// At most 100 reports, all well-formed, or a 400. Six hours old: ignored; the same time as the last report of
    /// the check or older: ignored (the Japanese page's rule).
    pub(super) fn report_checks(&mut self, body: &Value, now: i64) -> Answer {
        let reports = body.get("reports").and_then(Value::as_array).filter(|reports| reports.len() <= 100);
        let reports = reports.ok_or_else(|| bad("reports must be an array of at most 100."))?;
        let keys = reports.iter().map(|report| self.report_key(report)).collect::<Result<Vec<_>, _>>()?;
        for (report, (key, time)) in reports.iter().zip(keys) {
            if now - time >= 6 * HOUR || self.last_report.get(&key).is_some_and(|last| time <= *last) {
                self.ignored_reports += 1;
                continue;
            }
            self.last_report.insert(key, time);
            self.reports.push(report.clone());
        }
        Ok(success())
    }

    fn report_key(&self, report: &Value) -> Result<((String, String), i64), Response> {
        let text = |name: &str| report.get(name).and_then(Value::as_str);
        let source = report.get("source").filter(|source| source.get("type") == Some(&json!("host")));
        let host = source.and_then(|source| source.get("hostId")).and_then(Value::as_str);
        let host = host.ok_or_else(|| bad("Invalid source."))?;
        self.host(host)?;
        let name = text("name").filter(|name| is_word(name, "_-")).ok_or_else(|| bad("Invalid name."))?;
        text("status")
            .filter(|status| ["OK", "CRITICAL", "WARNING", "UNKNOWN"].contains(status))
            .ok_or_else(|| bad("Invalid status."))?;
        text("message")
            .filter(|message| message.chars().count() <= 1024)
            .ok_or_else(|| bad("message must be a string of at most 1024 characters."))?;
        let time = report.get("occurredAt").and_then(Value::as_i64).ok_or_else(|| bad("Invalid occurredAt."))?;
        if report.get("maxCheckAttempts").is_some_and(|n| !n.as_i64().is_some_and(|n| (1..=10).contains(&n))) {
            return Err(bad("Invalid maxCheckAttempts."));
        }
        if report.get("notificationInterval").is_some_and(|n| n.as_u64().is_none()) {
            return Err(bad("Invalid notificationInterval."));
        }
        Ok(((host.to_owned(), name.to_owned()), time))
    }

    pub(super) fn list_metadata(&self, id: &str) -> Answer {
        self.host(id)?;
        let of_host = self.metadata.keys().filter(|(host, _)| host == id);
        let names: Vec<Value> = of_host.map(|(_, namespace)| json!({ "namespace": namespace })).collect();
        Ok(Response::json(200, &json!({ "metadata": names })))
    }

    pub(super) fn get_metadata(&self, id: &str, namespace: &str) -> Answer {
        self.host(id)?;
        let entry = self.metadata.get(&(id.to_owned(), namespace.to_owned()));
        let (value, time) = entry.ok_or_else(|| refuse(404, "Metadata Not Found."))?;
        Ok(Response::json(200, value).with_header("Last-Modified", &http_date(*time)))
    }

    /// Over 100 KB: 413. A bad or reserved namespace, a 51st one, a retired host: 400. The last writer wins.
    pub(super) fn put_metadata(&mut self, id: &str, namespace: &str, request: &Request, now: i64) -> Answer {
        self.live_host(id)?;
        if request.body.len() > METADATA_LIMIT {
            return Err(refuse(413, "Metadata is too large."));
        }
        let value = request.json()?;
        if !is_word(namespace, "-_") || namespace.starts_with("mackerel") {
            return Err(bad("Invalid namespace."));
        }
        let key = (id.to_owned(), namespace.to_owned());
        let count = self.metadata.keys().filter(|(host, _)| host == id).count();
        if count >= 50 && !self.metadata.contains_key(&key) {
            return Err(bad("Too many namespaces."));
        }
        self.metadata.insert(key, (value, now));
        Ok(success())
    }

    pub(super) fn delete_metadata(&mut self, id: &str, namespace: &str) -> Answer {
        self.live_host(id)?;
        let old = self.metadata.remove(&(id.to_owned(), namespace.to_owned()));
        old.map(|_| success()).ok_or_else(|| refuse(404, "Metadata Not Found."))
    }
}

/// `custom.` and then parts of `[-a-zA-Z0-9_]+`, or a lone `*` or `#`.
fn is_graph_name(name: &str) -> bool {
    name.strip_prefix("custom.")
        .is_some_and(|rest| rest.split('.').all(|part| part == "*" || part == "#" || is_word(part, "-_")))
}
