//! One writer at a time, across processes.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// A lock that is held until it is dropped, or the process ends however it ends.
#[derive(Debug)]
pub struct FileLock {
    _held: Flock<File>,
}

impl FileLock {
    /// Locks the file at `path`, made if absent, waiting at most `patience`.
    ///
    /// # Errors
    /// Those of `open(2)`; `WouldBlock` when somebody else holds it all the while.
    pub fn acquire(path: &Path, patience: Duration) -> io::Result<Self> {
        const STEP: Duration = Duration::from_millis(20);
        let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        // A channel that nobody sends on is a wait that needs no thread of its own.
        let (_never, wait) = mpsc::channel::<()>();
        let mut waited = Duration::ZERO;
        loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(held) => return Ok(Self { _held: held }),
                Err((_, errno)) if errno != Errno::EWOULDBLOCK => return Err(errno.into()),
                Err(_) if waited >= patience => return Err(io::ErrorKind::WouldBlock.into()),
                Err((back, _)) => file = back,
            }
            wait.recv_timeout(STEP).ok();
            waited += STEP;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_waits_and_gives_up() {
        let path = std::env::temp_dir().join(format!("iwashi-lock-{}", std::process::id()));
        let first = FileLock::acquire(&path, Duration::ZERO).unwrap();
        let second = FileLock::acquire(&path, Duration::from_millis(40)).unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::WouldBlock);
        drop(first);
        FileLock::acquire(&path, Duration::ZERO).unwrap();
        std::fs::remove_file(&path).unwrap();
    }
}
