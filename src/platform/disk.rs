//! The few file operations that the spool needs, behind a trait that a crash simulator can stand in for.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// An open file of a [`Disk`]. Positions are absolute: no file has a cursor of its own.
pub trait DiskFile: Send + fmt::Debug {
    /// Reads at `offset` until `bytes` is full or the file ends; returns how much was read.
    ///
    /// # Errors
    /// Those of `pread(2)`.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// Those of `pwrite(2)`.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes everything written durable (`fdatasync`).
    ///
    /// # Errors
    /// Those of `fdatasync(2)`. What was written since the last success may be lost then.
    fn sync(&self) -> io::Result<()>;
}

/// One flat directory of files.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Names and lengths in bytes of all files.
    ///
    /// # Errors
    /// Those of `readdir(3)`.
    fn list(&self) -> io::Result<Vec<(String, u64)>>;
    /// Makes file `name` of `len` zero bytes, which must not exist. Not yet durable.
    ///
    /// # Errors
    /// Those of `open(2)` and `write(2)`; a file that could not be filled is removed again.
    fn create(&self, name: &str, len: u64) -> io::Result<Box<dyn DiskFile>>;
    /// Makes file `name`, which must not exist, with `bytes` in it; they are durable under that name once
    /// [`Disk::sync_names`] has succeeded.
    ///
    /// # Errors
    /// Those of `open(2)` and `write(2)`; a file that could not be written whole is removed again.
    fn write_new(&self, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// Opens file `name`.
    ///
    /// # Errors
    /// Those of `open(2)`.
    fn open(&self, name: &str, write: bool) -> io::Result<Box<dyn DiskFile>>;
    /// Renames a file, replacing `to`. Durable after [`Disk::sync_names`].
    ///
    /// # Errors
    /// Those of `rename(2)`.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file. Durable after [`Disk::sync_names`].
    ///
    /// # Errors
    /// Those of `unlink(2)`.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes creations, renames and removals durable (`fsync` of the directory).
    ///
    /// # Errors
    /// Those of `fsync(2)`.
    fn sync_names(&self) -> io::Result<()>;
}

impl DiskFile for File {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut len = 0;
        while let Some(rest) = bytes.get_mut(len..).filter(|rest| !rest.is_empty()) {
            match FileExt::read_at(self, rest, offset + len as u64) {
                Ok(0) => break,
                Ok(count) => len += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(len)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// A directory of the real file system.
#[derive(Debug, Clone)]
pub struct RealDisk {
    directory: PathBuf,
}

impl RealDisk {
    /// The directory at `directory`, which must exist.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    fn make(&self, name: &str, fill: &dyn Fn(&File) -> io::Result<()>) -> io::Result<File> {
        let path = self.directory.join(name);
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        if let Err(error) = fill(&file).and_then(|()| file.sync_all()) {
            // The first error says what happened; one from tidying up would hide it.
            fs::remove_file(&path).ok();
            return Err(error);
        }
        Ok(file)
    }
}

impl Disk for RealDisk {
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        const TRIES: usize = 5;
        let mut files = Vec::new();
        // When another process removes a file meanwhile, it may have put another in its place that is not listed yet.
        for _ in 0..TRIES {
            files.clear();
            let mut has_vanished = false;
            for entry in fs::read_dir(&self.directory)? {
                let entry = entry?;
                match entry.metadata() {
                    Ok(meta) if meta.is_file() => {
                        files.push((entry.file_name().to_string_lossy().into_owned(), meta.len()));
                    }
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::NotFound => has_vanished = true,
                    Err(error) => return Err(error),
                }
            }
            if !has_vanished {
                break;
            }
        }
        Ok(files)
    }

    fn create(&self, name: &str, len: u64) -> io::Result<Box<dyn DiskFile>> {
        const ZEROS: [u8; 16_384] = [0; 16_384];
        let fill = |file: &File| -> io::Result<()> {
            let mut offset = 0;
            while offset < len {
                let count = usize::try_from(len - offset).unwrap_or(usize::MAX).min(ZEROS.len());
                file.write_all_at(ZEROS.get(..count).unwrap_or_default(), offset)?;
                offset += count as u64;
            }
            Ok(())
        };
        Ok(Box::new(self.make(name, &fill)?))
    }

    fn write_new(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.make(name, &|file| file.write_all_at(bytes, 0)).map(drop)
    }

    fn open(&self, name: &str, write: bool) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(OpenOptions::new().read(true).write(write).open(self.directory.join(name))?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.directory.join(from), self.directory.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.directory.join(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }
}
