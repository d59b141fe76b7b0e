//! A sealed segment: the frames of a full one as columns, one for each series, each readable by itself.

use std::borrow::Cow;
use std::io;
use std::ops::{ControlFlow, Range};

use serde::{Deserialize, Serialize};

use super::column::{self, Base};
use super::decode::Damage;
use super::page::{is_right, Cursors, CRC};
use super::record::MAX_SEQ;
use super::segment::{HeaderState, SegmentHeader, HEADER_BYTES};
use super::trouble::Trouble;
use crate::frame::{Reading, MAX_READINGS};
use crate::platform::clock::{BootId, Stamp, Trust};
use crate::platform::disk::Disk;
use crate::series::{Series, SeriesId, SeriesTable};

/// What a sealed segment begins with.
pub(super) const MAGIC: [u8; 8] = *b"IWASHISC";
/// The most that is believed of one: no writer makes a segment as large.
pub(super) const MAX_BYTES: u64 = 1 << 20;
/// The most rows of one.
pub(super) const MAX_ROWS: usize = 1 << 16;
/// Values that are decoded at a time: 512 KiB of memory.
const WINDOW_VALUES: usize = 1 << 15;
/// The most values of one segment: a page of a few frames has at most some hundred times its bytes of them.
const MAX_VALUES: usize = 1 << 23;
/// Places that look like a block's beginning and are not, until the rest of a file is given up.
const MAX_TRIES: u32 = 4096;
/// Before each block's head: its length, that of the stream, a CRC; and the stream's CRC behind it.
const FRAMING_BYTES: usize = 12;
const CRC_BYTES: usize = 4;

/// What a block says, before its stream. The order of the variants is the format: new ones go to the end.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Head<'a> {
    /// Number and stamp of each row. Written twice: without them, the columns mean nothing.
    Rows(Rows),
    /// The readings of one series, a value or none for each row.
    Column {
        /// The series.
        series: Cow<'a, Series>,
        /// How the stream is coded.
        codec: u8,
        /// What the values start from.
        base: Base,
    },
    /// What the segment holds, in short.
    Footer(Box<Footer>),
}

/// The head of the rows. Their stream is four, one after the other: frame number, boot (its place in `boots`), boot
/// time, and the wall time at which the boot began, by that row.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Rows {
    /// How the streams are coded.
    pub(super) codec: u8,
    /// How many rows there are.
    pub(super) count: u32,
    /// The boots that the rows are of, and how far their wall times are to be believed.
    pub(super) boots: Vec<(BootId, Trust)>,
    /// What each stream starts from, and its length in bytes.
    pub(super) streams: [(Base, u32); 4],
}

/// What a sealed segment holds, in short.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Footer {
    /// Frame number and stamp of the first row.
    pub first: (u64, Stamp),
    /// Frame number and stamp of the last row.
    pub last: (u64, Stamp),
    /// One for each column, in their order.
    pub columns: Vec<Sums>,
    /// The sinks' cursors when it was full.
    pub cursors: Cursors,
    /// The sinks' troubles when it was full.
    pub troubles: Vec<Trouble>,
}

/// What one column holds, in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// How many readings.
    pub count: u32,
    /// The last reading; the first is in the column's head.
    pub last: i64,
    /// The least and the greatest reading; of a counter, whose values are unsigned, in that order.
    pub least: i64,
    /// See `least`.
    pub greatest: i64,
    /// Of a gauge the sum of all readings; of a counter of all increases (going back is a restart, and none).
    pub sum: i128,
}

/// What is given every row: its number, its stamp, its readings, and the table that numbers their series.
pub type VisitRow<'a> = dyn FnMut(u64, Stamp, &[Reading], &SeriesTable) -> ControlFlow<()> + 'a;

/// A sealed segment in memory.
#[derive(Debug)]
pub struct Sealed {
    /// What its first bytes say.
    pub header: HeaderState,
    /// The segment's number.
    pub number: u64,
    bytes: Vec<u8>,
    /// Its blocks, with where their streams lie.
    blocks: Vec<(Head<'static>, Range<usize>)>,
    /// Stretches that are no block.
    gaps: u64,
}

impl Sealed {
    /// Reads the sealed segment `number` from file `name` of `len` bytes.
    ///
    /// # Errors
    /// Those of the disk; and `InvalidData` for a file larger than any that was written.
    pub fn open(disk: &dyn Disk, name: &str, number: u64, len: u64) -> io::Result<Self> {
        let size = usize::try_from(len).ok().filter(|_| len <= MAX_BYTES).ok_or(io::ErrorKind::InvalidData)?;
        let mut bytes = vec![0; size];
        let read = disk.open(name, false)?.read_at(&mut bytes, 0)?;
        bytes.truncate(read);
        Ok(Self::parse(number, bytes))
    }

    pub(super) fn parse(number: u64, bytes: Vec<u8>) -> Self {
        let header = match bytes.first_chunk::<HEADER_BYTES>().map(|bytes| SegmentHeader::decode(bytes, MAGIC)) {
            Some(HeaderState::Good(header)) if header.segment != number => HeaderState::Damaged,
            Some(header) => header,
            None => HeaderState::Damaged,
        };
        let mut sealed = Self { header, number, bytes, blocks: Vec::new(), gaps: 0 };
        if !matches!(header, HeaderState::Foreign(_)) {
            sealed.find_blocks();
        }
        sealed
    }

    /// Goes from block to block. After a damaged one the next is found by trying each offset.
    fn find_blocks(&mut self) {
        let mut offset = HEADER_BYTES;
        let mut is_lost = false;
        // Bytes that look like long heads everywhere must not cost a checksum each.
        let mut tries = MAX_TRIES;
        while offset < self.bytes.len() && tries > 0 {
            if let Some((head, stream)) = self.block_at(offset) {
                offset = stream.end;
                is_lost = false;
                self.blocks.push((head, stream));
            } else {
                self.gaps += u64::from(!is_lost);
                is_lost = true;
                tries -= u32::from(self.head_at(offset).is_some());
                offset += 1;
            }
        }
    }

    fn block_at(&self, offset: usize) -> Option<(Head<'static>, Range<usize>)> {
        let (head, stream, crc) = self.head_at(offset)?;
        if !is_right(crc, head_crc(self.number, offset, head, stream.len())) {
            return None;
        }
        Some((postcard::from_bytes(head).ok()?, stream))
    }

    /// Head, place of the stream and checksum that a block at `offset` would have, if its lengths are possible.
    fn head_at(&self, offset: usize) -> Option<(&[u8], Range<usize>, u32)> {
        let (framing, rest) = self.bytes.get(offset..)?.split_first_chunk::<FRAMING_BYTES>()?;
        let [h0, h1, h2, h3, s0, s1, s2, s3, c0, c1, c2, c3] = *framing;
        let head_len = usize::try_from(u32::from_le_bytes([h0, h1, h2, h3])).ok()?;
        let stream_len = usize::try_from(u32::from_le_bytes([s0, s1, s2, s3])).ok()?;
        let head = rest.get(..head_len).filter(|head| (1..=MAX_HEAD_BYTES).contains(&head.len()))?;
        let start = offset + FRAMING_BYTES + head_len + CRC_BYTES;
        let stream = start..start.checked_add(stream_len).filter(|end| *end <= self.bytes.len())?;
        Some((head, stream, u32::from_le_bytes([c0, c1, c2, c3])))
    }

    /// A stream, if it is as it was written.
    fn stream(&self, place: &Range<usize>) -> Option<&[u8]> {
        let (_, crc) = self.bytes.get(..place.start)?.split_last_chunk::<CRC_BYTES>()?;
        let stream = self.bytes.get(place.clone())?;
        is_right(u32::from_le_bytes(*crc), stream_crc(self.number, place.start, stream)).then_some(stream)
    }

    /// What it holds, in short.
    #[must_use]
    pub fn footer(&self) -> Option<&Footer> {
        self.blocks.iter().find_map(|(head, _)| match head {
            Head::Footer(footer) => Some(footer.as_ref()),
            _ => None,
        })
    }

    /// How many rows it has, by the first of their blocks.
    #[must_use]
    pub fn row_count(&self) -> Option<u64> {
        self.blocks.iter().find_map(|(head, _)| match head {
            Head::Rows(rows) => Some(u64::from(rows.count)),
            _ => None,
        })
    }

    /// Whether every byte of it is as it was written.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let are_streams_whole = self.blocks.iter().all(|(_, place)| self.stream(place).is_some());
        matches!(self.header, HeaderState::Good(_)) && self.gaps == 0 && self.footer().is_some() && are_streams_whole
    }

    /// Bytes of the file.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether the file holds nothing at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Numbers and stamps of all rows, from the first copy that is whole; one that is not is counted.
    fn rows(&self, damage: &mut Damage) -> Option<Vec<(u64, Stamp)>> {
        let mut found = None;
        for (head, place) in &self.blocks {
            let Head::Rows(head) = head else { continue };
            match (self.stream(place), &found) {
                (None, _) => damage.bad_blocks += 1,
                (Some(stream), None) => found = rows_of(head, stream),
                (Some(_), Some(_)) => {}
            }
        }
        found
    }

    /// Visits the frames from number `from` on whose series are `wanted`, in order, until `visit` says stop; their
    /// series get numbers of `table`. What is damaged is counted in `damage`.
    pub fn frames(
        &self,
        from: u64,
        wanted: &dyn Fn(&Series) -> bool,
        table: &mut SeriesTable,
        damage: &mut Damage,
        visit: &mut VisitRow<'_>,
    ) {
        damage.bad_blocks += self.gaps;
        let Some(rows) = self.rows(damage) else {
            damage.bad_segments += 1;
            return;
        };
        let mut columns: Vec<(SeriesId, Base, &[u8])> = Vec::new();
        for (head, place) in &self.blocks {
            match head {
                Head::Column { codec, .. } if *codec != column::CODEC => damage.unknown_records += 1,
                Head::Column { series, base, .. } if wanted(series) => match self.stream(place) {
                    None => damage.bad_blocks += 1,
                    Some(stream) => match table.intern(series.as_ref().clone()) {
                        // No writer makes a second column of one series, nor so many values.
                        Some(id) if columns.iter().any(|(other, ..)| *other == id) => damage.bad_blocks += 1,
                        Some(_) if (columns.len() + 1) * rows.len() > MAX_VALUES => damage.bad_blocks += 1,
                        Some(id) => columns.push((id, *base, stream)),
                        None => damage.readings_without_series += 1,
                    },
                },
                _ => {}
            }
        }
        let first = rows.partition_point(|(seq, _)| *seq < from);
        let height = WINDOW_VALUES / columns.len().clamp(1, WINDOW_VALUES);
        let mut values: Vec<Option<i64>> = Vec::new();
        let mut readings = Vec::with_capacity(columns.len());
        let mut start = first;
        // A window of rows at a time, so that memory does not grow with the segment. Each column is decoded from its
        // beginning for each window: there are few windows, and most decoding is of the last.
        while let Some(window) = rows.get(start..).filter(|rest| !rest.is_empty()) {
            let window = window.get(..height).unwrap_or(window);
            values.clear();
            for (_, base, stream) in &columns {
                values.extend(column::decode(*base, stream).skip(start).take(window.len()));
            }
            for (i, (seq, stamp)) in window.iter().enumerate() {
                readings.clear();
                let row = values.iter().skip(i).step_by(window.len()).zip(&columns);
                readings.extend(
                    row.filter_map(|(value, (series, ..))| Some(Reading { series: *series, value: (*value)? })),
                );
                readings.truncate(MAX_READINGS);
                if visit(*seq, *stamp, &readings, table).is_break() {
                    return;
                }
            }
            start += window.len();
        }
    }
}

fn rows_of(head: &Rows, stream: &[u8]) -> Option<Vec<(u64, Stamp)>> {
    let count = usize::try_from(head.count).ok().filter(|count| head.codec == column::CODEC && *count <= MAX_ROWS)?;
    let mut rest = stream;
    let mut columns = head.streams.iter().map(|(base, len)| {
        let (stream, after) = rest.split_at_checked(usize::try_from(*len).ok()?)?;
        rest = after;
        Some(column::decode(*base, stream).take(count).flatten())
    });
    let (mut seqs, mut boots) = (columns.next()??, columns.next()??);
    let (mut boottimes, mut began) = (columns.next()??, columns.next()??);
    let row = |_| {
        let (boot_id, trust) = *head.boots.get(usize::try_from(boots.next()?).ok()?)?;
        let (seq, boottime_ms) = (seqs.next()?.cast_unsigned(), boottimes.next()?);
        let wall_ms = began.next()?.wrapping_add(boottime_ms);
        Some((seq, Stamp { boot_id, boottime_ms: boottime_ms.cast_unsigned(), wall_ms, trust }))
    };
    let rows: Vec<_> = (0..count).map_while(row).collect();
    // Their order is what everything else relies on.
    let is_sorted = rows.is_sorted_by(|a, b| a.0 < b.0) && rows.last().is_none_or(|(seq, _)| *seq < MAX_SEQ);
    (rows.len() == count && is_sorted).then_some(rows)
}

/// The most bytes of a block's head: the footer of as many columns as a segment can have series.
const MAX_HEAD_BYTES: usize = 1 << 17;

/// Adds a block to a sealed segment in the making. `None` when it gets too large.
pub(super) fn push_block(bytes: &mut Vec<u8>, segment: u64, head: &Head<'_>, stream: &[u8]) -> Option<()> {
    let offset = bytes.len();
    let start = offset + FRAMING_BYTES;
    bytes.resize(start + MAX_HEAD_BYTES, 0);
    let head_len = postcard::to_slice(head, bytes.get_mut(start..)?).ok()?.len();
    bytes.truncate(start + head_len);
    let crc = head_crc(segment, offset, bytes.get(start..)?, stream.len());
    let lengths = [u32::try_from(head_len).ok()?, u32::try_from(stream.len()).ok()?];
    let framing = lengths.into_iter().chain([crc]).flat_map(u32::to_le_bytes);
    for (byte, value) in bytes.get_mut(offset..start)?.iter_mut().zip(framing) {
        *byte = value;
    }
    bytes.extend(stream_crc(segment, bytes.len() + CRC_BYTES, stream).to_le_bytes());
    bytes.extend(stream);
    (bytes.len() as u64 <= MAX_BYTES).then_some(())
}

fn head_crc(segment: u64, offset: usize, head: &[u8], stream_len: usize) -> u32 {
    crc(&[&segment.to_le_bytes(), &(offset as u64).to_le_bytes(), &(stream_len as u64).to_le_bytes(), head])
}

fn stream_crc(segment: u64, start: usize, stream: &[u8]) -> u32 {
    crc(&[&segment.to_le_bytes(), &(start as u64).to_le_bytes(), stream])
}

/// Segment and place are part of it, so that bytes of another place never pass for this one's.
fn crc(parts: &[&[u8]]) -> u32 {
    let mut digest = CRC.digest();
    parts.iter().for_each(|part| digest.update(part));
    digest.finalize()
}
