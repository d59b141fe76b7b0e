//! Whole configuration files: what is accepted and how it reads, what is refused and what is said of it.
//!
//! `UPDATE=1 cargo test --test config` rewrites the `.err` and `.warn` files; review their diff.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "the helpers of tests fail the test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use iwashi::config::{ApiKey, Config, HostStatus, Kind, Loaded, Mistake, Overrides};
use proptest::prelude::*;

const SENSORS: [&str; 3] = ["cpu", "disk", "memory"];

fn fixtures(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new("tests/fixtures/config").join(folder);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.is_file() && path.extension().is_some_and(|extension| extension == "conf"));
    files.sort();
    files
}

fn load(name: &str) -> Loaded {
    let path = Path::new("tests/fixtures/config").join(name);
    Config::load(&path, &SENSORS, &Overrides::default()).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn lines(mistakes: &[Mistake]) -> String {
    mistakes.iter().map(|mistake| format!("{mistake}\n")).collect()
}

fn assert_golden(path: &Path, extension: &str, text: &str) {
    assert!(!text.contains("SECRET"), "{}: a secret in a message:\n{text}", path.display());
    let golden = path.with_extension(extension);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&golden, text).unwrap();
    }
    let expected = fs::read_to_string(&golden).unwrap_or_default();
    assert_eq!(text, expected, "{} differs; UPDATE=1 rewrites it", golden.display());
}

#[test]
fn every_bad_file_is_refused_with_all_its_mistakes() {
    for path in fixtures("bad") {
        let mistakes = Config::load(&path, &SENSORS, &Overrides::default()).unwrap_err();
        assert_golden(&path, "err", &format!("{mistakes}\n"));
        assert_eq!(format!("{mistakes}\n"), lines(&mistakes.mistakes));
        assert!(!format!("{mistakes:?}").contains("SECRET"), "{mistakes:?}");
    }
}

#[test]
fn every_ok_file_is_accepted_with_its_warnings() {
    for path in fixtures("ok") {
        let loaded = Config::load(&path, &SENSORS, &Overrides::default());
        let loaded = loaded.unwrap_or_else(|mistakes| panic!("{mistakes}"));
        assert_golden(&path, "warn", &lines(&loaded.warnings));
        assert!(!format!("{loaded:?}").contains("SECRET"), "{loaded:?}");
    }
}

#[test]
fn the_agents_own_fixture_reads_as_the_agent_reads_it() {
    let Loaded { config, warnings } = load("ok/appendix_b.conf");
    assert_eq!(config.api_key.as_ref().map(ApiKey::expose), Some("k"));
    assert_eq!(config.roles, ["Svc:app", "Svc: db"]);
    assert!(config.use_mountpoint);
    assert!(config.sensors.filesystems_ignore.unwrap().is_match("/dev/loop0"));
    assert_eq!(config.root, Path::new("/var/lib/mackerel-agent"));
    let unknown: Vec<_> = warnings.iter().filter(|warning| warning.kind == Kind::UnknownKey).collect();
    assert_eq!(unknown.len(), 1);
    assert_eq!(unknown[0].key.as_deref(), Some("unknown_key"));
}

#[test]
fn every_key_of_ours_is_read() {
    let config = load("ok/our_tables.conf").config;
    assert_eq!(config.api_key.as_ref().unwrap().expose(), "SECRET-key-1234");
    assert_eq!(config.api_base, "https://user:SECRET-pw@api.example.com:8443");
    assert_eq!(config.spool_path(), Path::new("/data/iwashi/frames"));
    assert_eq!(config.pidfile.as_deref(), Some(Path::new("/run/iwashi.pid")));
    assert_eq!(config.display_name.as_deref(), Some("鰯 3号"));
    assert!(config.verbose && !config.silent, "verbose wins");
    assert_eq!(config.proxy.http.as_deref(), Some("http://user:SECRET-pw@proxy:3128"));
    assert_eq!(config.proxy.https.as_deref(), Some("direct"));
    assert!(!config.keep_alive);
    assert_eq!(config.ca_file.as_deref(), Some(Path::new("/etc/iwashi/ca.pem")));
    assert_eq!(config.custom_identifier.as_deref(), Some("board-7.example.com"));
    assert_eq!(config.on_start, Some(HostStatus::Working));
    assert_eq!(config.on_stop, Some(HostStatus::Poweroff));
    assert_eq!((config.spool.max_size, config.spool.sync_interval), (512 << 10, Duration::from_secs(90)));
    assert_eq!(config.sensors.disabled, ["disk"]);
    assert!(config.sensors.disks_ignore.unwrap().is_match("loop0"));
    let interfaces = config.sensors.interfaces_ignore.unwrap();
    assert!(interfaces.is_match("veth.0") && !interfaces.is_match("veth00") && interfaces.is_match("{x"));
}

#[test]
fn check_monitors_are_kept_for_the_host_and_those_of_other_hosts_are_not() {
    let text = b"[plugin.checks.ssh]\ncommand = 'c'\nmemo = 'port 22'\n[plugin.checks.db]\ncommand = 'c'\n\
        custom_identifier = 'db.example'\n[plugin.metrics.m]\ncommand = 'c'\n";
    let config = Config::parse(text, Path::new("a.conf"), &[]).unwrap().config;
    let found: Vec<_> = config.checks.iter().map(|check| (check.name.as_str(), check.memo.as_str())).collect();
    assert_eq!(found, [("ssh", "port 22")]);
}

#[test]
fn an_empty_file_gives_the_defaults() {
    let config = load("ok/empty.conf").config;
    assert_eq!(config.file.as_deref(), Some(Path::new("tests/fixtures/config/ok/empty.conf")));
    assert_eq!(config.api_key, None);
    assert_eq!(config.api_base, "https://api.mackerelio.com");
    assert_eq!(config.spool_path(), Path::new("/var/lib/mackerel-agent/spool"));
    assert_eq!((config.spool.max_size, config.spool.sync_interval), (64 << 20, Duration::ZERO));
    assert!(config.keep_alive && !config.verbose && !config.silent && !config.use_mountpoint);
    assert_eq!((config.pidfile, config.on_start, config.on_stop), (None, None, None));
    assert_eq!(Config::without_file("/x".into()).spool_path(), Path::new("/x/spool"));
}

#[test]
fn included_files_override_in_the_order_of_their_names() {
    let config = load("ok/including.conf").config;
    assert_eq!(config.display_name.as_deref(), Some("two"), "10.conf comes before 2.conf");
    assert_eq!(config.roles, ["e:f"], "roles are replaced as a whole");
    assert_eq!(config.spool.max_size, 2 << 20);
    assert_eq!(config.spool.path.as_deref(), Some(Path::new("main")), "tables merge key by key");
    assert_eq!(config.sensors.disabled, ["disk"]);
    assert_eq!(config.api_key.unwrap().expose(), "SECRET-key-1234");
}

#[test]
fn an_absent_file_and_one_that_is_too_large_are_mistakes() {
    let path = std::env::temp_dir().join(format!("iwashi-config-{}.conf", std::process::id()));
    let read = || Config::load(&path, &SENSORS, &Overrides::default());
    let absent = read().unwrap_err().mistakes;
    assert_eq!((absent.len(), absent[0].kind), (1, Kind::Unreadable));
    fs::write(&path, vec![b'\n'; 1 << 20]).unwrap();
    assert!(read().is_ok());
    fs::write(&path, vec![b'\n'; (1 << 20) + 1]).unwrap();
    let large = read().unwrap_err();
    assert_eq!(large.to_string(), format!("{}: read: larger than 1 MiB", path.display()));
    fs::remove_file(&path).unwrap();
}

#[test]
fn the_command_line_overrides_the_file() {
    let overrides = Overrides {
        api_key: ApiKey::new("SECRET-flag"),
        api_base: Some("http://127.0.0.1:9/x".into()),
        root: Some("/r".into()),
        pidfile: Some("/p".into()),
        roles: vec!["x:y,z:w".into(), "bad".into()],
        verbose: true,
    };
    assert!(!format!("{overrides:?}").contains("SECRET"));
    let path = Path::new("tests/fixtures/config/ok/including.conf");
    let Loaded { config, warnings } = Config::load(path, &SENSORS, &overrides).unwrap();
    assert_eq!(config.api_key.as_ref().unwrap().expose(), "SECRET-flag");
    assert_eq!(config.api_base, "http://127.0.0.1:9");
    assert_eq!(config.spool_path(), Path::new("/r/main"));
    assert_eq!(config.pidfile.as_deref(), Some(Path::new("/p")));
    assert_eq!(config.roles, ["x:y", "z:w"]);
    assert!(config.verbose);
    let last = warnings.last().unwrap().to_string();
    assert_eq!(last, "--role: ignored: expected \"service:role\" of letters, digits, - and _, found \"bad\"");
}

#[test]
fn a_bad_override_is_a_mistake_beside_those_of_the_file() {
    let overrides = Overrides { api_base: Some("u:SECRET@host".into()), ..Overrides::default() };
    let path = Path::new("tests/fixtures/config/bad/sizes.conf");
    let text = Config::load(path, &SENSORS, &overrides).unwrap_err().to_string();
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.ends_with("--apibase: expected an http:// or https:// URL, found \"…@host\""), "{text}");
    assert!(Config::without_file("/r".into()).overridden(&overrides).is_err());
}

#[test]
fn absurd_files_are_refused_quickly() {
    for piece in ["a.", "[a.", "[[", "x={", "x=[", "\"", "'''", "x\n", "a=1\n", "[a]\n", "\0", "\\", "=\n"] {
        let text = piece.repeat((200 << 10) / piece.len());
        assert!(Config::parse(text.as_bytes(), Path::new("x.conf"), &SENSORS).is_err(), "{piece:?}");
    }
    let many_keys: String = (0..20_000).map(|n| format!("k{n}=1\n")).collect();
    let loaded = Config::parse(many_keys.as_bytes(), Path::new("x.conf"), &SENSORS).unwrap();
    assert_eq!(loaded.warnings.len(), 20_000);
}

fn parse(text: &[u8]) -> String {
    format!("{:?}", Config::parse(text, Path::new("x.conf"), &SENSORS))
}

fn texts() -> Vec<Vec<u8>> {
    let files = fixtures("ok").into_iter().chain(fixtures("bad"));
    files.map(|path| fs::read(path).unwrap()).collect()
}

/// Cuts, copies and overwrites, as a bad card or a bad editor would.
fn mutated(mut text: Vec<u8>, edits: &[(usize, usize, usize, u8)]) -> Vec<u8> {
    for (from, to, kind, byte) in edits {
        let (from, to) = (from % (text.len() + 1), to % (text.len() + 1));
        let (from, to) = (from.min(to), from.max(to));
        match kind % 5 {
            0 => text.truncate(to),
            1 => drop(text.drain(from..to.min(from + 8))),
            2 => text.insert(from, *byte),
            3 => text.extend_from_within(from..to),
            _ => text[from..to].iter_mut().take(1).for_each(|old| *old = *byte),
        }
    }
    text
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(text in prop::collection::vec(any::<u8>(), 0..400)) {
        let outcome = parse(&text);
        prop_assert!(!outcome.is_empty());
    }

    #[test]
    fn arbitrary_toml_like_text_never_panics(text in r#"([a-c]|[ =\[\]{}."'#,\n\\0-9-]|apikey|spool|plugin|ignore|command|"""|'''){0,80}"#) {
        let outcome = parse(text.as_bytes());
        prop_assert!(!outcome.is_empty());
    }

    #[test]
    fn mutated_files_never_panic(
        pick in any::<prop::sample::Index>(),
        edits in prop::collection::vec((0..4000usize, 0..4000usize, 0..5usize, any::<u8>()), 1..6),
    ) {
        let texts = texts();
        let outcome = parse(&mutated(pick.get(&texts).clone(), &edits));
        prop_assert!(!outcome.is_empty());
    }

    #[test]
    fn a_typo_anywhere_never_shows_the_api_key(at in 0..1000usize, byte in any::<u8>(), kind in 1..5usize) {
        let text = b"roles = [\"a:b\"]\napikey = \"SECRET-key\"\nverbose = 1\n[spool]\nmax_size = 1\n".to_vec();
        let secret = text.windows(10).position(|window| window == b"SECRET-key").unwrap();
        let at = at % (text.len() - 10);
        let at = if at > secret { at + 10 } else { at };
        let outcome = parse(&mutated(text, &[(at, at + 1, kind, byte)]));
        prop_assert!(!outcome.contains("SECRET"), "{outcome}");
    }
}
