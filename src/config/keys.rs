//! What each key means: one file's tables applied to the configuration so far.

use std::time::Duration;

use super::table::{Table, Value};
use super::{plugin, size, url, ApiKey, Config, HostStatus, SpoolSettings};

/// The values of `cloud_platform`; none of them has an effect yet.
const CLOUD_PLATFORMS: [&str; 6] = ["", "auto", "none", "ec2", "gce", "azurevm"];

/// Applies a file to `config`. What it does not mention keeps its value. Gives its `include`.
pub(super) fn apply<'t>(config: &mut Config, mut root: Table<'t>, known_sensors: &[&'t str]) -> Option<Value<'t>> {
    identity(config, &mut root);
    network(config, &mut root);
    set(&mut config.verbose, root.boolean("verbose"));
    set(&mut config.silent, root.boolean("silent"));
    if let Some(mut status) = root.table("host_status") {
        set(&mut config.on_start, status.take("on_start").and_then(|value| host_status(&value)));
        set(&mut config.on_stop, status.take("on_stop").and_then(|value| host_status(&value)));
        status.finish();
    }
    ignores(config, &mut root);
    if let Some(table) = root.table("spool") {
        spool(&mut config.spool, table);
    }
    if let Some(table) = root.table("sensors") {
        sensors(&mut config.sensors.disabled, table, known_sensors);
    }
    if let Some(value) = root.take("plugin") {
        plugin::check(&value, &mut config.checks);
    }
    without_effect(&mut root);
    let include = root.take("include");
    root.finish();
    include
}

fn identity(config: &mut Config, root: &mut Table<'_>) {
    set(&mut config.api_key, root.take("apikey").and_then(|value| api_key(&value)));
    set(&mut config.root, root.path("root").map(|path| path.unwrap_or_else(|| Config::DEFAULT_ROOT.into())));
    set(&mut config.pidfile, root.path("pidfile"));
    set(&mut config.roles, root.take("roles").and_then(|value| roles(&value)));
    set(&mut config.display_name, root.string("display_name").map(non_empty));
    set(&mut config.custom_identifier, root.string("custom_identifier").map(non_empty));
}

fn network(config: &mut Config, root: &mut Table<'_>) {
    set(&mut config.api_base, root.take("apibase").and_then(|value| api_base(&value)));
    set(&mut config.proxy.http, root.string("http_proxy").map(non_empty));
    set(&mut config.proxy.https, root.string("https_proxy").map(non_empty));
    set(&mut config.keep_alive, root.boolean("disable_http_keep_alive").map(|is_disabled| !is_disabled));
    set(&mut config.ca_file, root.path("ca_file"));
}

fn ignores(config: &mut Config, root: &mut Table<'_>) {
    if let Some(mut table) = root.table("filesystems") {
        set(&mut config.sensors.filesystems_ignore, table.take("ignore").and_then(|value| ignore(&value)));
        set(&mut config.use_mountpoint, table.boolean("use_mountpoint"));
        table.finish();
    }
    if let Some(mut table) = root.table("disks") {
        set(&mut config.sensors.disks_ignore, table.take("ignore").and_then(|value| ignore(&value)));
        table.finish();
    }
    if let Some(mut table) = root.table("interfaces") {
        set(&mut config.sensors.interfaces_ignore, table.take("ignore").and_then(|value| ignore(&value)));
        table.boolean("use_adapter"); // of Windows
        table.finish();
    }
}

/// An empty pattern is one that matches everything, as in the agent, but hardly meant so.
fn ignore(value: &Value<'_>) -> Option<Option<regex_lite::Regex>> {
    let regex = plugin::regex(value)?;
    if regex.as_str().is_empty() {
        value.warn("an empty pattern matches everything, so all of them are left out");
    }
    Some(Some(regex))
}

fn spool(settings: &mut SpoolSettings, mut table: Table<'_>) {
    set(&mut settings.path, table.path("path"));
    set(&mut settings.max_size, table.take("max_size").and_then(|value| max_size(&value)));
    set(&mut settings.sync_interval, table.take("sync_interval").and_then(|value| sync_interval(&value)));
    table.finish();
}

fn max_size(value: &Value<'_>) -> Option<u64> {
    let expected = "a size with a unit such as \"64 MiB\"";
    if !value.is_string() {
        return value.expected(expected);
    }
    let bytes = size::parse(value.string()?).or_else(|| value.expected(expected))?;
    if bytes < SpoolSettings::MIN_SIZE {
        return value.expected(&format!("at least {}", size::show(SpoolSettings::MIN_SIZE)));
    }
    Some(bytes)
}

fn sync_interval(value: &Value<'_>) -> Option<Duration> {
    let seconds = value.integer()?;
    let seconds = u64::try_from(seconds).ok().filter(|seconds| *seconds <= SpoolSettings::MAX_SYNC_SECONDS);
    let expected = || format!("seconds from 0 to {}", SpoolSettings::MAX_SYNC_SECONDS);
    seconds.map(Duration::from_secs).or_else(|| value.expected(&expected()))
}

fn sensors<'t>(disabled: &mut Vec<String>, mut table: Table<'t>, known_sensors: &[&'t str]) {
    for name in known_sensors {
        let Some(is_enabled) = table.boolean(name) else { continue };
        disabled.retain(|other| other != name);
        if !is_enabled {
            disabled.push((*name).to_string());
        }
    }
    table.finish();
}

/// Keys of the agent that change nothing here, of its other systems, or of its older versions.
fn without_effect(root: &mut Table<'_>) {
    root.string("conffile");
    root.boolean("diagnostic");
    if let Some(value) = root.take("cloud_platform") {
        let expected = "auto, none, ec2, gce or azurevm";
        if let Some(text) = value.text(expected).filter(|text| !CLOUD_PLATFORMS.contains(&&**text)) {
            value.wrong::<()>(&format!("expected {expected}, found {text:?}"));
        }
    }
    root.take("connection");
    root.take("sensu");
}

fn api_key(value: &Value<'_>) -> Option<Option<ApiKey>> {
    let text = value.string()?;
    let key = ApiKey::new(text);
    if key.is_none() && !text.is_empty() {
        return value.wrong("expected visible ASCII characters alone, as it is sent in a header");
    }
    Some(key)
}

fn api_base(value: &Value<'_>) -> Option<String> {
    let text = value.string()?;
    if text.is_empty() {
        return Some(Config::DEFAULT_API_BASE.into());
    }
    url::base(text).or_else(|| value.wrong(&not_a_url(text)))
}

/// What is said of `text` when it is no base URL.
pub(super) fn not_a_url(text: &str) -> String {
    format!("expected an http:// or https:// URL, found {:?}", url::redact(text))
}

fn roles(value: &Value<'_>) -> Option<Vec<String>> {
    let expected = "an array of strings such as [\"service:role\"]";
    let elements = value.elements(expected)?;
    let mut roles = Vec::new();
    for (element, role) in elements.iter().filter_map(|element| Some((element, element.string()?))) {
        if is_role(role) {
            roles.push(role.to_string());
        } else {
            element.ignored(&not_a_role(&element.shown()));
        }
    }
    Some(roles)
}

/// Why a role is dropped.
pub(super) fn not_a_role(shown: &str) -> String {
    format!("expected \"service:role\" of letters, digits, - and _, found {shown}")
}

/// Whether `text` is `service:role` as the agent takes it; spaces may follow the colon, and are kept.
pub(super) fn is_role(text: &str) -> bool {
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    let go_spaces = ['\t', '\n', '\x0C', '\r', ' '];
    text.split_once(':').is_some_and(|(service, role)| is_name(service) && is_name(role.trim_start_matches(go_spaces)))
}

fn host_status(value: &Value<'_>) -> Option<Option<HostStatus>> {
    let text = value.string()?;
    if text.is_empty() {
        return Some(None);
    }
    let status = HostStatus::ALL.into_iter().find(|status| status.as_str() == text);
    status.map(Some).or_else(|| value.expected("working, standby, maintenance or poweroff"))
}

fn non_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_string())
}

fn set<T>(slot: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *slot = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_two_names_and_may_have_spaces_after_the_colon() {
        for role in ["a:b", "Svc: db", "0-_:\t 9", "a:b-c_d"] {
            assert!(is_role(role), "{role:?}");
        }
        for role in ["", ":", "a:", ":b", "a", "-a:b", "a:_b", "a :b", "a:b ", "a:b:c", "a:b\n", "鰯:b", "a: :b"] {
            assert!(!is_role(role), "{role:?}");
        }
    }
}
