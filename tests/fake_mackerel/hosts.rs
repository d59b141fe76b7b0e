//! The rules for hosts.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{json, Value};

use super::http::{percent_decode, Request, Response};
use super::service::{is_word, refuse, success, Answer, Host, State};

const STATUSES: [&str; 4] = ["working", "standby", "maintenance", "poweroff"];

impl Host {
    fn to_json(&self) -> Value {
        let part = |name: &str, default: Value| self.body.get(name).cloned().unwrap_or(default);
        json!({
            "id": self.id,
            "name": self.name,
            "displayName": self.display_name,
            "customIdentifier": self.custom_identifier,
            "meta": part("meta", json!({})),
            "interfaces": part("interfaces", json!([])),
            "memo": part("memo", json!("")),
            "size": "standard",
            "status": self.status,
            "roles": self.roles,
            "isRetired": self.retired_at.is_some(),
            "retiredAt": self.retired_at,
            "createdAt": self.created_at,
        })
    }

    /// Takes the body of a POST or PUT. A customIdentifier that is absent is kept; null or "" erases it.
    fn take(&mut self, spec: Spec, body: &Value) {
        self.body = body.clone();
        self.name = spec.name;
        self.display_name = spec.display_name.or(self.display_name.take());
        if let Some(identifier) = spec.custom_identifier {
            self.custom_identifier = identifier;
        }
        for (service, role) in spec.roles {
            self.roles.entry(service).or_default().insert(role);
        }
    }
}

/// The body of a POST or PUT, checked.
struct Spec {
    name: String,
    display_name: Option<String>,
    custom_identifier: Option<Option<String>>,
    roles: BTreeSet<(String, String)>,
}

impl Spec {
    /// Any fault of form is a 400; so is a check's name that is not `[a-zA-Z0-9_-]+`.
    fn read(body: &Value) -> Result<Self, Response> {
        let bad = |what: &str| refuse(400, &format!("{what} is missing or malformed."));
        let name = body.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| bad("name"))?.to_owned();
        body.get("meta").filter(|meta| meta.is_object()).ok_or_else(|| bad("meta"))?;
        let custom_identifier = match body.get("customIdentifier") {
            None => None,
            Some(Value::Null) => Some(None),
            Some(Value::String(text)) => Some(Some(text.clone()).filter(|text| !text.is_empty())),
            Some(_) => return Err(bad("customIdentifier")),
        };
        let display_name = match body.get("displayName") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(_) => return Err(bad("displayName")),
        };
        let mut roles = BTreeSet::new();
        for role in list(body, "roleFullnames")? {
            let (service, role) = role.as_str().and_then(|r| r.split_once(':')).ok_or_else(|| bad("roleFullnames"))?;
            let (service, role) = (service.trim(), role.trim());
            if !is_role_part(service) || !is_role_part(role) {
                return Err(bad("roleFullnames"));
            }
            roles.insert((service.to_owned(), role.to_owned()));
        }
        for check in list(body, "checks")? {
            let name = check.get("name").and_then(Value::as_str);
            name.filter(|name| is_word(name, "_-")).ok_or_else(|| bad("checks"))?;
        }
        for interface in list(body, "interfaces")? {
            interface.get("name").and_then(Value::as_str).ok_or_else(|| bad("interfaces"))?;
        }
        Ok(Self { name, display_name, custom_identifier, roles })
    }
}

fn list<'a>(body: &'a Value, name: &str) -> Result<&'a [Value], Response> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(values)) => Ok(values),
        Some(_) => Err(refuse(400, &format!("{name} must be an array."))),
    }
}

fn is_role_part(text: &str) -> bool {
    (2..=63).contains(&text.len()) && is_word(text, "-_") && !text.starts_with(['-', '_'])
}

impl State {
    pub(super) fn create_host(&mut self, body: &Value, now: i64) -> Answer {
        let spec = Spec::read(body)?;
        self.check_identifier(&spec, None)?;
        let id = new_id(self.hosts.len());
        let mut host = Host { id: id.clone(), status: "working".to_owned(), created_at: now, ..Host::default() };
        host.take(spec, body);
        self.hosts.insert(id.clone(), host);
        Ok(Response::json(200, &json!({"id": id})))
    }

    pub(super) fn get_host(&self, id: &str) -> Answer {
        Ok(Response::json(200, &json!({"host": self.host(id)?.to_json()})))
    }

    pub(super) fn update_host(&mut self, id: &str, body: &Value) -> Answer {
        self.live_host(id)?;
        let spec = Spec::read(body)?;
        self.check_identifier(&spec, Some(id))?;
        let host = self.live_host(id)?;
        host.take(spec, body);
        host.puts += 1;
        Ok(Response::json(200, &json!({"id": id})))
    }

    /// A custom identifier that another living host has is a 400 (the real status is not documented).
    fn check_identifier(&self, spec: &Spec, own_id: Option<&str>) -> Result<(), Response> {
        let Some(Some(identifier)) = &spec.custom_identifier else { return Ok(()) };
        let taken = self
            .living()
            .any(|host| host.custom_identifier.as_ref() == Some(identifier) && Some(host.id.as_str()) != own_id);
        if taken {
            return Err(refuse(400, "customIdentifier is already in use."));
        }
        Ok(())
    }

    fn living(&self) -> impl Iterator<Item = &Host> {
        self.hosts.values().filter(|host| host.retired_at.is_none())
    }

    /// Without `status` only working and standby; retired hosts never.
    pub(super) fn list_hosts(&self, request: &Request) -> Response {
        let mut wanted: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        let query = request.query_pairs();
        for (name, value) in &query {
            wanted.entry(name).or_default().push(value.clone());
        }
        wanted.entry("status").or_insert_with(|| vec!["working".to_owned(), "standby".to_owned()]);
        let has = |name: &str, value: Option<&String>| {
            wanted.get(name).is_none_or(|values| value.is_some_and(|value| values.contains(value)))
        };
        let found: Vec<Value> = self
            .living()
            .filter(|host| {
                has("name", Some(&host.name))
                    && has("status", Some(&host.status))
                    && has("customIdentifier", host.custom_identifier.as_ref())
            })
            .map(Host::to_json)
            .collect();
        Response::json(200, &json!({ "hosts": found }))
    }

    pub(super) fn host_by_identifier(&self, request: &Request, identifier: &str) -> Answer {
        let identifier = percent_decode(identifier);
        let fold = request.query_pairs().iter().any(|(name, value)| name == "caseInsensitive" && value == "true");
        let is_it = |host: &&Host| {
            host.custom_identifier
                .as_deref()
                .is_some_and(|own| own == identifier || (fold && own.to_lowercase() == identifier.to_lowercase()))
        };
        let oldest = self.living().filter(is_it).min_by_key(|host| host.created_at);
        let host = oldest.ok_or_else(|| refuse(404, "Host Not Found."))?;
        Ok(Response::json(200, &json!({"host": host.to_json()})))
    }

    pub(super) fn set_status(&mut self, id: &str, body: &Value) -> Answer {
        let host = self.live_host(id)?;
        let status = body.get("status").and_then(Value::as_str).filter(|status| STATUSES.contains(status));
        host.status = status.ok_or_else(|| refuse(400, "Invalid status."))?.to_owned();
        Ok(success())
    }

    pub(super) fn retire(&mut self, id: &str, now: i64) -> Answer {
        self.live_host(id)?.retired_at = Some(now);
        Ok(success())
    }
}

/// The id of the `n`-th host: always the same, eleven characters of base 62.
fn new_id(n: usize) -> String {
    const DIGITS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    // splitmix64
    let mut x = (n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^= x >> 31;
    let mut id = String::new();
    for _ in 0..11 {
        id.push(char::from(DIGITS[usize::try_from(x % 62).unwrap()]));
        x /= 62;
    }
    id
}
