//! The files of a spool: what they are called, and which of two forms a segment has.

use std::io;

use crate::platform::disk::Disk;

/// How a segment is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// Pages of records, one after the other; frames can be added.
    Pages,
    /// Columns, one for each series; see [`super::Sealed`].
    Sealed,
}

/// A segment's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoredFile {
    /// The segment's number; later segments have greater ones.
    pub number: u64,
    /// How it is stored.
    pub form: Form,
    /// Bytes of the file.
    pub len: u64,
}

impl StoredFile {
    /// The file's name.
    #[must_use]
    pub fn name(&self) -> String {
        name(self.number, self.form)
    }

    /// The segment in file `file`, if it is one.
    #[must_use]
    pub fn of(file: &str, len: u64) -> Option<Self> {
        let digits = file.get(..16)?;
        let number = u64::from_str_radix(digits, 16).ok()?;
        let form = [Form::Pages, Form::Sealed].into_iter().find(|form| name(number, *form) == file)?;
        // No writer gets that far, and there must be room for the next number.
        (number < 1 << 63).then_some(Self { number, form, len })
    }
}

/// The file name of segment `number`.
#[must_use]
pub fn name(number: u64, form: Form) -> String {
    let extension = match form {
        Form::Pages => "seg",
        Form::Sealed => "col",
    };
    format!("{number:016x}.{extension}")
}

/// All segments, oldest first. One that is there in both forms, as for a moment while it is sealed, is its sealed one.
///
/// # Errors
/// Those of the disk.
pub fn list(disk: &dyn Disk) -> io::Result<Vec<StoredFile>> {
    let mut files: Vec<_> = disk.list()?.iter().filter_map(|(name, len)| StoredFile::of(name, *len)).collect();
    files.sort_unstable_by_key(|file| (file.number, std::cmp::Reverse(file.form)));
    files.dedup_by_key(|file| file.number);
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_sixteen_hex_digits_are_segments() {
        for form in [Form::Pages, Form::Sealed] {
            assert_eq!(StoredFile::of(&name(0xab, form), 7), Some(StoredFile { number: 0xab, form, len: 7 }));
        }
        for other in [
            "00000000000000ab.seg.tmp",
            "ab.seg",
            "lock",
            "00000000000000zz.seg",
            "+0000000000000ab.seg",
            "00000000000000AB.col",
            "000000000000000é.seg",
            "ffffffffffffffff.seg",
        ] {
            assert_eq!(StoredFile::of(other, 0), None, "{other}");
        }
    }
}
