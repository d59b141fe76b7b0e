//! The file that says which process is the agent.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A pidfile of ours; removed when dropped.
#[derive(Debug)]
pub struct Pidfile {
    path: PathBuf,
}

impl Pidfile {
    /// Writes our process id to `path`. One left behind by a process that is gone is overwritten.
    ///
    /// # Errors
    /// `AlreadyExists` when the process it names runs the same program; else those of `write(2)`.
    pub fn create(path: &Path) -> io::Result<Self> {
        let own = std::process::id();
        let other = fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<u32>().ok());
        if let Some(other) = other.filter(|other| *other != own && program(*other).is_some()) {
            if program(other) == program(own) {
                return Err(io::Error::new(
                    io::ErrorKind::AlreadyExists,
                    format!("process {other} is running already"),
                ));
            }
        }
        fs::write(path, own.to_string())?;
        Ok(Self { path: path.to_owned() })
    }
}

impl Drop for Pidfile {
    fn drop(&mut self) {
        // On a read-only disk it stays, and is recognised as stale by the next start.
        fs::remove_file(&self.path).ok();
    }
}

/// The name of the program that process `pid` runs.
fn program(pid: u32) -> Option<String> {
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let first = arguments.split(|byte| *byte == 0).next().filter(|name| !name.is_empty())?;
    let first = String::from_utf8_lossy(first);
    Path::new(first.as_ref()).file_name().map(|name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_or_garbled_pidfile_is_overwritten_and_a_live_one_is_not() {
        let path = std::env::temp_dir().join(format!("iwashi-pidfile-{}", std::process::id()));
        for stale in ["", "garbage\n", "4294967295"] {
            fs::write(&path, stale).unwrap();
            let file = Pidfile::create(&path).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), std::process::id().to_string());
            drop(file);
            assert!(!path.exists());
        }
    }
}
