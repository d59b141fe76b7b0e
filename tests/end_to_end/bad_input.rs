//! Configs, spools and disks that are no good; and the API key, which nobody may see.

use std::fs;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::agent::{bare, eventually, fake, finished, KEY, PATIENCE};
use crate::expected;
use crate::home::Home;

#[test]
fn every_mistake_in_a_config_is_told_with_its_place() {
    let home = Home::new("bad-config");
    let text = format!("apikey = [\"{KEY}\"]\nverbose = \"yes\"\nroot = 7\n[spool]\nmax_size = \"1 KiB\"\n[host_status]\non_start = \"asleep\"\n");
    fs::write(home.config(), text).unwrap();
    for arguments in [&["run"][..], &["tick"], &["once"], &["status"], &["sensors"], &["configtest"]] {
        let done = home.output(arguments);
        assert_eq!(done.code, Some(78), "{arguments:?}: {done:?}");
        for line in [1, 2, 3, 5, 7] {
            let place = format!("{}:{line}: ", home.config().display());
            assert!(done.err.contains(&place), "{arguments:?} does not tell of line {line}: {}", done.err);
        }
    }
}

#[test]
fn a_config_that_is_missing_or_unreadable_is_told() {
    let home = Home::new("no-config");
    let done = home.output(&["run"]);
    assert_eq!(done.code, Some(78), "{done:?}");
    assert!(done.err.contains("iwashi.conf") && done.err.contains("No such file"), "{done:?}");
    fs::write(home.config(), [0xff, 0, 1, 2]).unwrap();
    assert_eq!(home.output(&["run"]).code, Some(78));
    assert_eq!(finished(&mut bare(&["run", "--nonsense"])).code, Some(2));
    assert_eq!(finished(&mut bare(&["run", "-apikey", "x"])).code, Some(2));
}

#[test]
fn a_spool_of_garbage_does_not_keep_it_from_running() {
    let fake = fake();
    let home = Home::sending_to("garbage-spool", &fake, "");
    let spool = home.root().join("spool");
    assert_eq!(home.output(&["tick"]).code, Some(0));
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |len: usize| -> Vec<u8> {
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        };
        (0..len).map(|_| next()).collect()
    };
    let segments: Vec<_> = fs::read_dir(&spool).unwrap().map(|entry| entry.unwrap().path()).collect();
    let segments: Vec<_> = segments.into_iter().filter(|path| path.extension().is_some_and(|e| e == "seg")).collect();
    assert!(!segments.is_empty());
    for segment in segments {
        let len = usize::try_from(fs::metadata(&segment).unwrap().len()).unwrap();
        fs::write(segment, random(len)).unwrap();
    }
    let verified = home.output(&["spool", "verify"]);
    assert_eq!(verified.code, Some(1), "{verified:?}");
    let agent = home.run();
    assert!(fake.wait_until(PATIENCE, |state| state.points.keys().filter(|key| key.1 == "loadavg5").count() >= 4));
    let (code, said) = agent.stop(Signal::SIGTERM);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("spool"), "{said}");
    let status = home.output(&["status", "--json"]);
    assert_eq!(status.code, Some(0), "{status:?}");
}

#[test]
fn without_a_disk_it_sends_from_memory() {
    let fake = fake();
    let home = Home::new("no-disk");
    home.configure(&fake.url(), "");
    let config = fs::read_to_string(home.config()).unwrap() + "path = \"/proc/iwashi-spool\"\n";
    fs::write(home.config(), config).unwrap();
    let agent = home.run();
    let arrived = fake.wait_until(PATIENCE, |state| {
        state.points.keys().filter(|key| key.1 == "loadavg5").count() >= 4
            && state.points.keys().any(|key| key.1 == "cpu.idle.percentage")
    });
    assert!(arrived, "{}", agent.said());
    let (code, said) = agent.stop(Signal::SIGTERM);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(said.matches("/proc/iwashi-spool").count(), 2, "at start, and its trouble once: {said}");
    assert!(said.contains("kept in memory"), "{said}");
    assert!(!said.contains("WARN"), "{said}");
    let tick = home.output(&["tick"]);
    assert_eq!(tick.code, Some(1), "{tick:?}");
    assert!(tick.err.contains("the frame is not on disk"), "{tick:?}");
}

/// A mounted filesystem, unmounted at the end.
struct Mounted(std::path::PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().unwrap();
    }
}

#[test]
fn a_full_disk_stops_nothing_and_is_used_again() {
    let fake = fake();
    let home = Home::new("full-disk");
    let disk = home.directory.join("disk");
    fs::create_dir(&disk).unwrap();
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "size=400k", "tmpfs"]).arg(&disk);
    if !mount.output().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: a small disk cannot be mounted here");
        return;
    }
    home.configure(&fake.url(), "");
    let config = fs::read_to_string(home.config()).unwrap() + &format!("path = \"{}/spool\"\n", disk.display());
    fs::write(home.config(), config).unwrap();
    let _mounted = Mounted(disk.clone());
    // Something else fills the disk to its last block.
    fs::write(disk.join("ballast"), vec![0; 1 << 20]).unwrap_err();
    let agent = home.run();
    let arrived = |state: &crate::fake_mackerel::State| state.points.keys().filter(|key| key.1 == "loadavg5").count();
    assert!(fake.wait_until(PATIENCE, |state| arrived(state) >= 4), "{}", agent.said());
    assert!(agent.said().contains("kept in memory"), "{}", agent.said());
    fs::remove_file(disk.join("ballast")).unwrap();
    agent.wait_for("writing again");
    let before = fake.state(|state| arrived(state));
    assert!(fake.wait_until(PATIENCE, |state| arrived(state) >= before + 3), "{}", agent.said());
    let (code, said) = agent.stop(Signal::SIGTERM);
    assert_eq!(code, Some(0), "{said}");
    let status = home.status();
    assert_eq!(status["sinks"][0]["frames"]["lost"], 0, "{status}");
    assert_eq!(status["sinks"][0]["frames"]["waiting"], 0, "{status}");
}

#[test]
fn the_key_is_nowhere_to_be_seen() {
    let fake = fake();
    let home = Home::sending_to("key", &fake, "verbose = true");
    // What the agent and all other commands say is searched for it wherever a test runs them.
    let agent = home.run();
    assert!(fake.wait_until(PATIENCE, |state| !state.points.is_empty()));
    for file in ["cmdline", "environ", "comm"] {
        let text = String::from_utf8_lossy(&fs::read(agent.proc().join(file)).unwrap()).into_owned();
        assert!(!text.contains(KEY), "{file}");
    }
    for arguments in [&["status"][..], &["status", "--json"], &["once"], &["sensors"], &["configtest"]] {
        home.output(arguments);
    }
    eventually("a trouble would not show it, either", || !home.frames().is_empty());
    assert_eq!(agent.stop(Signal::SIGTERM).0, Some(0));
    let mut seen = 0;
    for file in walk(&home.root()) {
        seen += 1;
        let bytes = fs::read(&file).unwrap();
        assert!(!bytes.windows(KEY.len()).any(|part| part == KEY.as_bytes()), "{}", file.display());
    }
    assert!(seen >= 2);
    expected::assert_same(&home, &fake);
}

fn walk(directory: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}
