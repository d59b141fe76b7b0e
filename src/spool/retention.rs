//! What goes when the spool is full: the oldest segments, by number and bytes. No clock has a say in it.

use std::io;
use std::sync::Arc;

use super::cursor::Fate;
use super::segment::{self, HeaderState, Segment};
use super::writer::{Held, Writer};

impl Writer {
    /// Removes the oldest segments until `extra` bytes more fit below the cap; none if that would not suffice.
    pub(super) fn make_room(&mut self, extra: u64) -> io::Result<()> {
        let mut excess = (self.bytes() + extra).saturating_sub(self.max_bytes);
        let hot = self.hot.as_ref().map(|hot| hot.number);
        let mut leaving = Vec::new();
        for held in self.segments.iter().filter(|held| Some(held.number) != hot) {
            if excess == 0 {
                break;
            }
            if !self.is_foreign(held) {
                excess = excess.saturating_sub(held.len);
                leaving.push(held.number);
            }
        }
        if excess > 0 {
            let cap = self.max_bytes;
            return Err(io::Error::other(format!("max_size of {cap} bytes leaves no room for another segment")));
        }
        for number in &leaving {
            match self.disk.remove(&segment::name(*number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => self.segments.retain(|held| held.number != *number),
            }
        }
        if !leaving.is_empty() {
            self.disk.sync_names()?;
            self.reconcile();
        }
        Ok(())
    }

    /// Whether a segment is of another format version; one that cannot be read is taken for ours.
    fn is_foreign(&self, held: &Held) -> bool {
        let segment = Segment::open(self.disk.as_ref(), held.number, held.len, false);
        segment.is_ok_and(|segment| matches!(segment.header, HeaderState::Foreign(_)))
    }

    /// Counts as lost what no segment holds any more and no sink had.
    pub(super) fn reconcile(&mut self) {
        let disk = Arc::clone(&self.disk);
        let first = match self.segments.first_mut() {
            None => Some(self.next_seq),
            Some(held) => {
                if held.first_frame.is_none() {
                    let oldest = Segment::open(disk.as_ref(), held.number, held.len, false);
                    held.first_frame = oldest.ok().and_then(|segment| segment.first_frame());
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
