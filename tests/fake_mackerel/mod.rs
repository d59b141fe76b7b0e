//! A fake Mackerel: the service's rules in memory, over HTTP or HTTPS, with faults on demand.
//!
//! ```ignore
//! mod fake_mackerel;
//! use fake_mackerel::{FakeMackerel, Fault, Options, Rule};
//!
//! let fake = FakeMackerel::start(Options::default());
//! fake.add_fault(Rule::new(Fault::status(503)).on_path("/api/v0/tsdb").times(2));
//! // … let an agent talk to fake.url() with fake.key() …
//! assert!(fake.wait_until(Duration::from_secs(5), |state| !state.points.is_empty()));
//! ```

#![allow(dead_code, unused_imports, unreachable_pub)] // each test uses a part of it
#![allow(missing_debug_implementations)] // of types that no test prints
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // a support module panics as a test does

pub mod client;
mod connection;
mod damage;
pub mod fault_text;
mod faults;
mod hosts;
mod http;
mod monitoring;
mod options;
mod service;
mod stopping;
mod tls;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::ServerConfig;

pub use faults::{Fault, Rule};
pub use options::Options;
pub use service::{Host, Keys, LoggedRequest, PointKey, State};
pub use tls::Leaf;

use faults::{Faults, Moment, Seen, Struck};
use http::{Request, Response};
use options::{Now, OnRequest};
use stopping::Stopping;
use tls::Authority;

/// What the threads of the server share.
pub struct Shared {
    keys: Keys,
    now: Now,
    clock_offset: AtomicI64,
    tls: Option<Arc<ServerConfig>>,
    on_request: Option<OnRequest>,
    state: Mutex<State>,
    changed: Condvar,
    faults: Mutex<Faults>,
}

impl Shared {
    fn now(&self) -> i64 {
        (self.now)() + self.clock_offset.load(Ordering::Relaxed)
    }

    fn strike(&self, moment: Moment, seen: &Seen<'_>) -> Struck {
        self.faults.lock().unwrap().strike(moment, seen)
    }

    fn carry_out(&self, request: &Request) -> Response {
        self.state.lock().unwrap().answer(request, &self.keys, self.now())
    }

    fn record(&self, request: LoggedRequest) {
        if let Some(on_request) = &self.on_request {
            on_request(&request);
        }
        self.state.lock().unwrap().requests.push(request);
        self.changed.notify_all();
    }
}

/// The threads and sockets between a start and a stop.
struct Run {
    stopping: Arc<Stopping>,
    listener: Arc<TcpListener>,
    acceptor: JoinHandle<Vec<(Weak<TcpStream>, JoinHandle<()>)>>,
}

/// A server on 127.0.0.1; it stops when dropped.
pub struct FakeMackerel {
    shared: Arc<Shared>,
    address: SocketAddr,
    authority: Option<Authority>,
    own_directory: Option<PathBuf>,
    run: Option<Run>,
}

impl FakeMackerel {
    /// Starts it; panics if the port is taken.
    pub fn start(options: Options) -> Self {
        let own_directory = (options.tls.is_some() && options.ca_directory.is_none()).then(new_directory);
        let directory = options.ca_directory.as_ref().or(own_directory.as_ref());
        let authority = options.tls.and(directory).map(|directory| Authority::open(directory));
        let tls = authority.as_ref().zip(options.tls).map(|(authority, leaf)| authority.server(leaf));
        let shared = Arc::new(Shared {
            keys: options.keys,
            now: options.now.unwrap_or_else(|| Box::new(system_now)),
            clock_offset: AtomicI64::new(0),
            tls,
            on_request: options.on_request,
            state: Mutex::default(),
            changed: Condvar::new(),
            faults: Mutex::default(),
        });
        let address = SocketAddr::from(([127, 0, 0, 1], options.port));
        let mut fake = Self { shared, address, authority, own_directory, run: None };
        fake.restart();
        fake
    }

    /// Closes the port and all connections; what the service keeps stays.
    pub fn stop(&mut self) {
        let Some(run) = self.run.take() else { return };
        run.stopping.stop();
        // On Linux this ends the acceptor's accept().
        nix::sys::socket::shutdown(run.listener.as_raw_fd(), nix::sys::socket::Shutdown::Both).ok();
        let connections = run.acceptor.join().unwrap();
        for (socket, _) in &connections {
            if let Some(socket) = socket.upgrade() {
                socket.shutdown(Shutdown::Both).ok();
            }
        }
        for (_, thread) in connections {
            thread.join().ok(); // a panic was printed, and its client saw a closed connection
        }
    }

    /// Starts again on the same port with the same state (stops first if it runs).
    pub fn restart(&mut self) {
        self.stop();
        let patience = Stopping::default();
        let mut tries = 0;
        let listener = loop {
            match TcpListener::bind(self.address) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && self.address.port() != 0 && tries < 100 => {
                    tries += 1;
                    patience.wait(Duration::from_millis(20));
                }
                result => break Arc::new(result.unwrap()),
            }
        };
        self.address = listener.local_addr().unwrap();
        let stopping = Arc::new(Stopping::default());
        let (of_thread, shared, stop) = (Arc::clone(&listener), Arc::clone(&self.shared), Arc::clone(&stopping));
        let acceptor = thread::spawn(move || accept(&of_thread, &shared, &stop));
        self.run = Some(Run { stopping, listener, acceptor });
    }

    /// `http://127.0.0.1:PORT`, or https.
    pub fn url(&self) -> String {
        let scheme = if self.shared.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The API key that may do all.
    pub fn key(&self) -> &str {
        &self.shared.keys.full
    }

    /// The PEM file of the CA; panics over HTTP.
    pub fn ca_file(&self) -> &Path {
        self.authority.as_ref().unwrap().file()
    }

    /// Adds a fault after those there are.
    pub fn add_fault(&self, rule: Rule) {
        self.shared.faults.lock().unwrap().add(rule);
    }

    /// Forgets all faults.
    pub fn clear_faults(&self) {
        self.shared.faults.lock().unwrap().clear();
    }

    /// Puts the service's clock that many seconds ahead of [`Options::now`] (behind, if negative).
    pub fn shift_clock(&self, seconds: i64) {
        self.shared.clock_offset.store(seconds, Ordering::Relaxed);
    }

    /// Looks at all that the service keeps, or changes it; nobody is answered meanwhile.
    pub fn state<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.shared.state.lock().unwrap())
    }

    /// The hosts by id.
    pub fn hosts(&self) -> BTreeMap<String, Host> {
        self.state(|state| state.hosts.clone())
    }

    /// The points by (host, name, time).
    pub fn points(&self) -> BTreeMap<PointKey, f64> {
        self.state(|state| state.points.clone())
    }

    /// The requests in the order of arrival.
    pub fn requests(&self) -> Vec<LoggedRequest> {
        self.state(|state| state.requests.clone())
    }

    /// Waits until the condition holds, looking after each connection and request; false if it did not come to hold in time.
    pub fn wait_until(&self, patience: Duration, mut holds: impl FnMut(&State) -> bool) -> bool {
        let state = self.shared.state.lock().unwrap();
        let (_state, timeout) = self.shared.changed.wait_timeout_while(state, patience, |s| !holds(s)).unwrap();
        !timeout.timed_out()
    }
}

impl Drop for FakeMackerel {
    fn drop(&mut self) {
        self.stop();
        if let Some(directory) = &self.own_directory {
            fs::remove_dir_all(directory).ok();
        }
    }
}

fn accept(
    listener: &TcpListener,
    shared: &Arc<Shared>,
    stopping: &Arc<Stopping>,
) -> Vec<(Weak<TcpStream>, JoinHandle<()>)> {
    let mut connections: Vec<(Weak<TcpStream>, JoinHandle<()>)> = Vec::new();
    loop {
        let accepted = listener.accept();
        if stopping.is_stopped() {
            return connections;
        }
        let Ok((socket, _)) = accepted else { continue };
        socket.set_nodelay(true).ok();
        let socket = Arc::new(socket);
        shared.state.lock().unwrap().connections += 1;
        shared.changed.notify_all();
        connections.retain(|(_, thread)| !thread.is_finished());
        let (weak, of_thread, stop) = (Arc::downgrade(&socket), Arc::clone(shared), Arc::clone(stopping));
        connections.push((weak, thread::spawn(move || connection::serve(&of_thread, &stop, socket))));
    }
}

fn new_directory() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("fake-mackerel-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    std::env::temp_dir().join(name)
}

fn system_now() -> i64 {
    #[allow(clippy::useless_conversion)] // time_t is 32 bits wide on some targets
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_REALTIME).map_or(0, |time| i64::from(time.tv_sec()))
}
