//! The spool: every frame on disk, exactly as read, until retention takes it.
//!
//! Laws, each a test in `tests/spool.rs`:
//! 1. A frame covered by a completed sync survives any power cut.
//! 2. Opening never fails, loops or panics for any bytes on disk, and needs no human.
//! 3. The bytes on disk never exceed the cap.
//! 4. Damage costs the records it touches (and, where it hits a page's key, that page's rows); it is counted.
//! 5. A full, failing or read-only disk never ends the process: frames go to a bounded memory, then are counted.
//!
//! A [`Segment`] of pages takes frames until it is full; then it is rewritten as a [`Sealed`] one. A [`Reader`] reads
//! both, and a [`Timeline`] says when frames were taken. Power cuts are `tests/spool_crash.rs`.
//!
#![doc = include_str!("FORMAT.md")]

mod column;
mod cursor;
mod decode;
mod files;
mod memory;
mod page;
mod range_coder;
mod reader;
mod record;
mod recover;
mod retention;
mod seal;
mod sealed;
mod sealing;
mod segment;
mod stored;
mod timeline;
mod trouble;
mod writer;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use cursor::{Cursor, Fate, MAX_SINKS};
pub use decode::Damage;
pub use files::{list, Form, StoredFile};
pub use memory::HeldFrame;
pub use page::{Cursors, Found, Page, PageId, PAGE_BYTES};
pub use reader::{Reader, SegmentSummary};
pub use record::{Key, Record, Row};
pub use sealed::{Footer, Sealed, Sums};
pub use segment::{HeaderState, Segment, SegmentHeader};
pub use stored::Stored;
pub use timeline::{Time, Timeline, MAX_STEP_MS};
pub use trouble::Trouble;
pub use writer::{Writer, MIN_MAX_BYTES};

use crate::frame::Frame;
use crate::platform::clock::Stamp;
use crate::platform::disk::{Disk, RealDisk};
use crate::platform::lock::FileLock;
use crate::platform::user;
use crate::series::SeriesTable;
use memory::Memory;

/// Where the spool is, and what it may take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The most bytes of all its files.
    pub max_bytes: u64,
    /// How long a frame may wait until it is durable. Zero: every frame is durable at once.
    pub sync_interval: Duration,
}

/// Why a spool cannot be used at all.
#[derive(Debug)]
pub enum OpenError {
    /// Another iwashi writes to it.
    Busy(PathBuf),
    /// It belongs to another user, so that writing to it would lock that user out.
    NotOurs {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
}

impl std::fmt::Display for OpenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Busy(path) => {
                write!(f, "spool {} is in use by another iwashi", path.display())
            }
            Self::NotOurs { path, owner } => {
                write!(f, "spool {} belongs to user {owner}: run iwashi as that user", path.display())
            }
        }
    }
}

impl std::error::Error for OpenError {}

/// The spool of one process: the writer while the disk works, memory while it does not.
#[derive(Debug)]
pub struct Spool {
    directory: Option<PathBuf>,
    disk: Arc<dyn Disk>,
    limits: Limits,
    lock: Option<FileLock>,
    writer: Option<Writer>,
    memory: Memory,
    /// What the disk said last; said to people once.
    trouble: Option<String>,
    last_sync_ms: Option<u64>,
}

impl Spool {
    /// Opens the spool in `directory`, made if absent, waiting at most `patience` for another process to leave it.
    ///
    /// A disk that fails is no error: frames are kept in memory and the disk is tried again at each.
    ///
    /// # Errors
    /// When the spool is somebody else's.
    pub fn open(
        directory: &Path,
        limits: Limits,
        patience: Duration,
        table: &mut SeriesTable,
    ) -> Result<Self, OpenError> {
        let mut spool = Self::on_disk(Arc::new(RealDisk::new(directory)), limits);
        spool.directory = Some(directory.to_owned());
        match spool.prepare(patience) {
            Ok(()) => {}
            Err(Prepare::Refused(error)) => return Err(error),
            Err(Prepare::Failed(error)) => {
                spool.note(&error);
                return Ok(spool);
            }
        }
        if let Err(error) = spool.open_writer(table) {
            spool.note(&error);
        }
        Ok(spool)
    }

    /// The spool on any disk, without a lock; nothing is read yet.
    #[must_use]
    pub fn on_disk(disk: Arc<dyn Disk>, limits: Limits) -> Self {
        Self {
            directory: None,
            disk,
            limits,
            lock: None,
            writer: None,
            memory: Memory::default(),
            trouble: None,
            last_sync_ms: None,
        }
    }

    fn prepare(&mut self, patience: Duration) -> Result<(), Prepare> {
        let Some(directory) = &self.directory else { return Ok(()) };
        if self.lock.is_some() {
            return Ok(());
        }
        fs::create_dir_all(directory).map_err(Prepare::Failed)?;
        let owner = fs::metadata(directory).map_err(Prepare::Failed)?.uid();
        if owner != user::effective() {
            return Err(Prepare::Refused(OpenError::NotOurs { path: directory.clone(), owner }));
        }
        match FileLock::acquire(&directory.join("lock"), patience) {
            Ok(lock) => self.lock = Some(lock),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(Prepare::Refused(OpenError::Busy(directory.clone())))
            }
            Err(error) => return Err(Prepare::Failed(error)),
        }
        Ok(())
    }

    fn open_writer(&mut self, table: &mut SeriesTable) -> io::Result<()> {
        let writer = Writer::open(Arc::clone(&self.disk), self.limits.max_bytes, table)?;
        self.memory.renumber(writer.next_seq());
        self.writer = Some(writer);
        Ok(())
    }

    /// Adds a frame, gives it its number, and syncs when that is due.
    ///
    /// When the disk fails, the frame is kept in memory; once it works again, memory goes to disk first.
    pub fn append(&mut self, frame: &mut Frame, table: &mut SeriesTable) {
        let outcome = self.try_append(frame, table);
        match outcome {
            Ok(seq) => frame.seq = seq,
            Err(error) => {
                self.note(&error);
                frame.seq = self.next_seq();
                self.memory.push(frame, table);
            }
        }
        let now = frame.stamp.boottime_ms;
        let interval = u64::try_from(self.limits.sync_interval.as_millis()).unwrap_or(u64::MAX);
        // The first frame is made durable at once: whoever cuts the power a minute after the installation
        // finds that it works.
        let due = self.last_sync_ms.is_none_or(|last| now.wrapping_sub(last).saturating_add(500) >= interval);
        if due && self.memory.is_empty() {
            self.last_sync_ms = Some(now);
            self.sync();
            self.seal();
        }
    }

    /// Seals a full segment, if there is one and the disk works. Once a day or so, for some milliseconds.
    fn seal(&mut self) {
        let Some(writer) = self.writer.as_mut().filter(|_| self.trouble.is_none()) else { return };
        if let Err(error) = writer.seal_next() {
            // Nothing is lost: the segment stays as it was.
            crate::verbose!("spool: seal a segment: {error}");
        }
    }

    fn try_append(&mut self, frame: &Frame, table: &mut SeriesTable) -> io::Result<u64> {
        if self.writer.is_none() {
            match self.prepare(Duration::ZERO) {
                Ok(()) => self.open_writer(table)?,
                Err(Prepare::Failed(error)) => return Err(error),
                Err(Prepare::Refused(error)) => return Err(io::Error::other(error)),
            }
        }
        let Some(writer) = &mut self.writer else { return Err(io::ErrorKind::NotConnected.into()) };
        if self.trouble.is_some() {
            writer.reopen();
        }
        while let Some(held) = self.memory.first() {
            writer.skip_to(held.seq);
            writer.append(&held.frame(table), table)?;
            self.memory.pop_first();
        }
        writer.append(frame, table)
    }

    /// Makes everything durable. A failure is said, and the next sync tries again.
    pub fn sync(&mut self) {
        match self.writer.as_mut().map(Writer::sync) {
            Some(Err(error)) => self.note(&error),
            Some(Ok(())) if self.memory.is_empty() => {
                if let Some(trouble) = self.trouble.take() {
                    let dropped = self.memory.dropped();
                    log::info!("spool: writing again (was: {trouble}); {dropped} frames were dropped");
                }
            }
            _ => {}
        }
    }

    fn note(&mut self, error: &io::Error) {
        let text = error.to_string();
        if self.trouble.as_ref() != Some(&text) {
            let place = self.directory.as_deref().unwrap_or(Path::new("spool")).display();
            log::error!("spool {place}: {text}; frames are kept in memory until it can be written");
            self.trouble = Some(text);
        }
    }

    /// What is wrong with the disk, if anything.
    #[must_use]
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Whether numbers of series are running out, so that the table should be renewed (see [`Spool::renew`]).
    #[must_use]
    pub fn wants_new_table(table: &SeriesTable) -> bool {
        table.len() > crate::series::MAX_SERIES / 2 && table.refused() > 0
    }

    /// Ends the segment, so that a new table may number series anew.
    ///
    /// # Errors
    /// Those of the disk: the old table must stay then.
    pub fn renew(&mut self) -> io::Result<()> {
        self.writer.as_mut().map_or(Ok(()), Writer::end_segment)
    }

    /// The number that the next frame gets.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.writer.as_ref().map_or(1, Writer::next_seq).max(self.memory.end().unwrap_or(1))
    }

    /// Frames below this number may be uploaded: they are durable, or the disk cannot make them so.
    #[must_use]
    pub fn uploadable_seq(&self) -> u64 {
        match &self.writer {
            Some(writer) if self.trouble.is_none() => writer.durable_seq(),
            _ => self.next_seq(),
        }
    }

    /// Changes the cursor of `sink`, if there is a disk to keep it on.
    pub fn update_cursor(&mut self, sink: &str, change: impl FnOnce(&mut Cursor)) {
        if let Some(cursor) = self.writer.as_mut().and_then(|writer| writer.cursor(sink)) {
            change(cursor);
        }
    }

    /// The cursor of `sink`; a new one where the disk has none.
    #[must_use]
    pub fn cursor(&self, sink: &str) -> Cursor {
        self.cursors().iter().find(|cursor| cursor.sink == sink).cloned().unwrap_or_else(|| Cursor::new(sink))
    }

    /// When an upstream last told the time, as far as it is known on disk.
    #[must_use]
    pub fn server_time(&self) -> Option<Stamp> {
        self.cursors().iter().map(|cursor| cursor.server_time).max_by_key(|stamp| (stamp.trust, stamp.wall_ms))
    }

    /// All cursors; none where there is no disk to keep them on.
    #[must_use]
    pub fn cursors(&self) -> &[Cursor] {
        self.writer.as_ref().map_or(&[], |writer| writer.cursors())
    }

    /// See [`Writer::set_trouble`].
    pub fn set_sink_trouble(&mut self, sink: &str, since_ms: i64, text: &str) {
        if let Some(writer) = &mut self.writer {
            writer.set_trouble(sink, since_ms, text);
        }
    }

    /// Frames that only memory holds while the disk fails, oldest first.
    #[must_use]
    pub fn held(&self, table: &SeriesTable) -> Vec<Arc<HeldFrame>> {
        let in_page = self.writer.as_ref().filter(|_| self.trouble.is_some()).map(|writer| writer.undurable(table));
        in_page.unwrap_or_default().into_iter().map(Arc::new).chain(self.memory.held()).collect()
    }

    /// Frames that neither disk nor memory had room for.
    #[must_use]
    pub fn dropped_frames(&self) -> u64 {
        self.memory.dropped()
    }

    /// See [`Writer::bytes_written`].
    #[must_use]
    pub fn bytes_written(&self) -> u64 {
        self.writer.as_ref().map_or(0, Writer::bytes_written)
    }

    /// See [`Writer::bytes`].
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.writer.as_ref().map_or(0, Writer::bytes)
    }
}

enum Prepare {
    Refused(OpenError),
    Failed(io::Error),
}
