//! A segment: one file of a fixed number of pages, written with zeros before its first use.

use std::io;

use super::files::{self, Form};
use super::page::{is_right, Cursors, Page, PageHeader, PageId, CRC, PAGE_BYTES};
use crate::platform::disk::{Disk, DiskFile};

/// The version of the format that is written here.
pub const VERSION: u32 = 1;
/// The most body pages that are believed of any segment: 16 MiB.
pub const MAX_BODY_PAGES: u32 = 4096;
/// Pages before the body: the header and the two tail slots.
pub const LEADING_PAGES: u32 = 3;

/// What a segment of pages begins with.
pub(super) const MAGIC: [u8; 8] = *b"IWASHISP";
/// Bytes of a segment's header.
pub const HEADER_BYTES: usize = 40;
const PAGE: u64 = PAGE_BYTES as u64;

/// What a segment's first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The segment's number; later segments have greater ones.
    pub segment: u64,
    /// The first frame that can be in it.
    pub first_frame: u64,
    /// Pages of the file, those before the body included; 0 of a sealed one, which has none.
    pub pages: u32,
}

/// What was found where a segment's header should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderState {
    /// A header of this version.
    Good(SegmentHeader),
    /// Damaged: the pages are read all the same, each is checked by itself.
    Damaged,
    /// A whole header of another version: the segment is left alone.
    Foreign(u32),
}

impl SegmentHeader {
    pub(super) fn encode(&self, magic: [u8; 8]) -> [u8; HEADER_BYTES] {
        let mut bytes = [0u8; HEADER_BYTES];
        let fields = magic
            .into_iter()
            .chain(VERSION.to_le_bytes())
            .chain(self.pages.to_le_bytes())
            .chain(self.segment.to_le_bytes())
            .chain(self.first_frame.to_le_bytes());
        for (byte, field) in bytes.iter_mut().zip(fields) {
            *byte = field;
        }
        let crc = header_crc(&bytes);
        if let Some(place) = bytes.last_chunk_mut::<4>() {
            *place = crc.to_le_bytes();
        }
        bytes
    }

    pub(super) fn decode(bytes: &[u8; HEADER_BYTES], magic: [u8; 8]) -> HeaderState {
        let u32_at = |at: usize| bytes.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u32::from_le_bytes(*b));
        let u64_at = |at: usize| bytes.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u64::from_le_bytes(*b));
        if !bytes.starts_with(&magic) || !is_right(u32_at(HEADER_BYTES - 4), header_crc(bytes)) {
            return HeaderState::Damaged;
        }
        if u32_at(8) != VERSION {
            return HeaderState::Foreign(u32_at(8));
        }
        HeaderState::Good(Self { segment: u64_at(16), first_frame: u64_at(24), pages: u32_at(12) })
    }
}

impl HeaderState {
    /// The same, where it should be that of segment `number`: another's is damage.
    pub(super) fn of(self, number: u64) -> Self {
        match self {
            Self::Good(header) if header.segment != number => Self::Damaged,
            state => state,
        }
    }
}

fn header_crc(bytes: &[u8; HEADER_BYTES]) -> u32 {
    CRC.checksum(bytes.get(..HEADER_BYTES - 4).unwrap_or_default())
}

/// Which copy of a page was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loaded {
    /// Nothing was ever written there.
    Blank,
    /// A whole page.
    Whole(PageHeader),
    /// Something is there, and not as it was written; or the disk cannot read it.
    Damaged,
}

/// An open segment.
#[derive(Debug)]
pub struct Segment {
    file: Box<dyn DiskFile>,
    /// The segment's number.
    pub number: u64,
    /// Pages of the body.
    pub body_pages: u32,
    /// What the first page says.
    pub header: HeaderState,
}

impl Segment {
    /// Makes a new segment, durable under its name when this returns.
    ///
    /// # Errors
    /// Those of the disk; nothing is left behind then.
    pub fn create(disk: &dyn Disk, header: SegmentHeader) -> io::Result<Self> {
        let name = files::name(header.segment, Form::Pages);
        let temporary = format!("{name}.tmp");
        let len = u64::from(header.pages) * PAGE;
        // One left behind by a try that the disk did not let us tidy up.
        match disk.remove(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = disk.create(&temporary, len)?;
        let publish = || -> io::Result<()> {
            file.write_at(&header.encode(MAGIC), 0)?;
            file.sync()?;
            disk.rename(&temporary, &name)?;
            disk.sync_names()
        };
        if let Err(error) = publish() {
            // Whichever of the two names it got to; the first error is the one to tell.
            disk.remove(&temporary).ok();
            disk.remove(&name).ok();
            return Err(error);
        }
        let body_pages = header.pages.saturating_sub(LEADING_PAGES);
        Ok(Self { file, number: header.segment, body_pages, header: HeaderState::Good(header) })
    }

    /// Opens segment `number`, whose file has `len` bytes.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn open(disk: &dyn Disk, number: u64, len: u64, write: bool) -> io::Result<Self> {
        let file = disk.open(&files::name(number, Form::Pages), write)?;
        let mut bytes = [0u8; HEADER_BYTES];
        file.read_at(&mut bytes, 0)?;
        let header = SegmentHeader::decode(&bytes, MAGIC).of(number);
        let told = match header {
            HeaderState::Good(header) => header.pages,
            HeaderState::Damaged | HeaderState::Foreign(_) => u32::MAX,
        };
        let pages = u32::try_from(len / PAGE).unwrap_or(u32::MAX).min(told);
        let body_pages = pages.saturating_sub(LEADING_PAGES).min(MAX_BODY_PAGES);
        Ok(Self { file, number, body_pages, header })
    }

    /// The first frame that can be in it, if its header tells.
    #[must_use]
    pub fn first_frame(&self) -> Option<u64> {
        match self.header {
            HeaderState::Good(header) => Some(header.first_frame),
            HeaderState::Damaged | HeaderState::Foreign(_) => None,
        }
    }

    /// The identity of body page `index`.
    #[must_use]
    pub fn id(&self, index: u32) -> PageId {
        PageId { segment: self.number, index }
    }

    /// Writes a full page to its place in the body, durably.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn write_body(&self, index: u32, page: &Page) -> io::Result<()> {
        self.file.write_at(page.bytes(), u64::from(LEADING_PAGES + index) * PAGE)?;
        self.file.sync()
    }

    /// Writes the page that still fills up to tail slot 0 or 1, durably.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn write_slot(&self, slot: usize, page: &Page) -> io::Result<()> {
        self.file.write_at(page.bytes(), (1 + slot as u64) * PAGE)?;
        self.file.sync()
    }

    /// Reads tail slot 0 or 1.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn read_slot(&self, slot: usize, page: &mut Page) -> io::Result<Option<PageHeader>> {
        page.clear();
        self.file.read_at(page.bytes_mut(), (1 + slot as u64) * PAGE)?;
        Ok(page.header().filter(|header| header.id.segment == self.number))
    }

    /// The newer whole tail slot and what it says; leaves its bytes in `page`.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn newest_slot(&self, page: &mut Page) -> io::Result<Option<(usize, PageHeader)>> {
        let first = self.read_slot(0, page)?;
        let second = self.read_slot(1, page)?;
        match (first, second) {
            (Some(first), second) if second.is_none_or(|second| second.commit < first.commit) => {
                // A writer may be at it meanwhile: what counts is what this second look finds.
                Ok(self.read_slot(0, page)?.map(|header| (0, header)))
            }
            (_, second) => Ok(second.map(|header| (1, header))),
        }
    }

    /// Reads body page `index` from wherever its best copy is.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn load(&self, index: u32, page: &mut Page) -> io::Result<Loaded> {
        let body = self.read_body(index, page)?;
        if matches!(body, Loaded::Whole(_)) {
            return Ok(body);
        }
        if let Some((_, header)) = self.newest_slot(page)?.filter(|(_, header)| header.id.index == index) {
            return Ok(Loaded::Whole(header));
        }
        // The writer moves a page from slot to body; it may have done so between the two looks.
        let body = self.read_body(index, page)?;
        if body != Loaded::Blank {
            return Ok(body);
        }
        for slot in 0..2 {
            if self.read_slot(slot, page)?.is_none()
                && page.records(self.id(index)).any(|found| matches!(found, super::page::Found::Record(..)))
            {
                return Ok(Loaded::Damaged);
            }
        }
        Ok(Loaded::Blank)
    }

    /// Reads body page `index` from its final place only.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn read_body(&self, index: u32, page: &mut Page) -> io::Result<Loaded> {
        page.clear();
        self.file.read_at(page.bytes_mut(), u64::from(LEADING_PAGES + index) * PAGE)?;
        if page.is_blank() {
            return Ok(Loaded::Blank);
        }
        Ok(match page.header() {
            Some(header) if header.id == self.id(index) => Loaded::Whole(header),
            _ => Loaded::Damaged,
        })
    }

    /// Visits every page that holds anything, in order, until `visit` says stop. One that the disk cannot read is
    /// visited empty, as damaged.
    pub fn pages(&self, page: &mut Page, visit: &mut dyn FnMut(u32, Loaded, &Page) -> std::ops::ControlFlow<()>) {
        for index in 0..self.body_pages {
            let loaded = self.load(index, page).unwrap_or_else(|error| {
                log::warn!("spool: read page {index} of {}: {error}", files::name(self.number, Form::Pages));
                page.clear();
                Loaded::Damaged
            });
            if loaded == Loaded::Blank {
                // Past the page that is being filled there is nothing. Without a whole tail slot, look on.
                match self.newest_slot(page) {
                    Ok(Some((_, tail))) if tail.id.index <= index => break,
                    _ => continue,
                }
            }
            if visit(index, loaded, page).is_break() {
                break;
            }
        }
    }

    /// The cursors that its newest whole page carries.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn newest_cursors(&self, page: &mut Page) -> io::Result<Option<Cursors>> {
        let mut newest: Option<(u64, Cursors)> =
            self.newest_slot(page)?.map(|(_, header)| (header.commit, page.cursors()));
        self.pages(page, &mut |_, loaded, page| {
            if let Loaded::Whole(header) = loaded {
                if newest.as_ref().is_none_or(|(commit, _)| *commit < header.commit) {
                    newest = Some((header.commit, page.cursors()));
                }
            }
            std::ops::ControlFlow::Continue(())
        });
        Ok(newest.map(|(_, cursors)| cursors))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_back_and_damage_and_versions_are_told_apart() {
        let header = SegmentHeader { segment: 7, first_frame: 1000, pages: 16 };
        let bytes = header.encode(MAGIC);
        assert_eq!(SegmentHeader::decode(&bytes, MAGIC), HeaderState::Good(header));
        assert_eq!(SegmentHeader::decode(&bytes, MAGIC).of(8), HeaderState::Damaged);
        assert_eq!(SegmentHeader::decode(&bytes, *b"IWASHISC"), HeaderState::Damaged);
        let mut flipped = bytes;
        flipped[17] ^= 4;
        assert_eq!(SegmentHeader::decode(&flipped, MAGIC), HeaderState::Damaged);
        let mut newer = bytes;
        newer[8] = 2;
        let crc = header_crc(&newer).to_le_bytes();
        newer[HEADER_BYTES - 4..].copy_from_slice(&crc);
        assert_eq!(SegmentHeader::decode(&newer, MAGIC), HeaderState::Foreign(2));
    }
}
