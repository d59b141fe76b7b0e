//! Frames out of a segment's pages.

use super::page::{Found, Page, PageId};
use super::record::{Key, Record};
use crate::frame::{Frame, Reading};
use crate::platform::clock::Stamp;
use crate::series::{Series, SeriesId, SeriesTable};

/// What was met while reading that is not as it should be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    /// Stretches of bytes that are no record.
    pub stretches: u64,
    /// Rows whose key is damaged or gone.
    pub rows_without_key: u64,
    /// Readings whose series' definition is damaged or gone.
    pub readings_without_series: u64,
    /// Whole records that this version cannot read.
    pub unknown_records: u64,
    /// Segments of another version, left alone.
    pub foreign_segments: u64,
    /// Segments that could not be opened or read, or whose header is damaged.
    pub bad_segments: u64,
    /// Pages that are not as they were written, or cannot be read.
    pub bad_pages: u64,
    /// Blocks of sealed segments that are not as they were written.
    pub bad_blocks: u64,
    /// Frames missing between those read, by their numbers.
    pub missing_frames: u64,
}

impl std::ops::AddAssign for Damage {
    fn add_assign(&mut self, other: Self) {
        self.stretches += other.stretches;
        self.rows_without_key += other.rows_without_key;
        self.readings_without_series += other.readings_without_series;
        self.unknown_records += other.unknown_records;
        self.foreign_segments += other.foreign_segments;
        self.bad_segments += other.bad_segments;
        self.bad_pages += other.bad_pages;
        self.bad_blocks += other.bad_blocks;
        self.missing_frames += other.missing_frames;
    }
}

impl Damage {
    /// Whether all was well.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// The most keys kept of one page; a writer makes one for each part and each change of the set of series.
const MAX_KEYS: usize = 32;

/// What a segment's number of a series stands for.
#[derive(Clone, Copy, Debug, Default)]
enum Number {
    /// The segment does not say, or the table has no room.
    #[default]
    Unknown,
    /// A series that is not wanted.
    Unwanted,
    /// The table's number.
    Known(SeriesId),
}

/// What is given every frame, in order.
pub type EmitFrame<'a> = dyn FnMut(&Frame, &SeriesTable) + 'a;

/// Puts frames together from records, one segment at a time.
#[derive(Debug, Default)]
pub struct Decoder {
    /// What the segment's numbers of series stand for.
    numbers: Vec<Number>,
    keys: Vec<(u16, Key)>,
    /// The frame that is being put together; its `seq` is 0 while there is none.
    frame: Box<Frame>,
}

impl Decoder {
    /// Begins a segment: its numbers of series mean nothing of what was before.
    pub fn begin_segment(&mut self) {
        self.numbers.clear();
    }

    /// Takes in one page, and emits every frame that is complete.
    pub fn page(
        &mut self,
        page: &Page,
        id: PageId,
        wanted: &dyn Fn(&Series) -> bool,
        table: &mut SeriesTable,
        damage: &mut Damage,
        emit: &mut EmitFrame<'_>,
    ) {
        self.keys.clear();
        for found in page.records(id) {
            match found {
                Found::Damage => damage.stretches += 1,
                Found::Unknown => damage.unknown_records += 1,
                Found::Record(_, Record::Series { id, series }) => {
                    let index = usize::from(id);
                    if self.numbers.len() <= index {
                        self.numbers.resize(index + 1, Number::Unknown);
                    }
                    if let Some(place @ Number::Unknown) = self.numbers.get_mut(index) {
                        *place = match wanted(&series) {
                            true => table.intern(series.into_owned()).map_or(Number::Unknown, Number::Known),
                            false => Number::Unwanted,
                        };
                    }
                }
                Found::Record(offset, Record::Key(key)) => {
                    self.begin_part(key.seq, key.stamp, table, emit);
                    add(&mut self.frame, key.readings(), &self.numbers, damage);
                    if self.keys.len() == MAX_KEYS {
                        self.keys.remove(0);
                    }
                    self.keys.push((offset, key));
                }
                Found::Record(_, Record::Row(row)) => {
                    let place = self.keys.iter().position(|(offset, _)| *offset == row.key_offset);
                    let Some(key) = place.and_then(|place| self.keys.get(place)) else {
                        damage.rows_without_key += 1;
                        continue;
                    };
                    let (seq, stamp) = row.place(&key.1);
                    begin_part(&mut self.frame, seq, stamp, table, emit);
                    add(&mut self.frame, row.readings(&key.1), &self.numbers, damage);
                }
                Found::Record(_, Record::Trouble { .. }) => {}
            }
        }
    }

    /// Takes in a frame, or a part of one, whose series are numbered by the table.
    pub fn part(
        &mut self,
        seq: u64,
        stamp: Stamp,
        readings: &[Reading],
        table: &SeriesTable,
        emit: &mut EmitFrame<'_>,
    ) {
        self.begin_part(seq, stamp, table, emit);
        readings.iter().for_each(|reading| self.frame.push(reading.series, reading.value));
    }

    /// Emits the last frame.
    pub fn finish(&mut self, table: &SeriesTable, emit: &mut EmitFrame<'_>) {
        self.begin_part(0, Stamp::default(), table, emit);
    }

    fn begin_part(&mut self, seq: u64, stamp: Stamp, table: &SeriesTable, emit: &mut EmitFrame<'_>) {
        begin_part(&mut self.frame, seq, stamp, table, emit);
    }
}

/// Goes on with the frame `seq`, or emits the one before and begins it.
fn begin_part(frame: &mut Frame, seq: u64, stamp: Stamp, table: &SeriesTable, emit: &mut EmitFrame<'_>) {
    if frame.seq == seq {
        return;
    }
    if frame.seq != 0 {
        emit(frame, table);
    }
    frame.restart(stamp);
    frame.seq = seq;
}

fn add(frame: &mut Frame, readings: impl Iterator<Item = Reading>, numbers: &[Number], damage: &mut Damage) {
    for reading in readings {
        match numbers.get(usize::from(reading.series)).copied().unwrap_or_default() {
            Number::Known(series) => frame.push(series, reading.value),
            Number::Unwanted => {}
            Number::Unknown => damage.readings_without_series += 1,
        }
    }
}
