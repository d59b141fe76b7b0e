//! Which segment is sealed when, and how the sealed form takes the place of the other.

use std::collections::VecDeque;
use std::io;

use super::files::{Form, StoredFile};
use super::seal;
use super::segment::Segment;
use super::writer::Writer;

/// After a failure to seal: an hour of a host at one frame a minute.
const FRAMES_BEFORE_RETRY: u64 = 60;

impl Writer {
    /// Seals the oldest full segment that can be, if there is one.
    ///
    /// The sealed form is durable under its name before the other is removed, so that a cut at any moment leaves the
    /// one or the other, or both.
    ///
    /// # Errors
    /// Those of the disk. That segment is tried again an hour of frames later.
    pub fn seal_next(&mut self) -> io::Result<()> {
        if self.next_seq < self.seal_from_seq {
            return Ok(());
        }
        let mut later = VecDeque::new();
        let mut outcome = Ok(());
        while let Some(number) = self.to_seal.pop_front() {
            match self.seal(number) {
                Ok(true) => break,
                // Damaged, or not worth it: it stays as it is.
                Ok(false) => {}
                Err(error) => {
                    later.push_back(number);
                    outcome = outcome.and(Err(error));
                    self.seal_from_seq = self.next_seq + FRAMES_BEFORE_RETRY;
                }
            }
        }
        later.append(&mut self.to_seal);
        self.to_seal = later;
        outcome
    }

    /// Seals a segment; tells whether it did.
    fn seal(&mut self, number: u64) -> io::Result<bool> {
        let Some(file) = self.segments.iter().map(|held| held.file).find(|file| file.number == number) else {
            return Ok(false);
        };
        let full = Segment::open(self.disk.as_ref(), number, file.len, false)?;
        let Some(bytes) = seal::seal(&full)? else { return Ok(false) };
        let len = bytes.len() as u64;
        // Where there is room for both only once an older one has gone, the oldest goes first as it is.
        if len >= file.len || self.make_room_before(len, number).is_err() {
            return Ok(false);
        }
        let sealed = StoredFile { number, form: Form::Sealed, len };
        self.publish(&sealed.name(), &bytes)?;
        self.bytes_written += len;
        match self.disk.remove(&file.name()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                // Both would be more than is counted.
                self.disk.remove(&sealed.name()).ok();
                return Err(error);
            }
            _ => {}
        }
        if let Some(held) = self.segments.iter_mut().find(|held| held.file.number == number) {
            held.file = sealed;
        }
        self.disk.sync_names()?;
        Ok(true)
    }

    /// Makes a file durable under `name`; nothing is left of it when that fails.
    fn publish(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let temporary = format!("{name}.tmp");
        let publish = || {
            self.disk.write_new(&temporary, bytes)?;
            self.disk.rename(&temporary, name)?;
            self.disk.sync_names()
        };
        publish().inspect_err(|_| {
            // Whichever of the two names it got to; the first error is the one to tell.
            self.disk.remove(&temporary).ok();
            self.disk.remove(name).ok();
        })
    }
}
