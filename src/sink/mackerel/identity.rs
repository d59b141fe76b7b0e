//! Which host this is: the id file, the custom identifier, registration.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use ureq::http::Method;

use super::{json, Mackerel};
use crate::sink::Failure;

/// The longest id that is believed; the service's have 11 characters.
const MAX_ID_BYTES: usize = 64;

/// The host id kept in `<root>/id`, if there is one. mackerel-agent and `mkr` read the same file.
///
/// # Errors
/// When the file is there and cannot be read: nobody may take that for an unregistered host.
pub(super) fn read(root: &Path) -> io::Result<Option<String>> {
    let text = match fs::read_to_string(root.join("id")) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let id = text.trim_end_matches(['\r', '\n']);
    if id.bytes().any(|byte| !byte.is_ascii_alphanumeric()) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("not a host id: {id:?}")));
    }
    Ok(Some(id.to_owned()).filter(|id| !id.is_empty()))
}

/// A file that will become the id file: made before an id is asked for, because an id that cannot be kept would be
/// asked for again and again, a new host each time.
struct Reserved {
    file: File,
    root: PathBuf,
}

impl Reserved {
    fn new(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        let mut file = File::create(root.join("id.tmp"))?;
        // Room for any id, so that a full disk says so now.
        file.write_all(&[b'-'; MAX_ID_BYTES])?;
        file.sync_all()?;
        Ok(Self { file, root: root.to_owned() })
    }

    /// Writes the id so that a power cut leaves either no id file or the whole of it.
    fn keep(self, id: &str) -> io::Result<()> {
        self.file.write_all_at(id.as_bytes(), 0)?;
        self.file.set_len(id.len() as u64)?;
        self.file.sync_all()?;
        fs::rename(self.root.join("id.tmp"), self.root.join("id"))?;
        File::open(&self.root)?.sync_all()
    }
}

impl Mackerel {
    /// The host's id, registering it where it has none.
    pub(super) fn identify(&mut self) -> Result<String, Failure> {
        if let (Some(id), true) = (&self.host_id, self.is_confirmed) {
            return Ok(id.clone());
        }
        let path = self.config.root.join("id");
        let known = read(&self.config.root)
            .map_err(|error| Failure::Denied { reason: format!("read {}: {error}", path.display()) })?;
        let id = match known.or_else(|| self.host_id.clone()) {
            Some(id) => {
                self.adopt(&id)?;
                id
            }
            None => {
                let reserved = Reserved::new(&self.config.root).map_err(|error| Failure::Denied {
                    reason: format!("not registering, because {} cannot be written: {error}", path.display()),
                })?;
                let id = self.register()?;
                if let Err(error) = reserved.keep(&id) {
                    log::error!("write {}: {error}; the next start registers another host", path.display());
                }
                id
            }
        };
        self.host_id = Some(id.clone());
        self.is_confirmed = true;
        log::info!("mackerel: this is host {id} of {}", self.config.api_base_shown());
        Ok(id)
    }

    /// Checks that host `id` is ours.
    fn adopt(&mut self, id: &str) -> Result<(), Failure> {
        let path = self.config.root.join("id");
        let answer = self.client.call(&Method::GET, &format!("/api/v0/hosts/{id}"), &[]);
        let answer = answer.map_err(|failure| match failure {
            Failure::Denied { reason } => Failure::Denied {
                reason: format!("{reason} ({} says host {id}; remove it to register anew)", path.display()),
            },
            other => other,
        })?;
        let Some(host) = answer.get("host").filter(|host| host.is_object()) else {
            return Err(Failure::later("the answer about the host has no host in it"));
        };
        if host.get("isRetired").and_then(Value::as_bool) == Some(true) {
            let reason = format!("host {id} is retired; remove {} to register a new one", path.display());
            return Err(Failure::Denied { reason });
        }
        let theirs = host.get("customIdentifier").and_then(Value::as_str).filter(|text| !text.is_empty());
        match (&self.config.custom_identifier, theirs) {
            (Some(ours), Some(theirs)) if ours != theirs => Err(Failure::Denied {
                reason: format!(
                    "host {id} has custom identifier {theirs:?} and this one {ours:?}: was the disk copied? \
                     Remove {} to register this one",
                    path.display()
                ),
            }),
            (_, theirs) => {
                self.known_identifier = theirs.map(str::to_owned);
                Ok(())
            }
        }
    }

    /// Finds the host by its custom identifier, or makes a new one.
    fn register(&self) -> Result<String, Failure> {
        if let Some(identifier) = &self.config.custom_identifier {
            let statuses = "status=working&status=standby&status=maintenance&status=poweroff";
            let path = format!("/api/v0/hosts?customIdentifier={}&{statuses}", query_escaped(identifier));
            let answer = self.client.call(&Method::GET, &path, &[])?;
            let Some(hosts) = answer.get("hosts").and_then(Value::as_array) else {
                return Err(Failure::later("the answer about hosts has no list in it"));
            };
            if let Some(id) = hosts.first().and_then(id_in) {
                log::info!("mackerel: found this host by its custom identifier: {id}");
                return Ok(id);
            }
        }
        let answer = self.client.call(&Method::POST, "/api/v0/hosts", &json(&self.spec()?)?)?;
        let id = id_in(&answer).ok_or_else(|| Failure::later("the answer to a registration has no id in it"))?;
        log::info!("mackerel: registered as host {id}");
        Ok(id)
    }
}

fn id_in(value: &Value) -> Option<String> {
    let id = value.get("id")?.as_str()?;
    let is_id = !id.is_empty() && id.len() <= MAX_ID_BYTES && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_id.then(|| id.to_owned())
}

/// `text` for the query of a URL (RFC 3986: everything but the unreserved characters).
fn query_escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_file_is_mackerel_agents() {
        let root = std::env::temp_dir().join(format!("iwashi-identity-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        assert_eq!(read(&root).unwrap(), None);
        Reserved::new(&root).unwrap().keep("2eQGEaLxibb").unwrap();
        assert_eq!(fs::read(root.join("id")).unwrap(), b"2eQGEaLxibb");
        fs::write(root.join("id"), "abc\r\n").unwrap();
        assert_eq!(read(&root).unwrap().as_deref(), Some("abc"));
        fs::write(root.join("id"), "").unwrap();
        assert_eq!(read(&root).unwrap(), None);
        fs::write(root.join("id"), "../../etc\n").unwrap();
        assert!(read(&root).is_err());
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn identifiers_are_escaped() {
        assert_eq!(query_escaped("i-0a.ec2 &=é"), "i-0a.ec2%20%26%3D%C3%A9");
    }
}
