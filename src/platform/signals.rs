//! Signals as something to be read, not as interruptions.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// TERM, INT or QUIT: stop.
    Stop,
    /// HUP: read the config again.
    Reload,
}

/// What ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// A signal waits.
    Signal,
    /// The other file can be read.
    Other,
    /// The time is over.
    Time,
}

/// The signals an agent answers to.
#[derive(Debug)]
pub struct Signals {
    descriptor: SignalFd,
}

impl Signals {
    /// Takes over TERM, INT, QUIT and HUP. Call it before any thread is started: threads inherit what is blocked.
    ///
    /// # Errors
    /// Those of `signalfd(2)`.
    pub fn take_over() -> io::Result<Self> {
        let mut set = SigSet::empty();
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGHUP] {
            set.add(signal);
        }
        set.thread_block()?;
        let descriptor = SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        Ok(Self { descriptor })
    }

    /// The next signal that waits, if one does.
    ///
    /// # Errors
    /// Those of `read(2)`.
    pub fn next(&self) -> io::Result<Option<Request>> {
        let signal = self.descriptor.read_signal()?;
        let hangup = u32::try_from(Signal::SIGHUP as i32).unwrap_or_default();
        Ok(signal.map(|signal| if signal.ssi_signo == hangup { Request::Reload } else { Request::Stop }))
    }

    /// Waits for a signal, or for `other` to be readable, or for `limit`, in whole milliseconds.
    ///
    /// # Errors
    /// Those of `poll(2)`.
    pub fn wait(&self, other: Option<BorrowedFd<'_>>, limit: Duration) -> io::Result<Wake> {
        let signals = self.descriptor.as_fd();
        // Without another, the same is asked twice.
        let mut files = [signals, other.unwrap_or(signals)].map(|file| PollFd::new(file, PollFlags::POLLIN));
        // A longer wait than poll can do ends early, which is no harm.
        let timeout = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
        match poll(&mut files, timeout) {
            Ok(0) => return Ok(Wake::Time),
            Ok(_) => {}
            Err(Errno::EINTR) => return Ok(Wake::Signal),
            Err(errno) => return Err(errno.into()),
        }
        let is_signal = files.first().and_then(PollFd::any).unwrap_or_default();
        Ok(if is_signal { Wake::Signal } else { Wake::Other })
    }
}
