//! A file of /proc or /sys that stays open and is read again each cycle.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;

/// A read that returns less than this has reached the end: the kernel hands out at least half a page while a
/// `/proc` file goes on (its `seq_file` stops early only before a record that would overflow the page).
const SHORT_READ: usize = 2048;

/// The most that is read of one file.
const MAX_BYTES: usize = 1 << 20;

/// The buffer that all kernel files of a sampler share. It grows to the largest file met, up to 1 MiB.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
}

impl Default for Buffer {
    fn default() -> Self {
        Self { bytes: vec![0; 8192] }
    }
}

/// One file, opened at its first read and kept open.
///
/// A failed read closes it, so that the next cycle opens it anew: a device that came back has a new inode.
#[derive(Debug)]
pub struct KernelFile {
    path: Arc<Path>,
    file: Option<File>,
}

impl KernelFile {
    /// The file at `path`, which need not exist yet.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path: path.into(), file: None }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Arc<Path> {
        &self.path
    }

    /// Reads the whole file from its start.
    ///
    /// # Errors
    /// Those of `open(2)` and `pread(2)`; `FileTooLarge` past 1 MiB.
    pub fn read<'b>(&mut self, buffer: &'b mut Buffer) -> io::Result<&'b [u8]> {
        let outcome = self.fill(buffer);
        if outcome.is_err() {
            self.file = None;
        }
        let len = outcome?;
        Ok(buffer.bytes.get(..len).unwrap_or_default())
    }

    fn fill(&mut self, buffer: &mut Buffer) -> io::Result<usize> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(File::open(&self.path)?),
        };
        let mut len = 0;
        loop {
            if buffer.bytes.len() - len < SHORT_READ * 2 {
                if buffer.bytes.len() >= MAX_BYTES {
                    return Err(io::ErrorKind::FileTooLarge.into());
                }
                buffer.bytes.resize(buffer.bytes.len() * 2, 0);
            }
            let rest = buffer.bytes.get_mut(len..).unwrap_or_default();
            let count = match file.read_at(rest, len as u64) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            len += count;
            if count < SHORT_READ {
                return Ok(len);
            }
        }
    }
}

/// Whether `error` says that the device behind an open file was taken away.
#[must_use]
pub fn is_gone(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::ENODEV | Errno::ENOENT | Errno::ENXIO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switched_off_sensor_is_not_gone() {
        for errno in [Errno::ENODEV, Errno::ENOENT, Errno::ENXIO] {
            assert!(is_gone(&errno.into()), "{errno}");
        }
        for errno in [Errno::ENODATA, Errno::EAGAIN, Errno::EINVAL, Errno::EIO, Errno::ETIMEDOUT] {
            assert!(!is_gone(&errno.into()), "{errno}");
        }
    }

    #[test]
    fn a_file_longer_than_the_buffer_is_read_whole() {
        let dir = std::env::temp_dir().join(format!("iwashi-kernel-file-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("long");
        let text: Vec<u8> = (0..40_000u32).map(|i| b'a' + u8::try_from(i % 26).unwrap()).collect();
        std::fs::write(&path, &text).unwrap();
        let mut buffer = Buffer::default();
        let mut file = KernelFile::new(path.clone());
        assert_eq!(file.read(&mut buffer).unwrap(), text);
        assert_eq!(file.read(&mut buffer).unwrap(), text, "a second read starts at the beginning");
        std::fs::write(&path, vec![b'x'; MAX_BYTES + 1]).unwrap();
        assert_eq!(file.read(&mut buffer).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn an_absent_file_is_an_error_and_is_tried_again() {
        let path = std::env::temp_dir().join(format!("iwashi-absent-{}", std::process::id()));
        let mut file = KernelFile::new(path.clone());
        let mut buffer = Buffer::default();
        assert_eq!(file.read(&mut buffer).unwrap_err().kind(), io::ErrorKind::NotFound);
        std::fs::write(&path, "now").unwrap();
        assert_eq!(file.read(&mut buffer).unwrap(), b"now");
        std::fs::remove_file(&path).unwrap();
    }
}
