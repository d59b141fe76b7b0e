//! A state directory with a config, and what the commands say about it.

#![allow(dead_code)] // each test uses a part of it

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::agent::{bare, eventually, finished, Agent, Done, KEY, PATIENCE};
use crate::fake_mackerel::FakeMackerel;

/// One frame as `spool export` shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    pub seq: u64,
    pub boot_id: String,
    pub boottime_ms: u64,
    pub wall_ms: i64,
    pub values: BTreeMap<String, f64>,
}

impl Frame {
    fn read(line: &str) -> Self {
        let line: Value = serde_json::from_str(line).unwrap();
        let values = line["values"].as_object().unwrap().iter();
        Self {
            seq: line["seq"].as_u64().unwrap(),
            boot_id: line["boot_id"].as_str().unwrap().to_owned(),
            boottime_ms: line["boottime_ms"].as_u64().unwrap(),
            wall_ms: line["wall_ms"].as_i64().unwrap(),
            values: values.map(|(name, value)| (name.clone(), value.as_f64().unwrap())).collect(),
        }
    }

    /// The second it was taken in.
    pub fn second(&self) -> i64 {
        self.wall_ms.div_euclid(1000)
    }
}

/// A state directory with a config file, removed at the end.
#[derive(Debug)]
pub struct Home {
    pub directory: PathBuf,
}

impl Home {
    /// A new one; `name` is the test's.
    pub fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("iwashi-e2e-{}-{name}", std::process::id()));
        fs::remove_dir_all(&directory).ok();
        fs::create_dir_all(&directory).unwrap();
        Self { directory }
    }

    /// A new one whose config sends to `fake`; see [`Home::configure`].
    pub fn sending_to(name: &str, fake: &FakeMackerel, more: &str) -> Self {
        let home = Self::new(name);
        home.configure(&fake.url(), more);
        home
    }

    /// Writes a config that sends to `url`; `more` comes between the top-level keys and `[spool]`.
    pub fn configure(&self, url: &str, more: &str) {
        let root = self.root();
        let text = format!(
            "apikey = \"{KEY}\"\napibase = \"{url}\"\nroot = \"{}\"\n{more}\n[spool]\nsync_interval = 1\n",
            root.display()
        );
        fs::write(self.config(), text).unwrap();
    }

    pub fn config(&self) -> PathBuf {
        self.directory.join("iwashi.conf")
    }

    pub fn root(&self) -> PathBuf {
        self.directory.join("state")
    }

    pub fn id(&self) -> String {
        fs::read_to_string(self.root().join("id")).unwrap()
    }

    /// `iwashi ARGUMENTS --conf …`, not started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = bare(arguments);
        command.arg("--conf").arg(self.config());
        command
    }

    /// Runs a command to its end.
    pub fn output(&self, arguments: &[&str]) -> Done {
        finished(&mut self.command(arguments))
    }

    /// Starts `run` with a frame each second.
    pub fn run(&self) -> Agent {
        Agent::start(&mut self.command(&["run", "--interval", "1"]))
    }

    /// All frames in the spool; none as long as there is no spool.
    pub fn frames(&self) -> Vec<Frame> {
        let done = self.output(&["spool", "export", "--format", "jsonl", "--path", &self.spool()]);
        assert!(done.code == Some(0) || done.err.contains("there is no spool"), "{done:?}");
        done.out.lines().map(Frame::read).collect()
    }

    fn spool(&self) -> String {
        self.root().join("spool").to_str().unwrap().to_owned()
    }

    /// Waits until there are so many frames more than now.
    pub fn wait_for_more_frames(&self, count: usize) {
        let before = self.frames().len();
        eventually("more frames in the spool", || self.frames().len() >= before + count);
    }

    /// `status --json`.
    pub fn status(&self) -> Value {
        let done = self.output(&["status", "--json"]);
        serde_json::from_str(&done.out).unwrap_or_else(|_| panic!("{done:?}"))
    }

    /// What keeps the sink from sending, as `status` tells it; empty for nothing.
    pub fn trouble(&self) -> String {
        self.status()["sinks"][0]["trouble"]["text"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits until `status` tells of a trouble with these words.
    pub fn wait_for_trouble(&self, words: &str) {
        let mut last = String::new();
        let deadline = Instant::now() + PATIENCE;
        while !last.contains(words) {
            assert!(Instant::now() < deadline, "no trouble with {words:?}, but {last:?}");
            thread::park_timeout(Duration::from_millis(50));
            last = self.trouble();
        }
    }

    /// Waits until every frame there is now has arrived: a `loadavg5` at its second.
    pub fn wait_until_delivered(&self, fake: &FakeMackerel) {
        let seconds: Vec<i64> = self.frames().iter().map(Frame::second).collect();
        let id = self.id();
        let arrived = fake.wait_until(PATIENCE, |state| {
            seconds.iter().all(|second| state.points.contains_key(&(id.clone(), "loadavg5".to_owned(), *second)))
        });
        assert!(arrived, "not all frames arrived: {}", self.status());
    }

    /// Checks that `status` accounts for every frame, that none is lost, and that none waits.
    pub fn assert_all_accounted_for(&self) {
        let status = self.status();
        let frames = &status["sinks"][0]["frames"];
        let count = |name: &str| frames[name].as_u64().unwrap_or_else(|| panic!("{status}"));
        let sum: u64 = ["delivered", "expired", "timeless", "lost", "waiting"].iter().map(|name| count(name)).sum();
        assert_eq!(count("collected"), sum, "{status}");
        assert_eq!((count("lost"), count("expired"), count("timeless"), count("waiting")), (0, 0, 0, 0), "{status}");
        assert_eq!(usize::try_from(count("collected")).unwrap(), self.frames().len(), "{status}");
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("left for a look: {}", self.directory.display());
        } else {
            fs::remove_dir_all(&self.directory).ok();
        }
    }
}
