//! A page: 4 KiB that are written and checked as one, full of framed records.

use std::fmt;

use crc::{Crc, Digest, CRC_32_ISO_HDLC};

use super::cursor::{Cursor, MAX_SINKS};
use super::record::Record;

/// Bytes of a page.
pub const PAGE_BYTES: usize = 4096;
/// Where records begin.
pub const RECORDS_START: usize = 32;
/// Where records end and the cursors begin.
pub const RECORDS_END: usize = PAGE_BYTES - 256;
/// Bytes before each record's payload: length and CRC.
pub const FRAMING_BYTES: usize = 6;

const MAGIC: [u8; 4] = *b"IWP1";
/// The checksum of everything in a spool. One table for all: it is a kilobyte.
pub(super) static CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// Whether a checksum is right. For the fuzzers it always is: they would never get past it.
pub(super) fn is_right(told: u32, found: u32) -> bool {
    cfg!(fuzzing) || told == found
}

/// All cursors, as every page carries them.
pub type Cursors = heapless::Vec<Cursor, MAX_SINKS>;

/// Where a page belongs. Part of every CRC, so that bytes of another place never pass for this one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageId {
    /// The segment's number.
    pub segment: u64,
    /// The page's place in the segment's body, from 0.
    pub index: u32,
}

impl PageId {
    fn digest(&self) -> Digest<'static, u32> {
        let mut digest = CRC.digest();
        digest.update(&self.segment.to_le_bytes());
        digest.update(&self.index.to_le_bytes());
        digest
    }
}

/// What a page's header says, once its CRC has been found right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageHeader {
    /// Where the page belongs.
    pub id: PageId,
    /// Which commit wrote it; later ones are greater.
    pub commit: u64,
}

/// One page in memory.
#[derive(Clone)]
pub struct Page {
    bytes: Box<[u8; PAGE_BYTES]>,
    used: usize,
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").field("used", &self.used).finish_non_exhaustive()
    }
}

impl Default for Page {
    fn default() -> Self {
        Self { bytes: Box::new([0; PAGE_BYTES]), used: RECORDS_START }
    }
}

impl Page {
    /// Empties the page.
    pub fn clear(&mut self) {
        self.bytes.fill(0);
        self.used = RECORDS_START;
    }

    /// Whether no record is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.used == RECORDS_START
    }

    /// Whether every byte is zero, as in a page never written.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.bytes.iter().all(|byte| *byte == 0)
    }

    /// The bytes, as they lie on disk.
    #[must_use]
    pub fn bytes(&self) -> &[u8; PAGE_BYTES] {
        &self.bytes
    }

    /// The bytes, to read into from disk. Call [`Page::header`] afterwards: it tells how much of the page is used.
    pub fn bytes_mut(&mut self) -> &mut [u8; PAGE_BYTES] {
        &mut self.bytes
    }

    /// Adds a record and returns where it begins; `None` when it does not fit.
    pub fn push(&mut self, id: PageId, record: &Record<'_>) -> Option<u16> {
        let start = self.used;
        let room = self.bytes.get_mut(start + FRAMING_BYTES..RECORDS_END)?;
        let Ok(payload) = postcard::to_slice(record, room) else {
            // What a failed attempt left behind must not pass for anything.
            room.fill(0);
            return None;
        };
        let len = payload.len();
        let crc = record_crc(id, start, payload);
        let (framing, _) = self.bytes.get_mut(start..)?.split_first_chunk_mut::<FRAMING_BYTES>()?;
        let [l0, l1] = u16::try_from(len).ok()?.to_le_bytes();
        let [c0, c1, c2, c3] = crc.to_le_bytes();
        *framing = [l0, l1, c0, c1, c2, c3];
        self.used = start + FRAMING_BYTES + len;
        u16::try_from(start).ok()
    }

    /// Writes header and cursors, so that the bytes are fit for the disk.
    pub fn seal(&mut self, header: PageHeader, cursors: &Cursors) {
        if let Some(room) = self.bytes.get_mut(RECORDS_END..) {
            room.fill(0);
            // Three sinks of fewer than 2^28 frames and 2^35 points fit. Past that the cursors are left out, and
            // what was sent since is sent once more after a restart.
            if postcard::to_slice(cursors, room).is_err() {
                room.fill(0);
            }
        }
        let used = u16::try_from(self.used).unwrap_or(u16::MAX);
        let fields = MAGIC
            .into_iter()
            .chain([0; 4])
            .chain(header.id.segment.to_le_bytes())
            .chain(header.id.index.to_le_bytes())
            .chain(header.commit.to_le_bytes())
            .chain(used.to_le_bytes());
        for (byte, field) in self.bytes.iter_mut().zip(fields) {
            *byte = field;
        }
        let crc = self.crc(header.id).to_le_bytes();
        if let Some(place) = self.bytes.get_mut(4..8) {
            place.copy_from_slice(&crc);
        }
    }

    /// The header, if the whole page is as it was written.
    pub fn header(&mut self) -> Option<PageHeader> {
        let field = |at: usize| self.bytes.get(at..);
        if field(0)?.first_chunk() != Some(&MAGIC) {
            return None;
        }
        let crc = u32::from_le_bytes(*field(4)?.first_chunk()?);
        let segment = u64::from_le_bytes(*field(8)?.first_chunk()?);
        let index = u32::from_le_bytes(*field(16)?.first_chunk()?);
        let commit = u64::from_le_bytes(*field(20)?.first_chunk()?);
        let used = usize::from(u16::from_le_bytes(*field(28)?.first_chunk()?));
        let header = PageHeader { id: PageId { segment, index }, commit };
        let whole = is_right(crc, self.crc(header.id)) && (RECORDS_START..=RECORDS_END).contains(&used);
        self.used = if whole { used } else { RECORDS_END };
        whole.then_some(header)
    }

    /// The cursors it carries; only meaningful after [`Page::header`] found it whole.
    #[must_use]
    pub fn cursors(&self) -> Cursors {
        self.bytes.get(RECORDS_END..).and_then(|bytes| postcard::from_bytes(bytes).ok()).unwrap_or_default()
    }

    /// Its records, with whatever damage lies between them.
    #[must_use]
    pub fn records(&self, id: PageId) -> Records<'_> {
        Records { page: self, id, offset: RECORDS_START }
    }

    fn crc(&self, id: PageId) -> u32 {
        let mut digest = id.digest();
        digest.update(self.bytes.get(8..).unwrap_or_default());
        digest.finalize()
    }

    /// The payload at `offset` and where the next record begins, if a whole record lies there.
    fn payload_at(&self, id: PageId, offset: usize) -> Option<(&[u8], usize)> {
        let (framing, rest) = self.bytes.get(offset..RECORDS_END)?.split_first_chunk::<FRAMING_BYTES>()?;
        let [l0, l1, c0, c1, c2, c3] = *framing;
        let len = usize::from(u16::from_le_bytes([l0, l1]));
        let payload = rest.get(..len).filter(|payload| !payload.is_empty())?;
        let crc = u32::from_le_bytes([c0, c1, c2, c3]);
        is_right(crc, record_crc(id, offset, payload)).then_some((payload, offset + FRAMING_BYTES + len))
    }
}

fn record_crc(id: PageId, offset: usize, payload: &[u8]) -> u32 {
    let mut digest = id.digest();
    digest.update(&(offset as u64).to_le_bytes());
    digest.update(payload);
    digest.finalize()
}

/// What lies in a page, one after the other.
#[derive(Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // lives on the stack for a moment: reading must not allocate
pub enum Found<'a> {
    /// A record and where it begins.
    Record(u16, Record<'a>),
    /// A whole record that this version cannot read.
    Unknown,
    /// A stretch of bytes that is no record.
    Damage,
}

/// Iterator over a page's records.
#[derive(Debug)]
pub struct Records<'a> {
    page: &'a Page,
    id: PageId,
    offset: usize,
}

impl<'a> Iterator for Records<'a> {
    type Item = Found<'a>;

    fn next(&mut self) -> Option<Found<'a>> {
        let start = self.offset;
        if let Some((payload, next)) = self.page.payload_at(self.id, start) {
            self.offset = next;
            let offset = u16::try_from(start).ok()?;
            return Some(postcard::from_bytes(payload).map_or(Found::Unknown, |record| Found::Record(offset, record)));
        }
        let rest = self.page.bytes.get(start..RECORDS_END)?;
        if rest.iter().all(|byte| *byte == 0) {
            return None;
        }
        // The place of a record is part of its CRC, so the next one that checks out is a real one.
        self.offset = (start + 1..RECORDS_END)
            .find(|offset| self.page.payload_at(self.id, *offset).is_some())
            .unwrap_or(RECORDS_END);
        Some(Found::Damage)
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::Key;
    use super::*;
    use crate::platform::clock::{BootId, Stamp};
    use proptest::prelude::*;

    const ID: PageId = PageId { segment: 3, index: 9 };

    fn record(seq: u64) -> Record<'static> {
        Record::Key(Key { seq, ..Key::default() })
    }

    fn full_page() -> (Page, usize) {
        let mut page = Page::default();
        let mut count = 0;
        while page.push(ID, &record(count as u64)).is_some() {
            count += 1;
        }
        page.seal(PageHeader { id: ID, commit: 77 }, &Cursors::new());
        (page, count)
    }

    #[test]
    fn a_page_gives_back_its_records_and_cursors() {
        let mut page = Page::default();
        assert_eq!(page.push(ID, &record(1)), Some(32));
        page.push(ID, &record(2)).unwrap();
        let cursors: Cursors = [Cursor::new("mackerel")].into_iter().collect();
        page.seal(PageHeader { id: ID, commit: 5 }, &cursors);
        let mut read = Page::default();
        read.bytes_mut().copy_from_slice(page.bytes());
        assert_eq!(read.header(), Some(PageHeader { id: ID, commit: 5 }));
        assert_eq!(read.cursors(), cursors);
        let seqs: Vec<u64> = read
            .records(ID)
            .map(|found| match found {
                Found::Record(_, Record::Key(key)) => key.seq,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(seqs, [1, 2]);
        let elsewhere = PageId { index: 8, ..ID };
        assert!(read.records(elsewhere).all(|found| found == Found::Damage), "a page of another place reads as damage");
    }

    #[test]
    fn three_sinks_of_five_hundred_years_of_minutes_fit() {
        let far = Stamp {
            boot_id: BootId([0xff; 16]),
            boottime_ms: 1 << 41,
            wall_ms: 1 << 42,
            trust: crate::platform::clock::Trust::Synchronised,
        };
        let frames = (1 << 28) - 1;
        let points = (1 << 35) - 1;
        let cursor = |sink: &&str| Cursor {
            settled: frames,
            ahead_from: frames,
            ahead_to: frames,
            delivered: frames,
            expired: frames,
            timeless: frames,
            lost: frames,
            points,
            rejected_points: points,
            last_success_ms: far.wall_ms,
            server_time: far,
            ..Cursor::new(sink)
        };
        let cursors: Cursors = ["mackerel", "prometheus", "otlp"].iter().map(cursor).collect();
        assert_eq!(cursors.len(), MAX_SINKS);
        let mut page = Page::default();
        page.seal(PageHeader { id: ID, commit: 1 }, &cursors);
        assert_eq!(page.cursors(), cursors);
    }

    proptest! {
        #[test]
        fn a_flipped_bit_costs_at_most_one_record(position in 0..PAGE_BYTES * 8) {
            let (mut page, count) = full_page();
            page.bytes_mut()[position / 8] ^= 1 << (position % 8);
            prop_assert_eq!(page.header(), None);
            let whole = page.records(ID).filter(|found| matches!(found, Found::Record(..))).count();
            prop_assert!(whole >= count - 1, "{} of {}", whole, count);
        }

        #[test]
        fn arbitrary_bytes_never_panic(seed in proptest::collection::vec(any::<u8>(), 1..500)) {
            let mut page = Page::default();
            for (byte, value) in page.bytes_mut().iter_mut().zip(seed.iter().cycle()) {
                *byte = *value;
            }
            page.header();
            drop(page.cursors());
            page.records(ID).count();
        }
    }
}
