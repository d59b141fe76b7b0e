//! What goes when the spool is full: the oldest segments, by number and bytes. No clock has a say in it.

use std::io;
use std::sync::Arc;

use super::cursor::Fate;
use super::files::StoredFile;
use super::segment::HeaderState;
use super::stored;
use super::writer::Writer;

impl Writer {
    /// Removes the oldest segments until `extra` bytes more fit below the cap; none if that would not suffice.
    pub(super) fn make_room(&mut self, extra: u64) -> io::Result<()> {
        self.make_room_before(extra, u64::MAX)
    }

    /// The same with segments older than `number` alone.
    pub(super) fn make_room_before(&mut self, extra: u64, number: u64) -> io::Result<()> {
        let mut excess = (self.bytes() + extra).saturating_sub(self.max_bytes);
        let hot = self.hot.as_ref().map(|hot| hot.number);
        let mut leaving: Vec<StoredFile> = Vec::new();
        for held in self.segments.iter().take_while(|held| held.file.number < number) {
            if excess == 0 {
                break;
            }
            if Some(held.file.number) != hot && !self.is_foreign(&held.file) {
                excess = excess.saturating_sub(held.file.len);
                leaving.push(held.file);
            }
        }
        if excess > 0 {
            let cap = self.max_bytes;
            return Err(io::Error::other(format!("max_size of {cap} bytes leaves no room for another segment")));
        }
        for file in &leaving {
            match self.disk.remove(&file.name()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {
                    self.segments.retain(|held| held.file != *file);
                    self.to_seal.retain(|number| *number != file.number);
                }
            }
        }
        if !leaving.is_empty() {
            self.disk.sync_names()?;
            self.reconcile();
        }
        Ok(())
    }

    /// Whether a segment is of another format version; one that cannot be read is taken for ours.
    fn is_foreign(&self, file: &StoredFile) -> bool {
        stored::header(self.disk.as_ref(), file).is_ok_and(|header| matches!(header, HeaderState::Foreign(_)))
    }

    /// Counts as lost what no segment holds any more and no sink had.
    pub(super) fn reconcile(&mut self) {
        let disk = Arc::clone(&self.disk);
        let first = match self.segments.first_mut() {
            None => Some(self.next_seq),
            Some(held) => {
                if held.first_frame.is_none() {
                    held.first_frame = stored::first_frame(disk.as_ref(), &held.file).unwrap_or_default();
                }
                held.first_frame
            }
        };
        for cursor in &mut self.cursors {
            if let Some(first) = first.filter(|first| *first > cursor.settled) {
                let lost = cursor.lost;
                cursor.settle(first, Fate::Lost);
                if cursor.lost > lost {
                    log::warn!("spool: {} frames dropped before {} had them", cursor.lost - lost, cursor.sink);
                }
            }
        }
    }
}
