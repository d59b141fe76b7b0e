//! The plugin tables of the agent's file, checked; this version runs no plugins.
//!
//! As in the agent every group takes the keys of all, and their types are checked. Names and memos of checks are kept:
//! the service deletes check monitors that a host does not name any more.

use super::table::{Table, Value};
use super::{minutes, pattern, CheckMonitor};

/// The groups that run something, and so need a command.
const GROUPS: [&str; 3] = ["metrics", "checks", "metadata"];

/// The most characters of a check's memo that the service takes.
const MEMO_CHARS: usize = 250;

/// Checks `[plugin.GROUP.NAME]` for every group and name, and adds the monitors of checks to `monitors`.
pub(super) fn check(plugin: &Value<'_>, monitors: &mut Vec<CheckMonitor>) {
    let Some(mut groups) = plugin.table() else { return };
    for group in groups.take_all() {
        let is_run = GROUPS.iter().any(|name| name.eq_ignore_ascii_case(group.name));
        let Some(mut plugins) = group.table() else { continue };
        if is_run {
            group.ignored("this version runs no plugins");
        } else {
            group.ignored("plugins are metrics, checks or metadata");
        }
        for plugin in plugins.take_all() {
            let Some(mut keys) = plugin.table() else { continue };
            let has_command = command(&mut keys);
            if is_run && !has_command {
                plugin.wrong::<()>("command is missing");
            }
            let memo = check_plugin(&mut keys);
            keys.finish();
            if let Some(memo) = memo.filter(|_| group.name.eq_ignore_ascii_case("checks")) {
                // A later file replaces a plugin of the same name.
                monitors.retain(|monitor| monitor.name != plugin.name);
                let memo = memo.chars().take(MEMO_CHARS).collect();
                monitors.push(CheckMonitor { name: plugin.name.to_owned(), memo });
            }
        }
    }
}

/// Checks the keys of a plugin; its memo, unless it watches another host.
fn check_plugin<'t>(keys: &mut Table<'t>) -> Option<&'t str> {
    for key in ["check_interval", "notification_interval", "execution_interval"] {
        keys.take(key).and_then(|value| duration(&value));
    }
    for key in ["prevent_alert_auto_close", "use_plugin_timestamp"] {
        keys.boolean(key);
    }
    let watches_another = keys.string("custom_identifier").is_some_and(|identifier| !identifier.is_empty());
    let memo = keys.string("memo").unwrap_or_default();
    for key in ["include_pattern", "exclude_pattern"] {
        keys.take(key).and_then(|value| regex(&value));
    }
    if let Some(attempts) = keys.take("max_check_attempts") {
        let count = attempts.integer();
        if count.is_some_and(|count| i32::try_from(count).is_err()) {
            attempts.expected::<()>("an integer of 32 bits");
        }
    }
    if let Some(mut action) = keys.table("action") {
        command(&mut action);
        action.finish();
    }
    (!watches_another).then_some(memo)
}

/// Checks the keys of what is run; whether there is a `command`.
fn command(keys: &mut Table<'_>) -> bool {
    let command = keys.take("command");
    if let Some(command) = command.as_ref().filter(|command| !command.is_string()) {
        let expected = "a string or an array of strings";
        let elements = command.elements(expected);
        if elements.as_ref().is_some_and(Vec::is_empty) {
            command.wrong::<()>("expected at least the name of a program, found an empty array");
        }
        for element in elements.unwrap_or_default() {
            element.string();
        }
    }
    keys.string("user");
    keys.take("timeout_seconds").and_then(|value| value.integer());
    // The values may be passwords.
    let env = keys.take("env").and_then(|env| env.secret().table());
    for variable in env.map(|mut env| env.take_all()).unwrap_or_default() {
        if variable.name.contains('=') {
            variable.wrong::<()>("the name of an environment variable cannot hold \"=\"");
        }
        variable.secret().string();
    }
    command.is_some()
}

fn duration(value: &Value<'_>) -> Option<u32> {
    let expected = "whole minutes, as a number or as in \"1h30m\"";
    minutes::parse(&value.text(expected)?).or_else(|| value.expected(expected))
}

/// The regular expression; a mistake when it is none.
pub(super) fn regex(value: &Value<'_>) -> Option<regex_lite::Regex> {
    let text = value.text("a regular expression")?;
    match pattern::compile(&text) {
        Ok(regex) => Some(regex),
        Err(error) => value.wrong(&format!("not a regular expression: {error}: {}", value.shown())),
    }
}
