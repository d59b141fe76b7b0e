//! A segment in whichever form it is stored.

use std::io;

use super::files::{Form, StoredFile};
use super::page::{Cursors, Page};
use super::sealed::Sealed;
use super::segment::{HeaderState, Segment};
use super::trouble::{troubles, Trouble};
use crate::platform::disk::Disk;

/// A segment in either form.
#[derive(Debug)]
pub enum Stored {
    /// As pages.
    Pages(Segment),
    /// As columns.
    Sealed(Sealed),
}

impl Stored {
    /// Opens a segment to be read.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn open(disk: &dyn Disk, file: &StoredFile) -> io::Result<Self> {
        match file.form {
            Form::Pages => Segment::open(disk, file.number, file.len, false).map(Self::Pages),
            Form::Sealed => Sealed::open(disk, &file.name(), file.number, file.len).map(Self::Sealed),
        }
    }

    /// What its first bytes say.
    #[must_use]
    pub fn header(&self) -> HeaderState {
        match self {
            Self::Pages(segment) => segment.header,
            Self::Sealed(sealed) => sealed.header,
        }
    }

    /// The cursors and troubles that it was last told, if it tells of any.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn sinks(&self, page: &mut Page) -> io::Result<Option<(Cursors, Vec<Trouble>)>> {
        match self {
            Self::Pages(segment) => Ok(segment.newest_cursors(page)?.map(|cursors| (cursors, troubles(segment, page)))),
            Self::Sealed(sealed) => Ok(sealed.footer().map(|footer| (footer.cursors.clone(), footer.troubles.clone()))),
        }
    }
}

/// The first frame that can be in a segment, if its header tells; no more of it is read.
///
/// # Errors
/// Those of the disk.
pub fn first_frame(disk: &dyn Disk, file: &StoredFile) -> io::Result<Option<u64>> {
    match header(disk, file)? {
        HeaderState::Good(header) => Ok(Some(header.first_frame)),
        HeaderState::Damaged | HeaderState::Foreign(_) => Ok(None),
    }
}

/// What a segment's first bytes say; no more of it is read.
///
/// # Errors
/// Those of the disk.
pub fn header(disk: &dyn Disk, file: &StoredFile) -> io::Result<HeaderState> {
    let magic = match file.form {
        Form::Pages => super::segment::MAGIC,
        Form::Sealed => super::sealed::MAGIC,
    };
    let mut bytes = [0; super::segment::HEADER_BYTES];
    disk.open(&file.name(), false)?.read_at(&mut bytes, 0)?;
    Ok(super::segment::SegmentHeader::decode(&bytes, magic).of(file.number))
}
