//! Opening a spool after anything: a clean stop, a power cut, bits flipped by a dying card.

use std::io;
use std::ops::ControlFlow;

use super::page::{Cursors, Found, Page, PageHeader};
use super::reader::Trouble;
use super::record::Record;
use super::segment::{self, HeaderState, Loaded, Segment};
use super::writer::{Held, Writer};
use crate::series::SeriesTable;

/// No frame takes less than this on disk.
const LEAST_FRAME_BYTES: u64 = 16;

/// Fills a new writer from what is on disk. Of all segments only the oldest and the newest are opened.
pub(super) fn recover(writer: &mut Writer, table: &mut SeriesTable) -> io::Result<()> {
    for (name, len) in writer.disk.list()? {
        if let Some(number) = segment::number(&name) {
            writer.segments.push(Held { number, len, first_frame: None });
        } else if name.strip_suffix(".tmp").is_some_and(|name| segment::number(name).is_some()) {
            // A segment that was not renamed to its name yet holds nothing.
            writer.disk.remove(&name)?;
        }
    }
    writer.segments.sort_unstable_by_key(|held| held.number);
    let mut unreadable_frames = 0;
    let mut is_newest = true;
    for held in writer.segments.clone().into_iter().rev() {
        match Segment::open(writer.disk.as_ref(), held.number, held.len, true) {
            Ok(segment) => match segment.header {
                HeaderState::Foreign(version) => {
                    let name = segment::name(held.number);
                    log::warn!("spool: {name} is of format version {version}: left alone");
                }
                HeaderState::Good(_) | HeaderState::Damaged => {
                    if resume(writer, segment, table, is_newest) {
                        break;
                    }
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                log::warn!("spool: open {}: {error}", segment::name(held.number));
                // Should it be readable again one day, its numbers must not have been given out twice.
                unreadable_frames += held.len / LEAST_FRAME_BYTES;
            }
        }
        is_newest = false;
    }
    // Numbers that a sink has seen are not given out again, even if the frames themselves are damaged.
    let seen = writer.cursors.iter().map(|cursor| cursor.settled.max(cursor.ahead_to)).max();
    writer.next_seq = writer.next_seq.max(seen.unwrap_or(0)).saturating_add(unreadable_frames);
    writer.durable_seq = writer.next_seq;
    Ok(())
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
    let name = segment::name(segment.number);
    let mut page = Page::default();
    let mut tail = Tail::default();
    writer.next_seq = writer.next_seq.max(segment.first_frame().unwrap_or(1));
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
                writer.next_seq = writer.next_seq.max(key.seq.saturating_add(1));
                if let Some(place) = writer.keys.get_mut(usize::from(key.part)) {
                    *place = Some((offset, key));
                }
            }
            Found::Record(_, Record::Row(row)) => {
                let key = writer.keys.iter().flatten().find(|(offset, _)| *offset == row.key_offset);
                if let Some((_, key)) = key {
                    writer.next_seq = writer.next_seq.max(row.place(key).0.saturating_add(1));
                }
            }
            Found::Record(_, Record::Trouble { sink, since_ms, text }) => {
                Trouble::note(&mut tail.troubles, &sink, since_ms, &text);
            }
            Found::Unknown | Found::Damage => {}
        }
    }
}
