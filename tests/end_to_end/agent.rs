//! The real program as a child process: `IWASHI_UNDER_TEST` split at spaces if set, else what cargo built.

#![allow(dead_code)] // each test uses a part of it

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;

use crate::fake_mackerel::{FakeMackerel, Options};

/// How long anything may take; an emulated processor on a busy machine is slow.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// The API key of all tests. No output may ever hold it, which is checked of all output there is.
pub const KEY: &str = "KeyThatNobodyMayEverRead8271";

/// `tests/fake_mackerel` with our key.
pub fn options() -> Options {
    let mut options = Options::default();
    options.keys.full = KEY.to_owned();
    options
}

/// A fake service over HTTP.
pub fn fake() -> FakeMackerel {
    FakeMackerel::start(options())
}

/// The command that is tested, and what stands before its arguments.
fn words() -> Vec<String> {
    match std::env::var("IWASHI_UNDER_TEST") {
        Ok(words) if !words.is_empty() => words.split(' ').map(str::to_owned).collect(),
        _ => vec![env!("CARGO_BIN_EXE_iwashi").to_owned()],
    }
}

/// Whether the program runs under an emulator, whose memory is not the program's.
pub fn is_emulated() -> bool {
    words().len() > 1
}

/// Waits until it holds, by looking again and again: for what happens in another process.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "this never came true: {what}");
        thread::park_timeout(Duration::from_millis(50));
    }
}

/// `iwashi ARGUMENTS` without a config file, not started.
pub fn bare(arguments: &[&str]) -> Command {
    let words = words();
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).args(arguments).stdin(Stdio::null()).env("NO_COLOR", "1");
    for name in ["JOURNAL_STREAM", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
        command.env_remove(name);
    }
    command
}

/// A command that has ended.
#[derive(Debug)]
pub struct Done {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// Runs a command to its end.
pub fn finished(command: &mut Command) -> Done {
    done(&command.output().unwrap())
}

/// What a command left.
pub fn done(output: &Output) -> Done {
    let text = |bytes: &[u8]| {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        assert!(!text.contains(KEY), "the API key is shown: {text}");
        text
    };
    Done { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
}

/// A running `iwashi run`; killed when dropped.
pub struct Agent {
    child: Child,
    heard: Arc<(Mutex<String>, Condvar)>,
    listeners: Vec<JoinHandle<()>>,
}

impl Agent {
    /// Starts it, and listens to what it says.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let heard = Arc::default();
        let out: Box<dyn Read + Send> = Box::new(child.stdout.take().unwrap());
        let err: Box<dyn Read + Send> = Box::new(child.stderr.take().unwrap());
        let listeners = [out, err].map(|pipe| {
            let heard = Arc::clone(&heard);
            thread::spawn(move || listen(pipe, &heard))
        });
        Self { child, heard, listeners: listeners.into() }
    }

    /// All it has said.
    pub fn said(&self) -> String {
        self.heard.0.lock().unwrap().clone()
    }

    /// Waits until it has said these words.
    pub fn wait_for(&self, words: &str) {
        let heard = self.heard.0.lock().unwrap();
        let waited = self.heard.1.wait_timeout_while(heard, PATIENCE, |heard| !heard.contains(words)).unwrap();
        let is_in_vain = waited.1.timed_out();
        drop(waited);
        assert!(!is_in_vain, "it never said {words:?}");
    }

    /// Its `/proc` directory.
    pub fn proc(&self) -> PathBuf {
        Path::new("/proc").join(self.child.id().to_string())
    }

    /// The most memory it ever had, in KiB.
    pub fn peak_kib(&self) -> u64 {
        let status = fs::read_to_string(self.proc().join("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// Asserts that it has not ended.
    pub fn assert_alive(&mut self) {
        let ended = self.child.try_wait().unwrap();
        assert!(ended.is_none(), "it ended: {ended:?}\n{}", self.said());
    }

    /// Cuts it off as the kernel or a power switch would, and returns what it had said.
    pub fn kill(mut self) -> String {
        self.child.kill().unwrap();
        self.end().1
    }

    /// Tells it to stop; returns its exit code and all it said.
    pub fn stop(mut self, by: Signal) -> (Option<i32>, String) {
        self.signal(by);
        self.end()
    }

    /// Waits until it ends by itself.
    pub fn end(&mut self) -> (Option<i32>, String) {
        let mut code = None;
        eventually("the program ends", || {
            code = self.child.try_wait().unwrap();
            code.is_some()
        });
        for listener in self.listeners.drain(..) {
            listener.join().unwrap();
        }
        let said = self.said();
        assert!(!said.contains(KEY), "the API key is shown: {said}");
        assert!(!said.contains("panicked"), "{said}");
        (code.and_then(|code| code.code()), said)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().ok();
        self.child.wait().ok();
        if thread::panicking() {
            eprintln!("it said:\n{}", self.said());
        }
    }
}

fn listen(mut pipe: Box<dyn Read + Send>, heard: &(Mutex<String>, Condvar)) {
    let mut block = [0; 4096];
    while let Ok(count @ 1..) = pipe.read(&mut block) {
        heard.0.lock().unwrap().push_str(&String::from_utf8_lossy(&block[..count]));
        heard.1.notify_all();
    }
}
