//! How threads that wait learn that the server stops.

use std::io::Read;
use std::net::TcpStream;
use std::sync::{Condvar, Mutex};
use std::time::Duration;

/// Set once, for one run of the server.
#[derive(Debug, Default)]
pub struct Stopping {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Stopping {
    /// Ends all waits, now and later.
    pub fn stop(&self) {
        *self.stopped.lock().unwrap() = true;
        self.changed.notify_all();
    }

    /// Whether the server stops.
    pub fn is_stopped(&self) -> bool {
        *self.stopped.lock().unwrap()
    }

    /// Waits that long; true if the server stopped meanwhile.
    pub fn wait(&self, duration: Duration) -> bool {
        let stopped = self.stopped.lock().unwrap();
        *self.changed.wait_timeout_while(stopped, duration, |stopped| !*stopped).unwrap().0
    }

    /// Waits until the client closes the connection, or the server does.
    pub fn until_closed(&self, mut socket: &TcpStream) {
        let mut block = [0; 1024];
        while !self.is_stopped() && socket.read(&mut block).is_ok_and(|count| count > 0) {}
    }
}
