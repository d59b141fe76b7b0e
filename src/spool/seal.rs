//! Sealing: a full segment becomes columns, and takes less than half the space.
//!
//! Nothing of the full segment is touched until the sealed one is durable under its name. A segment with damage is
//! left as it is, so that nothing more can be lost of it.

use std::borrow::Cow;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::column;
use super::decode::{Damage, Decoder};
use super::page::Page;
use super::sealed::{self, push_block, Footer, Head, Rows, Sums, MAX_ROWS};
use super::segment::{Loaded, Segment, SegmentHeader};
use super::trouble::troubles;
use crate::frame::Frame;
use crate::platform::clock::{BootId, Stamp, Trust};
use crate::series::{Kind, Series, SeriesTable};

/// Values that are gathered at a time: 256 KiB of memory.
const GROUP_VALUES: usize = 1 << 14;

/// The bytes of the sealed form of `full`; `None` where it is better left as it is.
///
/// # Errors
/// Those of the disk.
pub(super) fn seal(full: &Segment) -> io::Result<Option<Vec<u8>>> {
    let mut page = Page::default();
    let mut is_over = false;
    for index in 0..full.body_pages {
        // What cannot be read just now may be readable later. What reads as blank before the end is damage too.
        match full.load(index, &mut page)? {
            Loaded::Whole(_) if !is_over => {}
            Loaded::Blank => is_over = true,
            Loaded::Whole(_) | Loaded::Damaged => return Ok(None),
        }
    }
    let Some(cursors) = full.newest_cursors(&mut page)? else { return Ok(None) };
    let mut table = SeriesTable::default();
    let mut rows: Vec<(u64, Stamp)> = Vec::new();
    let mut is_sound = scan(full, &mut page, &mut table, &mut |frame| rows.push((frame.seq, frame.stamp)));
    is_sound &= rows.len() <= MAX_ROWS && rows.is_sorted_by(|a, b| a.0 < b.0);
    let (Some(first), Some(last), Some(first_frame), true) = (rows.first(), rows.last(), full.first_frame(), is_sound)
    else {
        return Ok(None);
    };
    let header = SegmentHeader { segment: full.number, first_frame, pages: 0 };
    let mut bytes = header.encode(sealed::MAGIC).to_vec();
    let mut footer =
        Footer { first: *first, last: *last, columns: Vec::new(), cursors, troubles: troubles(full, &mut page) };
    let build = || {
        push_rows(&mut bytes, full.number, &rows)?;
        let group = (GROUP_VALUES / rows.len()).max(1);
        let mut start = 0;
        while start < table.len() {
            let columns = gather(full, &mut page, rows.len(), start..table.len().min(start + group))?;
            for (i, values) in columns.chunks(rows.len()).enumerate() {
                let series = Arc::clone(table.series(u16::try_from(start + i).ok()?)?);
                footer.columns.extend(push_column(&mut bytes, full.number, &series, values)?);
            }
            start += group;
        }
        push_rows(&mut bytes, full.number, &rows)?;
        push_block(&mut bytes, full.number, &Head::Footer(Box::new(footer)), &[])?;
        Some(bytes)
    };
    Ok(build())
}

/// Visits every frame of a segment in order. Whether all of it was as it was written.
fn scan(full: &Segment, page: &mut Page, table: &mut SeriesTable, visit: &mut dyn FnMut(&Frame)) -> bool {
    let mut decoder = Decoder::default();
    let mut damage = Damage::default();
    let mut emit = |frame: &Frame, _: &SeriesTable| visit(frame);
    full.pages(page, &mut |index, loaded, page| {
        damage.bad_pages += u64::from(loaded == Loaded::Damaged);
        decoder.page(page, full.id(index), &|_| true, table, &mut damage, &mut emit);
        ControlFlow::Continue(())
    });
    decoder.finish(table, &mut emit);
    damage.is_none()
}

/// The values of some of the series, one column after the other.
fn gather(full: &Segment, page: &mut Page, rows: usize, group: std::ops::Range<usize>) -> Option<Vec<Option<i64>>> {
    let mut columns = vec![None; rows * group.len()];
    let mut row = 0;
    let is_sound = scan(full, page, &mut SeriesTable::default(), &mut |frame| {
        for reading in frame.readings() {
            let series = usize::from(reading.series);
            let place = group.contains(&series).then(|| (series - group.start) * rows + row);
            if let Some(value) = place.and_then(|place| columns.get_mut(place)) {
                *value = Some(reading.value);
            }
        }
        row += 1;
    });
    (is_sound && row == rows).then_some(columns)
}

fn push_rows(bytes: &mut Vec<u8>, segment: u64, rows: &[(u64, Stamp)]) -> Option<()> {
    let mut boots: Vec<(BootId, Trust)> = Vec::new();
    let mut columns: [Vec<Option<i64>>; 4] = Default::default();
    for (seq, stamp) in rows {
        if boots.last() != Some(&(stamp.boot_id, stamp.trust)) {
            boots.push((stamp.boot_id, stamp.trust));
        }
        let boot = i64::try_from(boots.len()).ok()? - 1;
        let (boottime_ms, began_ms) = (stamp.boottime_ms.cast_signed(), stamp.boot_began_ms());
        for (column, value) in columns.iter_mut().zip([seq.cast_signed(), boot, boottime_ms, began_ms]) {
            column.push(Some(value));
        }
    }
    let mut stream = Vec::new();
    let streams = columns.map(|values| {
        let (base, coded) = column::encode(&values);
        stream.extend(&coded);
        (base, u32::try_from(coded.len()).unwrap_or(u32::MAX))
    });
    let head = Rows { codec: column::CODEC, count: u32::try_from(rows.len()).ok()?, boots, streams };
    push_block(bytes, segment, &Head::Rows(head), &stream)
}

/// Adds a column, unless it has no reading. `None` when something is wrong.
#[allow(clippy::option_option)] // nothing to add, or nothing that could be added
fn push_column(bytes: &mut Vec<u8>, segment: u64, series: &Series, values: &[Option<i64>]) -> Option<Option<Sums>> {
    let Some(sums) = sums(series.kind, values) else { return Some(None) };
    let (base, stream) = column::encode(values);
    // This will be the only copy: it is read back before anything is given up for it.
    if !column::decode(base, &stream).take(values.len()).eq(values.iter().copied()) {
        log::error!("spool: series {series} cannot be sealed; segment {segment} is left as it is");
        return None;
    }
    let head = Head::Column { series: Cow::Borrowed(series), codec: column::CODEC, base };
    push_block(bytes, segment, &head, &stream)?;
    Some(Some(sums))
}

/// `None` of a column without a reading.
pub(super) fn sums(kind: Kind, values: &[Option<i64>]) -> Option<Sums> {
    let mut given = values.iter().flatten().copied();
    let first = given.next()?;
    let sum = match kind {
        Kind::Gauge => i128::from(first),
        Kind::Counter => 0,
    };
    let mut sums = Sums { count: 1, last: first, least: first, greatest: first, sum };
    for value in given {
        let is_less = |a: i64, b: i64| match kind {
            Kind::Gauge => a < b,
            Kind::Counter => a.cast_unsigned() < b.cast_unsigned(),
        };
        sums.sum += match kind {
            Kind::Gauge => i128::from(value),
            Kind::Counter => i128::from(value.cast_unsigned().saturating_sub(sums.last.cast_unsigned())),
        };
        sums.count += 1;
        sums.least = if is_less(value, sums.least) { value } else { sums.least };
        sums.greatest = if is_less(sums.greatest, value) { value } else { sums.greatest };
        sums.last = value;
    }
    Some(sums)
}
