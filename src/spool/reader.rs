//! Reading a spool without a lock: live beside its writer, or from a card of another machine.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::decode::{Damage, Decoder, EmitFrame};
use super::files::{list, Form, StoredFile};
use super::page::{Cursors, Page, PAGE_BYTES};
use super::record::MAX_SEQ;
use super::segment::{HeaderState, Loaded};
use super::stored::{self, Stored};
use super::timeline::Timeline;
use super::trouble::Trouble;
use crate::frame::Frame;
use crate::platform::clock::Stamp;
use crate::platform::disk::Disk;
use crate::series::{Series, SeriesTable, MAX_SERIES};

/// What `ls` tells about one segment.
#[derive(Clone, Debug)]
pub struct SegmentSummary {
    /// Its file.
    pub file: StoredFile,
    /// Of another version: left alone.
    pub foreign_version: Option<u32>,
    /// Frames in it.
    pub frames: u64,
    /// Readings in all of them.
    pub readings: u64,
    /// First and last frame, with their stamps.
    pub first: Option<(u64, Stamp)>,
    /// See `first`.
    pub last: Option<(u64, Stamp)>,
    /// Bytes that hold anything: a segment of pages is as long from the beginning as it can become.
    pub used_bytes: u64,
    /// What is wrong with it.
    pub damage: Damage,
}

impl SegmentSummary {
    fn empty(stored: &Stored, file: &StoredFile) -> Self {
        let form = match stored {
            Stored::Pages(_) => Form::Pages,
            Stored::Sealed(_) => Form::Sealed,
        };
        Self {
            file: StoredFile { form, ..*file },
            foreign_version: None,
            frames: 0,
            readings: 0,
            first: None,
            last: None,
            used_bytes: 0,
            damage: Damage::default(),
        }
    }
}

/// Reads frames in order.
pub struct Reader {
    disk: Arc<dyn Disk>,
    table: SeriesTable,
    wanted: Box<dyn Fn(&Series) -> bool + Send>,
    /// What has been met so far that is not as it should be.
    pub damage: Damage,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("disk", &self.disk).field("damage", &self.damage).finish_non_exhaustive()
    }
}

impl Reader {
    /// A reader of the spool on `disk`.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk, table: SeriesTable::default(), wanted: Box::new(|_| true), damage: Damage::default() }
    }

    /// The same for some series only: of sealed segments the others are not even decoded.
    #[must_use]
    pub fn only(self, wanted: impl Fn(&Series) -> bool + Send + 'static) -> Self {
        Self { wanted: Box::new(wanted), ..self }
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
        let files = self.files_from(from)?;
        let mut decoder = Decoder::default();
        let mut page = Page::default();
        let mut last = 0;
        let stopped = std::cell::Cell::new(false);
        let mut missing = 0;
        let mut emit = |frame: &Frame, table: &SeriesTable| {
            // A number seen before is the same frame in two parts of the spool, after a crash between them.
            // One that no writer gave is damage that passed for right.
            if stopped.get() || frame.seq < from || frame.seq <= last || frame.seq >= MAX_SEQ {
                return;
            }
            missing += if last == 0 { 0 } else { frame.seq - last - 1 };
            last = frame.seq;
            stopped.set(visit(frame, table).is_break());
        };
        for file in files {
            let Some(stored) = self.open(&file) else { continue };
            if self.table.len() > MAX_SERIES / 2 {
                // Devices that came and went over the years must not take the numbers of those of today.
                decoder.finish(&self.table, &mut emit);
                self.table = SeriesTable::next(&self.table);
            }
            let mut contents = Contents { from, wanted: &self.wanted, page: &mut page, decoder: &mut decoder };
            contents.read(&stored, &mut self.table, &mut self.damage, &|| stopped.get(), &mut emit);
            if stopped.get() {
                break;
            }
        }
        decoder.finish(&self.table, &mut emit);
        self.damage.missing_frames += missing;
        Ok(())
    }

    /// What is known of the boots of all frames from number `from` on.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub fn timeline(&self, from: u64) -> io::Result<Timeline> {
        let mut timeline = Timeline::default();
        // Of sealed segments, no column is decoded for this.
        Self::new(Arc::clone(&self.disk)).only(|_| false).frames(from, &mut |frame, _| {
            timeline.add(&frame.stamp);
            ControlFlow::Continue(())
        })?;
        Ok(timeline)
    }

    /// The newest frame, with the table that numbers its series.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub fn last_frame(&mut self) -> io::Result<Option<(Box<Frame>, &SeriesTable)>> {
        let mut last: Option<Box<Frame>> = None;
        for file in list(self.disk.as_ref())?.into_iter().rev() {
            let Ok(first) = stored::first_frame(self.disk.as_ref(), &file) else { continue };
            // One more, because a frame of many parts may begin in the segment before.
            self.frames(first.unwrap_or(0).saturating_add(1), &mut |frame, _| {
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
    fn files_from(&mut self, from: u64) -> io::Result<Vec<StoredFile>> {
        let mut wanted = Vec::new();
        for file in list(self.disk.as_ref())?.into_iter().rev() {
            wanted.push(file);
            let first = stored::first_frame(self.disk.as_ref(), &file).unwrap_or_default();
            if first.is_some_and(|first| first < from) {
                break;
            }
        }
        wanted.reverse();
        Ok(wanted)
    }

    /// Opens a segment to be read; what cannot be read is counted.
    fn open(&mut self, file: &StoredFile) -> Option<Stored> {
        match open(self.disk.as_ref(), file) {
            Ok(stored) => stored.filter(|stored| match stored.header() {
                HeaderState::Foreign(_) => {
                    self.damage.foreign_segments += 1;
                    false
                }
                state => {
                    self.damage.bad_segments += u64::from(state == HeaderState::Damaged);
                    true
                }
            }),
            Err(error) => {
                log::warn!("spool: open segment {}: {error}", file.name());
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
        for file in list(disk)?.into_iter().rev() {
            let stored = match Stored::open(disk, &file) {
                Ok(stored) if !matches!(stored.header(), HeaderState::Foreign(_)) => stored,
                _ => continue,
            };
            if let Some(sinks) = stored.sinks(&mut page)? {
                return Ok(sinks);
            }
        }
        Ok((Cursors::new(), Vec::new()))
    }

    /// What one segment holds, without decoding a sealed one that is whole: that is what its footer is for. `None` if
    /// retention took it meanwhile.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn glance(disk: &dyn Disk, file: &StoredFile) -> io::Result<Option<SegmentSummary>> {
        let Some(stored) = open(disk, file)? else { return Ok(None) };
        let Stored::Sealed(sealed) = &stored else { return Ok(Some(summary_of(&stored, file))) };
        Ok(Some(match (sealed.footer(), sealed.row_count()) {
            (Some(footer), Some(frames)) if sealed.is_whole() => SegmentSummary {
                frames,
                readings: footer.columns.iter().map(|sums| u64::from(sums.count)).sum(),
                first: Some(footer.first),
                last: Some(footer.last),
                used_bytes: sealed.len() as u64,
                ..SegmentSummary::empty(&stored, file)
            },
            _ => summary_of(&stored, file),
        }))
    }

    /// What one segment holds, every reading of it decoded. `None` if retention took it meanwhile.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn summary(disk: &dyn Disk, file: &StoredFile) -> io::Result<Option<SegmentSummary>> {
        Ok(open(disk, file)?.map(|stored| summary_of(&stored, file)))
    }
}

/// Opens a segment in whatever form it has by now: it may have been sealed since it was listed. `None` if it is gone.
fn open(disk: &dyn Disk, file: &StoredFile) -> io::Result<Option<Stored>> {
    const TRIES: usize = 3;
    let mut file = *file;
    for _ in 0..TRIES {
        match Stored::open(disk, &file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            stored => return stored.map(Some),
        }
        match list(disk)?.into_iter().find(|other| other.number == file.number) {
            Some(other) => file = other,
            None => break,
        }
    }
    Ok(None)
}

fn summary_of(stored: &Stored, file: &StoredFile) -> SegmentSummary {
    let mut summary = SegmentSummary::empty(stored, file);
    match stored.header() {
        HeaderState::Foreign(version) => {
            summary.foreign_version = Some(version);
            summary.damage.foreign_segments = 1;
            return summary;
        }
        HeaderState::Damaged => summary.damage.bad_segments = 1,
        HeaderState::Good(_) => {}
    }
    let mut missing_frames = 0;
    let mut emit = |frame: &Frame, _: &SeriesTable| {
        summary.frames += 1;
        summary.readings += frame.readings().len() as u64;
        summary.first = summary.first.or(Some((frame.seq, frame.stamp)));
        if let Some((last, _)) = summary.last {
            missing_frames = frame.seq.saturating_sub(last).saturating_sub(1).saturating_add(missing_frames);
        }
        summary.last = Some((frame.seq, frame.stamp));
    };
    let (mut decoder, mut page, mut table) = (Decoder::default(), Page::default(), SeriesTable::default());
    let mut contents = Contents { from: 0, wanted: &|_: &Series| true, page: &mut page, decoder: &mut decoder };
    summary.used_bytes = contents.read(stored, &mut table, &mut summary.damage, &|| false, &mut emit);
    decoder.finish(&table, &mut emit);
    summary.damage.missing_frames = missing_frames;
    summary
}

/// What is needed to read one segment after the other.
struct Contents<'a> {
    from: u64,
    wanted: &'a dyn Fn(&Series) -> bool,
    page: &'a mut Page,
    decoder: &'a mut Decoder,
}

impl Contents<'_> {
    /// Emits every frame of a segment but the last, which may go on in the next; returns the bytes that hold anything.
    fn read(
        &mut self,
        stored: &Stored,
        table: &mut SeriesTable,
        damage: &mut Damage,
        is_stopped: &dyn Fn() -> bool,
        emit: &mut EmitFrame<'_>,
    ) -> u64 {
        let Self { decoder, wanted, .. } = self;
        let after = || if is_stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let mut used_bytes = 0;
        match stored {
            Stored::Pages(segment) => {
                decoder.begin_segment();
                segment.pages(self.page, &mut |index, loaded, page| {
                    used_bytes += PAGE_BYTES as u64;
                    damage.bad_pages += u64::from(loaded == Loaded::Damaged);
                    decoder.page(page, segment.id(index), wanted, table, damage, emit);
                    after()
                });
            }
            Stored::Sealed(sealed) => {
                used_bytes = sealed.len() as u64;
                sealed.frames(self.from, wanted, table, damage, &mut |seq, stamp, readings, table| {
                    decoder.part(seq, stamp, readings, table, emit);
                    after()
                });
            }
        }
        used_bytes
    }
}
