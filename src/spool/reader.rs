//! Reading a spool without a lock: live beside its writer, or from a card of another machine.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::decode::{Damage, Decoder};
use super::page::{Cursors, Found, Page};
use super::record::Record;
use super::segment::{self, HeaderState, Loaded, Segment};
use crate::frame::Frame;
use crate::platform::disk::Disk;
use crate::series::{SeriesTable, MAX_SERIES};

/// What `ls` tells about one segment.
#[derive(Clone, Debug)]
pub struct SegmentSummary {
    /// Its file.
    pub name: String,
    /// Bytes of the file.
    pub bytes: u64,
    /// Of another version: left alone.
    pub foreign_version: Option<u32>,
    /// Frames in it.
    pub frames: u64,
    /// Readings in all of them.
    pub readings: u64,
    /// First and last frame, with their stamps.
    pub first: Option<(u64, crate::platform::clock::Stamp)>,
    /// See `first`.
    pub last: Option<(u64, crate::platform::clock::Stamp)>,
    /// Bytes of pages that hold anything.
    pub used_bytes: u64,
    /// What is wrong with it.
    pub damage: Damage,
}

/// What troubled a sink when the spool was last written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The sink.
    pub sink: String,
    /// Since when, in milliseconds since 1970.
    pub since_ms: i64,
    /// In words.
    pub text: String,
}

impl Trouble {
    /// Enters what a record says into the list: one trouble for each sink, an empty text ends it.
    pub(super) fn note(list: &mut Vec<Self>, sink: &str, since_ms: i64, text: &str) {
        list.retain(|trouble| trouble.sink != sink);
        if !text.is_empty() {
            list.push(Self { sink: sink.to_owned(), since_ms, text: text.to_owned() });
        }
    }
}

/// Reads frames in order.
#[derive(Debug)]
pub struct Reader {
    disk: Arc<dyn Disk>,
    table: SeriesTable,
    /// What has been met so far that is not as it should be.
    pub damage: Damage,
}

impl Reader {
    /// A reader of the spool on `disk`.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk, table: SeriesTable::default(), damage: Damage::default() }
    }

    /// The table of the series met so far.
    #[must_use]
    pub fn table(&self) -> &SeriesTable {
        &self.table
    }

    /// The same, for frames that come from elsewhere and are to be compared with this reader's.
    pub fn table_mut(&mut self) -> &mut SeriesTable {
        &mut self.table
    }

    /// Numbers and lengths of all segments, oldest first.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn segments(disk: &dyn Disk) -> io::Result<Vec<(u64, u64)>> {
        let files = disk.list()?;
        let mut segments: Vec<_> =
            files.iter().filter_map(|(name, len)| Some((segment::number(name)?, *len))).collect();
        segments.sort_unstable();
        Ok(segments)
    }

    /// Visits every frame from number `from` on, in order, until `visit` says stop.
    ///
    /// Damage is counted and skipped; a segment that vanishes meanwhile is one that retention took.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub fn frames(
        &mut self,
        from: u64,
        visit: &mut dyn FnMut(&Frame, &SeriesTable) -> ControlFlow<()>,
    ) -> io::Result<()> {
        let segments = self.segments_from(from)?;
        let mut decoder = Decoder::default();
        let mut page = Page::default();
        let mut last = 0;
        let stopped = std::cell::Cell::new(false);
        let mut missing = 0;
        let mut emit = |frame: &Frame, table: &SeriesTable| {
            // A number seen before is the same frame in two parts of the spool, after a crash between them.
            if stopped.get() || frame.seq < from || frame.seq <= last {
                return;
            }
            missing += if last == 0 { 0 } else { frame.seq - last - 1 };
            last = frame.seq;
            stopped.set(visit(frame, table).is_break());
        };
        for (number, len) in segments {
            let Some(segment) = self.open(number, len) else { continue };
            decoder.begin_segment();
            if self.table.len() > MAX_SERIES / 2 {
                // Devices that came and went over the years must not take the numbers of those of today.
                decoder.finish(&self.table, &mut emit);
                self.table = SeriesTable::next(&self.table);
            }
            let (table, damage) = (&mut self.table, &mut self.damage);
            segment.pages(&mut page, &mut |index, loaded, page| {
                damage.bad_pages += u64::from(loaded == Loaded::Damaged);
                decoder.page(page, segment.id(index), table, damage, &mut emit);
                if stopped.get() {
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            });
            if stopped.get() {
                break;
            }
        }
        decoder.finish(&self.table, &mut emit);
        self.damage.missing_frames += missing;
        Ok(())
    }

    /// The newest frame, with the table that numbers its series.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub fn last_frame(&mut self) -> io::Result<Option<(Box<Frame>, &SeriesTable)>> {
        let mut last: Option<Box<Frame>> = None;
        for (number, len) in Self::segments(self.disk.as_ref())?.into_iter().rev() {
            let Ok(segment) = Segment::open(self.disk.as_ref(), number, len, false) else { continue };
            // One more, because a frame of many parts may begin in the segment before.
            self.frames(segment.first_frame().unwrap_or(0).saturating_add(1), &mut |frame, _| {
                match &mut last {
                    Some(last) => last.as_mut().clone_from(frame),
                    last @ None => *last = Some(Box::new(frame.clone())),
                }
                ControlFlow::Continue(())
            })?;
            if last.is_some() {
                break;
            }
        }
        if last.is_none() {
            // Nothing but the first frame of the oldest segment, perhaps.
            self.frames(0, &mut |frame, _| {
                last = Some(Box::new(frame.clone()));
                ControlFlow::Continue(())
            })?;
        }
        Ok(last.map(|last| (last, &self.table)))
    }

    /// The segments that can hold frame `from` or later ones, oldest first.
    fn segments_from(&mut self, from: u64) -> io::Result<Vec<(u64, u64)>> {
        let mut wanted = Vec::new();
        for (number, len) in Self::segments(self.disk.as_ref())?.into_iter().rev() {
            wanted.push((number, len));
            let segment = Segment::open(self.disk.as_ref(), number, len, false);
            if segment.is_ok_and(|segment| segment.first_frame().is_some_and(|first| first < from)) {
                break;
            }
        }
        wanted.reverse();
        Ok(wanted)
    }

    /// Opens a segment to be read; what cannot be read is counted.
    fn open(&mut self, number: u64, len: u64) -> Option<Segment> {
        match Segment::open(self.disk.as_ref(), number, len, false) {
            Ok(segment) if matches!(segment.header, HeaderState::Foreign(_)) => {
                self.damage.foreign_segments += 1;
                None
            }
            Ok(segment) => {
                self.damage.bad_segments += u64::from(segment.header == HeaderState::Damaged);
                Some(segment)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                log::warn!("spool: open segment {}: {error}", segment::name(number));
                self.damage.bad_segments += 1;
                None
            }
        }
    }

    /// The cursors and troubles that were last written.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn sinks(disk: &dyn Disk) -> io::Result<(Cursors, Vec<Trouble>)> {
        let mut page = Page::default();
        for (number, len) in Self::segments(disk)?.into_iter().rev() {
            let segment = match Segment::open(disk, number, len, false) {
                Ok(segment) if !matches!(segment.header, HeaderState::Foreign(_)) => segment,
                _ => continue,
            };
            if let Some(cursors) = segment.newest_cursors(&mut page)? {
                return Ok((cursors, troubles(&segment, &mut page)));
            }
        }
        Ok((Cursors::new(), Vec::new()))
    }

    /// What one segment holds.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn summary(disk: &dyn Disk, number: u64, len: u64) -> io::Result<SegmentSummary> {
        let segment = Segment::open(disk, number, len, false)?;
        let mut summary = SegmentSummary {
            name: segment::name(number),
            bytes: len,
            foreign_version: None,
            frames: 0,
            readings: 0,
            first: None,
            last: None,
            used_bytes: 0,
            damage: Damage::default(),
        };
        match segment.header {
            HeaderState::Foreign(version) => {
                summary.foreign_version = Some(version);
                summary.damage.foreign_segments = 1;
                return Ok(summary);
            }
            HeaderState::Damaged => summary.damage.bad_segments = 1,
            HeaderState::Good(_) => {}
        }
        let mut decoder = Decoder::default();
        let mut table = SeriesTable::default();
        let mut damage = summary.damage;
        let mut used_bytes = 0;
        let mut emit = |frame: &Frame, _: &SeriesTable| {
            summary.frames += 1;
            summary.readings += frame.readings().len() as u64;
            summary.first = summary.first.or(Some((frame.seq, frame.stamp)));
            if let Some((last, _)) = summary.last {
                damage.missing_frames += frame.seq.saturating_sub(last).saturating_sub(1);
            }
            summary.last = Some((frame.seq, frame.stamp));
        };
        let mut inner = Damage::default();
        segment.pages(&mut Page::default(), &mut |index, loaded, page| {
            used_bytes += if loaded == Loaded::Blank { 0 } else { super::page::PAGE_BYTES as u64 };
            inner.bad_pages += u64::from(loaded == Loaded::Damaged);
            decoder.page(page, segment.id(index), &mut table, &mut inner, &mut emit);
            ControlFlow::Continue(())
        });
        decoder.finish(&table, &mut emit);
        inner.missing_frames = damage.missing_frames;
        inner.bad_segments = damage.bad_segments;
        summary.damage = inner;
        summary.used_bytes = used_bytes;
        Ok(summary)
    }
}

/// The last trouble of each sink that the segment tells of.
fn troubles(segment: &Segment, page: &mut Page) -> Vec<Trouble> {
    let mut troubles: Vec<Trouble> = Vec::new();
    segment.pages(page, &mut |index, _, page| {
        for found in page.records(segment.id(index)) {
            if let Found::Record(_, Record::Trouble { sink, since_ms, text }) = found {
                Trouble::note(&mut troubles, &sink, since_ms, &text);
            }
        }
        ControlFlow::Continue(())
    });
    troubles
}
