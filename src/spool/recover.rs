//! Opening a spool after anything: a clean stop, a power cut, bits flipped by a dying card.

use std::collections::VecDeque;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::files::{self, Form, StoredFile};
use super::page::{Cursors, Found, Page, PageHeader};
use super::record::{Record, MAX_SEQ};
use super::sealed::{Sealed, MAX_ROWS};
use super::segment::{HeaderState, Loaded, Segment};
use super::trouble::Trouble;
use super::writer::{Defined, Held, Keys, Writer, MIN_MAX_BYTES};
use crate::platform::disk::Disk;
use crate::series::SeriesTable;

/// No frame takes less than this on disk.
const LEAST_FRAME_BYTES: u64 = 16;

impl Writer {
    /// Opens the spool on `disk`, repairs what a crash left, and gives `table` the series of the hot segment.
    ///
    /// # Errors
    /// Those of the disk; damage is no error.
    pub fn open(disk: Arc<dyn Disk>, max_bytes: u64, table: &mut SeriesTable) -> io::Result<Self> {
        let mut writer = Self {
            disk,
            max_bytes: max_bytes.max(MIN_MAX_BYTES),
            segments: Vec::new(),
            to_seal: VecDeque::new(),
            seal_from_seq: 0,
            hot: None,
            page: Page::default(),
            index: 0,
            commit: 0,
            next_slot: 0,
            keys: Keys::default(),
            defined: Defined::default(),
            fresh_definitions: Vec::with_capacity(128),
            next_seq: 1,
            durable_seq: 1,
            cursors: Cursors::new(),
            troubles: Vec::new(),
            is_dirty: false,
            bytes_written: 0,
        };
        recover(&mut writer, table)?;
        if let Err(error) = writer.make_room(0) {
            // The cap was lowered below what cannot be removed. Nothing is added to it.
            log::warn!("spool: {error}");
        }
        writer.reconcile();
        Ok(writer)
    }
}

/// Fills a new writer from what is on disk. Of all segments only the oldest and the newest are opened.
fn recover(writer: &mut Writer, table: &mut SeriesTable) -> io::Result<()> {
    let mut files = Vec::new();
    for (name, len) in writer.disk.list()? {
        if let Some(file) = StoredFile::of(&name, len) {
            files.push(file);
        } else if name.strip_suffix(".tmp").is_some_and(|name| StoredFile::of(name, len).is_some()) {
            // A segment that was not renamed to its name yet holds nothing, or nothing that is not elsewhere.
            writer.disk.remove(&name)?;
        }
    }
    files.sort_unstable();
    let files = without_twins(writer.disk.as_ref(), files)?;
    writer.segments = files.iter().map(|file| Held { file: *file, first_frame: None }).collect();
    let mut unreadable_frames = 0;
    let mut is_newest = true;
    for file in files.iter().rev() {
        match open(writer, file, table, is_newest) {
            Ok(true) => break,
            Ok(false) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                log::warn!("spool: open {}: {error}", file.name());
                // Should it be readable again one day, its numbers must not have been given out twice.
                unreadable_frames += file.len / LEAST_FRAME_BYTES;
            }
        }
        is_newest = false;
    }
    // What lies before a sealed one and is not sealed itself could not be: it is damaged, or of another version.
    let hot = writer.hot.as_ref().map(|hot| hot.number);
    let full = files.iter().rev().take_while(|file| file.form == Form::Pages);
    writer.to_seal = full.map(|file| file.number).filter(|number| Some(*number) != hot).collect();
    writer.to_seal.make_contiguous().reverse();
    // Numbers that a sink has seen are not given out again, even if the frames themselves are damaged.
    let seen = writer.cursors.iter().map(|cursor| cursor.settled.max(cursor.ahead_to)).max();
    note_seq(writer, seen.unwrap_or(0).saturating_sub(1));
    writer.next_seq = writer.next_seq.saturating_add(unreadable_frames);
    writer.durable_seq = writer.next_seq;
    Ok(())
}

/// Frame `seq` was there: the next one is later. A number that no writer gave is damage that passed for right.
fn note_seq(writer: &mut Writer, seq: u64) {
    if seq < MAX_SEQ {
        writer.next_seq = writer.next_seq.max(seq + 1);
    }
}

/// Of a segment that is there in both forms, because the power went just after it was sealed, only one stays: the
/// sealed one, if it is whole.
fn without_twins(disk: &dyn Disk, files: Vec<StoredFile>) -> io::Result<Vec<StoredFile>> {
    let mut kept: Vec<StoredFile> = Vec::with_capacity(files.len());
    for file in files {
        let twin = kept.last().copied().filter(|last| last.number == file.number);
        let Some(pages) = twin else {
            kept.push(file);
            continue;
        };
        if Sealed::open(disk, &file.name(), file.number, file.len).is_ok_and(|sealed| sealed.is_whole()) {
            disk.remove(&pages.name())?;
            kept.pop();
            kept.push(file);
        } else {
            disk.remove(&file.name())?;
        }
    }
    Ok(kept)
}

/// Takes in the segment of `file`; tells whether it told of any frame.
fn open(writer: &mut Writer, file: &StoredFile, table: &mut SeriesTable, is_newest: bool) -> io::Result<bool> {
    let (header, told) = match file.form {
        Form::Pages => {
            let segment = Segment::open(writer.disk.as_ref(), file.number, file.len, true)?;
            let is_foreign = matches!(segment.header, HeaderState::Foreign(_));
            (segment.header, !is_foreign && resume(writer, segment, table, is_newest))
        }
        Form::Sealed => {
            let sealed = Sealed::open(writer.disk.as_ref(), &file.name(), file.number, file.len)?;
            (sealed.header, take_over(writer, &sealed))
        }
    };
    if let HeaderState::Foreign(version) = header {
        log::warn!("spool: {} is of format version {version}: left alone", file.name());
    }
    Ok(told)
}

/// Learns the last frame's number and the cursors from a sealed segment.
fn take_over(writer: &mut Writer, sealed: &Sealed) -> bool {
    if let HeaderState::Good(header) = sealed.header {
        note_seq(writer, header.first_frame.saturating_add(sealed.row_count().unwrap_or(MAX_ROWS as u64)));
    }
    let Some(footer) = sealed.footer() else { return false };
    note_seq(writer, footer.last.0);
    if writer.cursors.is_empty() {
        writer.cursors.clone_from(&footer.cursors);
        writer.troubles.clone_from(&footer.troubles);
    }
    true
}

/// What the pages of a segment tell.
#[derive(Default)]
struct Tail {
    /// The last page that holds anything.
    last: Option<(u32, Loaded)>,
    cursors: Option<(u64, Cursors)>,
    troubles: Vec<Trouble>,
    pages: u64,
    damaged: u64,
    /// A number stands for another series in `table` already.
    has_conflict: bool,
}

/// Takes in `segment`, and goes on writing to it if it `is_newest` and sound. Whether it told of any frame.
fn resume(writer: &mut Writer, segment: Segment, table: &mut SeriesTable, is_newest: bool) -> bool {
    let name = files::name(segment.number, Form::Pages);
    let mut page = Page::default();
    let mut tail = Tail::default();
    note_seq(writer, segment.first_frame().unwrap_or(1).saturating_sub(1));
    let newest_slot = segment.newest_slot(&mut page).unwrap_or_default();
    if let Some((_, header)) = newest_slot {
        tail.cursors = Some((header.commit, page.cursors()));
    }
    segment.pages(&mut page, &mut |index, loaded, page| {
        tail.last = Some((index, loaded));
        tail.pages += 1;
        tail.damaged += u64::from(!matches!(loaded, Loaded::Whole(_)));
        take_in(writer, &mut tail, page.records(segment.id(index)), table);
        if let Loaded::Whole(header) = loaded {
            writer.commit = writer.commit.max(header.commit);
            if tail.cursors.as_ref().is_none_or(|(commit, _)| *commit < header.commit) {
                tail.cursors = Some((header.commit, page.cursors()));
            }
        }
        ControlFlow::Continue(())
    });
    if tail.damaged > 0 || segment.header == HeaderState::Damaged {
        log::warn!("spool: {} of {} pages of {name} are damaged", tail.damaged, tail.pages);
    }
    if let (Some((commit, cursors)), true) = (tail.cursors, writer.cursors.is_empty()) {
        writer.commit = writer.commit.max(commit);
        writer.cursors = cursors;
        writer.troubles = tail.troubles;
    }
    if is_newest && segment.header != HeaderState::Damaged && !tail.has_conflict {
        match go_on(writer, &segment, tail.last, newest_slot, &mut page) {
            Ok(true) => writer.hot = Some(segment),
            Ok(false) => {}
            Err(error) => log::warn!("spool: {name}: {error}; going on in a new segment"),
        }
    }
    if writer.hot.is_none() || !is_newest {
        // What an older segment defines, the newest does not.
        writer.forget_page();
    }
    tail.last.is_some()
}

/// Puts the writer where the last one stopped; `false` when the segment is full.
fn go_on(
    writer: &mut Writer,
    hot: &Segment,
    last: Option<(u32, Loaded)>,
    newest_slot: Option<(usize, PageHeader)>,
    page: &mut Page,
) -> io::Result<bool> {
    if let Some((slot, header)) = newest_slot {
        writer.next_slot = 1 - slot;
        let index = header.id.index;
        if last.is_some_and(|(last, _)| index < last) && !matches!(hot.read_body(index, page)?, Loaded::Whole(_)) {
            // Damage further on must not make the page forgotten that so far lives only in a slot.
            hot.read_slot(slot, page)?;
            hot.write_body(index, page)?;
        }
    }
    let Some((index, loaded)) = last else { return Ok(hot.body_pages > 0) };
    let body = hot.read_body(index, page)?;
    match (loaded, body) {
        // The page goes on being filled. If the cut tore the write to its final place, that will be made again.
        (Loaded::Whole(_), Loaded::Blank | Loaded::Damaged) => {
            hot.load(index, page)?;
            writer.index = index;
            writer.page = page.clone();
        }
        (Loaded::Damaged, Loaded::Blank) => {
            // What is left of it must not be lost to the next use of the slots.
            hot.load(index, page)?;
            hot.write_body(index, page)?;
            writer.begin_page_after(index);
        }
        _ => writer.begin_page_after(index),
    }
    Ok(writer.index < hot.body_pages)
}

/// Learns series, keys and the last frame's number from one page.
fn take_in<'a>(
    writer: &mut Writer,
    tail: &mut Tail,
    records: impl Iterator<Item = Found<'a>>,
    table: &mut SeriesTable,
) {
    writer.keys.fill(None);
    writer.fresh_definitions.clear();
    for found in records {
        match found {
            Found::Record(_, Record::Series { id, series }) => {
                let series = series.into_owned();
                table.restore(id, &series);
                tail.has_conflict |= table.series(id).is_none_or(|known| **known != series);
                if writer.defined.insert(id) {
                    writer.fresh_definitions.push(id);
                }
            }
            Found::Record(offset, Record::Key(key)) => {
                note_seq(writer, key.seq);
                if let Some(place) = writer.keys.get_mut(usize::from(key.part)) {
                    *place = Some((offset, key));
                }
            }
            Found::Record(_, Record::Row(row)) => {
                let key = writer.keys.iter().flatten().find(|(offset, _)| *offset == row.key_offset);
                if let Some(seq) = key.map(|(_, key)| row.place(key).0) {
                    note_seq(writer, seq);
                }
            }
            Found::Record(_, Record::Trouble { sink, since_ms, text }) => {
                Trouble::note(&mut tail.troubles, &sink, since_ms, &text);
            }
            Found::Unknown | Found::Damage => {}
        }
    }
}
