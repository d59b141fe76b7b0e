//! The one writer: frames into pages, pages into segments, old segments away.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use super::files::{self, Form, StoredFile};
use super::memory::HeldFrame;
use super::page::{Cursors, Found, Page, PageHeader, PAGE_BYTES};
use super::record::{Key, Record, MAX_PARTS, PART_READINGS};
use super::segment::{Segment, SegmentHeader, LEADING_PAGES};
use super::trouble::Trouble;
use crate::frame::Frame;
use crate::platform::clock::Stamp;
use crate::platform::disk::Disk;
use crate::series::{SeriesId, SeriesTable, MAX_SERIES};

/// The smallest cap on the bytes of a spool.
pub const MIN_MAX_BYTES: u64 = 256 * 1024;
/// The most of a sink's trouble that is kept.
const MAX_TROUBLE_CHARS: usize = 200;
/// Bytes of a segment in a spool of 1 MiB or more; a day of a small host at one frame a minute.
const SEGMENT_BYTES: u64 = 256 * 1024;

/// Writes frames. An error leaves it as it was, so that the same call may be tried again.
#[derive(Debug)]
pub struct Writer {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) max_bytes: u64,
    /// All segments, oldest first.
    pub(super) segments: Vec<Held>,
    /// Numbers of those that are full and not sealed yet, oldest first.
    pub(super) to_seal: VecDeque<u64>,
    /// After a failure: sealing is tried again with this frame.
    pub(super) seal_from_seq: u64,
    pub(super) hot: Option<Segment>,
    pub(super) page: Page,
    /// Where in the hot segment's body `page` belongs.
    pub(super) index: u32,
    pub(super) commit: u64,
    pub(super) next_slot: usize,
    pub(super) keys: Keys,
    pub(super) defined: Defined,
    /// Series defined in `page` for the first time in the segment: the next page repeats them, so that one
    /// damaged page does not cost a series its name.
    pub(super) fresh_definitions: Vec<SeriesId>,
    pub(super) next_seq: u64,
    pub(super) durable_seq: u64,
    pub(super) cursors: Cursors,
    pub(super) troubles: Vec<Trouble>,
    pub(super) is_dirty: bool,
    pub(super) bytes_written: u64,
}

/// A segment on disk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) file: StoredFile,
    /// Known once its header was read.
    pub(super) first_frame: Option<u64>,
}

/// The keys of the page that is being filled, with where they begin.
pub(super) type Keys = Box<[Option<(u16, Key)>; MAX_PARTS]>;

/// Which series the hot segment defines.
#[derive(Debug)]
pub(super) struct Defined(Box<[u64; MAX_SERIES / 64]>);

impl Default for Defined {
    fn default() -> Self {
        Self(Box::new([0; MAX_SERIES / 64]))
    }
}

impl Defined {
    fn contains(&self, id: SeriesId) -> bool {
        self.0.get(usize::from(id) / 64).is_some_and(|word| word >> (id % 64) & 1 == 1)
    }

    /// Adds a number; tells whether it was new.
    pub(super) fn insert(&mut self, id: SeriesId) -> bool {
        let is_new = !self.contains(id);
        if let Some(word) = self.0.get_mut(usize::from(id) / 64) {
            *word |= 1 << (id % 64);
        }
        is_new
    }

    fn clear(&mut self) {
        self.0.fill(0);
    }
}

impl Writer {
    /// Adds a frame and returns its number. It is durable once [`Writer::durable_seq`] is past that.
    ///
    /// # Errors
    /// Those of the disk. The frame is not in the spool then, and may be tried again.
    pub fn append(&mut self, frame: &Frame, table: &SeriesTable) -> io::Result<u64> {
        let seq = self.next_seq;
        let parts = u8::try_from(frame.readings().len().div_ceil(PART_READINGS).max(1)).unwrap_or(u8::MAX);
        for part in 0..parts {
            if let Err(error) = self.append_part(frame, table, seq, part, parts) {
                // Parts already in the page keep this number; another try must not mix with them.
                self.next_seq += u64::from(part > 0);
                return Err(error);
            }
        }
        self.next_seq = seq + 1;
        self.is_dirty = true;
        Ok(seq)
    }

    fn append_part(&mut self, frame: &Frame, table: &SeriesTable, seq: u64, part: u8, parts: u8) -> io::Result<()> {
        let start = usize::from(part) * PART_READINGS;
        let readings = frame.readings().get(start..).unwrap_or_default();
        let readings = readings.get(..PART_READINGS).unwrap_or(readings);
        loop {
            self.begin_page(table)?;
            let all_defined = readings.iter().all(|reading| self.define(reading.series, table));
            if all_defined && self.push_part(seq, part, parts, frame.stamp, readings) {
                return Ok(());
            }
            self.finish_page()?;
        }
    }

    fn push_part(&mut self, seq: u64, part: u8, parts: u8, stamp: Stamp, readings: &[crate::frame::Reading]) -> bool {
        let Some(id) = self.hot.as_ref().map(|hot| hot.id(self.index)) else { return false };
        let Some(key) = self.keys.get_mut(usize::from(part)) else { return false };
        let row = key.as_ref().and_then(|(offset, key)| key.row(*offset, seq, parts, stamp, readings));
        if let Some(row) = row {
            return self.page.push(id, &Record::Row(row)).is_some();
        }
        let record = Record::Key(Key::of(seq, part, parts, stamp, readings));
        let Some(offset) = self.page.push(id, &record) else { return false };
        if let Record::Key(new) = record {
            *key = Some((offset, new));
        }
        true
    }

    /// Makes sure that the hot segment says what `id` stands for; `false` when the page has no room for that.
    fn define(&mut self, id: SeriesId, table: &SeriesTable) -> bool {
        if self.defined.contains(id) {
            return true;
        }
        if !self.push_definition(id, table) {
            return false;
        }
        self.defined.insert(id);
        self.fresh_definitions.push(id);
        true
    }

    fn push_definition(&mut self, id: SeriesId, table: &SeriesTable) -> bool {
        let (Some(series), Some(hot)) = (table.series(id), &self.hot) else { return true };
        let record = Record::Series { id, series: Cow::Borrowed(series.as_ref()) };
        self.page.push(hot.id(self.index), &record).is_some()
    }

    /// Makes sure that there is a page to write to, in a segment that has room.
    fn begin_page(&mut self, table: &SeriesTable) -> io::Result<()> {
        if self.hot.is_none() {
            self.create_segment()?;
        }
        if self.page.is_empty() {
            for id in std::mem::take(&mut self.fresh_definitions) {
                self.push_definition(id, table);
            }
        }
        Ok(())
    }

    fn create_segment(&mut self) -> io::Result<()> {
        let bytes = SEGMENT_BYTES.min(self.max_bytes / 4);
        let body_pages = u32::try_from(bytes / PAGE_BYTES as u64).unwrap_or(u32::MAX).saturating_sub(LEADING_PAGES);
        let pages = body_pages + LEADING_PAGES;
        let len = u64::from(pages) * PAGE_BYTES as u64;
        self.make_room(len)?;
        let number = self.segments.last().map_or(0, |held| held.file.number) + 1;
        let header = SegmentHeader { segment: number, first_frame: self.next_seq, pages };
        self.hot = Some(Segment::create(self.disk.as_ref(), header)?);
        let file = StoredFile { number, form: Form::Pages, len };
        self.segments.push(Held { file, first_frame: Some(self.next_seq) });
        self.bytes_written += len;
        self.forget_page();
        self.index = 0;
        self.next_slot = 0;
        self.push_troubles();
        Ok(())
    }

    /// Writes the page to its final place, durably, and begins the next one.
    fn finish_page(&mut self) -> io::Result<()> {
        let Some(hot) = &self.hot else { return Ok(()) };
        let header = PageHeader { id: hot.id(self.index), commit: self.commit + 1 };
        self.page.seal(header, &self.cursors);
        hot.write_body(self.index, &self.page)?;
        self.commit += 1;
        self.bytes_written += PAGE_BYTES as u64;
        self.durable_seq = self.next_seq;
        let is_full = self.index + 1 >= hot.body_pages;
        self.begin_page_after(self.index);
        if is_full {
            self.leave_segment();
        }
        Ok(())
    }

    /// The hot segment is full, or taken for full: the next frame begins another, and this one is to be sealed.
    fn leave_segment(&mut self) {
        self.to_seal.extend(self.hot.take().map(|full| full.number));
    }

    pub(super) fn begin_page_after(&mut self, index: u32) {
        self.page.clear();
        self.keys.fill(None);
        self.index = index + 1;
    }

    /// Forgets the page and what is defined: another segment begins.
    pub(super) fn forget_page(&mut self) {
        self.page.clear();
        self.keys.fill(None);
        self.defined.clear();
        self.fresh_definitions.clear();
    }

    /// Leaves out numbers before `seq`: their frames are gone.
    pub fn skip_to(&mut self, seq: u64) {
        self.next_seq = self.next_seq.max(seq);
    }

    /// The frames in the page that no sync has made durable yet, and that begin in it.
    #[must_use]
    pub fn undurable(&self, table: &SeriesTable) -> Vec<HeldFrame> {
        let mut frames: Vec<HeldFrame> = Vec::new();
        let Some(id) = self.hot.as_ref().map(|hot| hot.id(self.index)) else { return frames };
        let mut keys: Vec<(u16, Key)> = Vec::new();
        for found in self.page.records(id) {
            let (part, seq, stamp, readings) = match found {
                Found::Record(offset, Record::Key(key)) => {
                    keys.push((offset, key.clone()));
                    (key.part, key.seq, key.stamp, key.readings().collect::<Vec<_>>())
                }
                Found::Record(_, Record::Row(row)) => {
                    let Some((_, key)) = keys.iter().find(|(offset, _)| *offset == row.key_offset) else { continue };
                    let (seq, stamp) = row.place(key);
                    (key.part, seq, stamp, row.readings(key).collect())
                }
                _ => continue,
            };
            if seq < self.durable_seq {
                continue;
            }
            let readings = HeldFrame::readings_of(readings.iter(), table);
            match frames.last_mut().filter(|last| last.seq == seq) {
                Some(last) => last.extend(readings),
                None if part == 0 => frames.push(HeldFrame::new(seq, stamp, readings)),
                None => {}
            }
        }
        frames
    }

    /// Makes everything appended so far durable.
    ///
    /// The page that still fills goes to whichever tail slot does not hold its last durable copy, so that a write
    /// torn by a power cut never takes what an earlier sync promised.
    ///
    /// # Errors
    /// Those of the disk; nothing already durable is touched.
    pub fn sync(&mut self) -> io::Result<()> {
        let Some(hot) = self.hot.as_ref().filter(|_| self.is_dirty) else { return Ok(()) };
        let header = PageHeader { id: hot.id(self.index), commit: self.commit + 1 };
        self.page.seal(header, &self.cursors);
        hot.write_slot(self.next_slot, &self.page)?;
        self.commit += 1;
        self.bytes_written += PAGE_BYTES as u64;
        self.next_slot = 1 - self.next_slot;
        self.durable_seq = self.next_seq;
        self.is_dirty = false;
        Ok(())
    }

    /// Ends the hot segment where it is, because `table` is about to be renewed and numbers will mean other series.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn end_segment(&mut self) -> io::Result<()> {
        if !self.page.is_empty() {
            self.finish_page()?;
        }
        self.leave_segment();
        Ok(())
    }

    /// Reopens the hot segment's file after an error: a disk that came back is another one to the kernel.
    pub fn reopen(&mut self) {
        let Some(hot) = &self.hot else { return };
        let len = u64::from(hot.body_pages + LEADING_PAGES) * PAGE_BYTES as u64;
        match Segment::open(self.disk.as_ref(), hot.number, len, true) {
            Ok(segment) => self.hot = Some(segment),
            Err(error) => {
                crate::verbose!("spool: reopen segment {}: {error}", files::name(hot.number, Form::Pages));
            }
        }
    }

    /// What troubles a sink, written when it changes; an empty `text` ends it.
    pub fn set_trouble(&mut self, sink: &str, since_ms: i64, text: &str) {
        let text: &str = &text.chars().take(MAX_TROUBLE_CHARS).collect::<String>();
        let known = self.troubles.iter().any(|trouble| trouble.sink == sink && trouble.text == text);
        if known || (text.is_empty() && !self.troubles.iter().any(|trouble| trouble.sink == sink)) {
            return;
        }
        self.troubles.retain(|trouble| trouble.sink != sink);
        self.troubles.push(Trouble { sink: sink.to_owned(), since_ms, text: text.to_owned() });
        // The end of a trouble is told only here: without room for it, the trouble would last for ever.
        if !self.push_troubles() && self.finish_page().is_ok() {
            self.push_troubles();
        }
        self.troubles.retain(|trouble| !trouble.text.is_empty());
    }

    /// Whether the page had room for all.
    fn push_troubles(&mut self) -> bool {
        let mut all = true;
        let Some(id) = self.hot.as_ref().map(|hot| hot.id(self.index)) else { return all };
        for trouble in &self.troubles {
            let record = Record::Trouble {
                sink: Cow::Borrowed(&trouble.sink),
                since_ms: trouble.since_ms,
                text: Cow::Borrowed(&trouble.text),
            };
            let is_in = self.page.push(id, &record).is_some();
            self.is_dirty |= is_in;
            all &= is_in;
        }
        all
    }

    /// The cursor of `sink`, made if it is new. Whoever changes it calls [`Writer::sync`] sooner or later.
    pub fn cursor(&mut self, sink: &str) -> Option<&mut super::cursor::Cursor> {
        let place = match self.cursors.iter().position(|cursor| cursor.sink == sink) {
            Some(place) => place,
            None => {
                self.cursors.push(super::cursor::Cursor::new(sink)).ok()?;
                self.reconcile();
                self.cursors.len() - 1
            }
        };
        self.is_dirty = true;
        self.cursors.get_mut(place)
    }

    /// All cursors.
    #[must_use]
    pub fn cursors(&self) -> &Cursors {
        &self.cursors
    }

    /// The number that the next frame gets.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Frames below this number survive a power cut.
    #[must_use]
    pub fn durable_seq(&self) -> u64 {
        self.durable_seq
    }

    /// Bytes of all segments, the part not yet used included.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|held| held.file.len).sum()
    }

    /// Bytes written to the disk since the spool was opened, file system overhead excluded.
    #[must_use]
    pub fn bytes_written(&self) -> u64 {
        self.bytes_written
    }
}
