//! What one record of a page says, in postcard.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::frame::{Reading, MAX_READINGS};
use crate::platform::clock::Stamp;
use crate::series::{Series, SeriesId};

/// The most readings that one record carries; a larger frame takes several.
pub const PART_READINGS: usize = 128;

/// The most parts of one frame.
pub const MAX_PARTS: usize = MAX_READINGS / PART_READINGS;

/// No frame has this number or a greater one: there must be room for the next.
pub const MAX_SEQ: u64 = 1 << 62;

/// One bit for each reading of a part.
pub type Bits = heapless::Vec<u8, { PART_READINGS / 8 }>;

/// A record. The order of the variants is the format: new ones go to the end.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::large_enum_variant)] // lives on the stack for a moment: appending must not allocate
pub enum Record<'a> {
    /// From here on, `id` stands for `series` in this segment.
    Series {
        /// The number.
        id: SeriesId,
        /// What it stands for.
        series: Cow<'a, Series>,
    },
    /// Part of a frame, in full.
    Key(Key),
    /// Part of a frame, as its difference from a [`Key`] in the same page.
    Row(Row),
    /// What troubles a sink, in words; empty when nothing does any more.
    Trouble {
        /// The sink.
        sink: Cow<'a, str>,
        /// Since when, in milliseconds since 1970.
        since_ms: i64,
        /// What a person is to read.
        text: Cow<'a, str>,
    },
}

/// Part of a frame, in full.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// The frame's place among all frames.
    pub seq: u64,
    /// Which part of the frame this is, from 0.
    pub part: u8,
    /// How many parts the frame has.
    pub parts: u8,
    /// When the frame was taken.
    pub stamp: Stamp,
    /// The series read.
    pub ids: heapless::Vec<SeriesId, PART_READINGS>,
    /// Their values, in the same order.
    pub values: heapless::Vec<i64, PART_READINGS>,
}

/// Part of a frame, as its difference from a key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Where in the page the key begins. A row whose key is damaged is damaged too, never read by another key.
    pub key_offset: u16,
    /// This frame's `seq` less the key's.
    pub seq_delta: u32,
    /// How many parts the frame has.
    pub parts: u8,
    /// This frame's boot time less the key's.
    pub boottime_delta_ms: u64,
    /// Change of (wall time - boot time) since the key: 0 unless the wall clock was set or slewed.
    pub wall_shift_ms: i64,
    /// Which of the key's series were not read.
    pub absent: Bits,
    /// Which of the series read have another value than in the key.
    pub changed: Bits,
    /// New value less the key's (wrapping), for each series changed.
    pub deltas: heapless::Vec<i64, PART_READINGS>,
}

impl Key {
    /// The key of `readings`, which must not be more than `PART_READINGS`.
    pub fn of(seq: u64, part: u8, parts: u8, stamp: Stamp, readings: &[Reading]) -> Self {
        let mut key = Self { seq, part, parts, stamp, ..Self::default() };
        for reading in readings.iter().take(PART_READINGS) {
            // Both have room for that many.
            key.ids.push(reading.series).ok();
            key.values.push(reading.value).ok();
        }
        key
    }

    /// The difference of a later frame's part from this key; `None` where only a new key can say it: another
    /// boot, another trust in the wall time, or a series that this key does not have.
    pub fn row(&self, key_offset: u16, seq: u64, parts: u8, stamp: Stamp, readings: &[Reading]) -> Option<Row> {
        if (stamp.boot_id, stamp.trust) != (self.stamp.boot_id, self.stamp.trust) {
            return None;
        }
        let mut row = Row {
            key_offset,
            seq_delta: u32::try_from(seq.checked_sub(self.seq)?).ok()?,
            parts,
            boottime_delta_ms: stamp.boottime_ms.checked_sub(self.stamp.boottime_ms)?,
            wall_shift_ms: stamp.boot_began_ms().wrapping_sub(self.stamp.boot_began_ms()),
            ..Row::default()
        };
        let mut readings = readings.iter().peekable();
        for (i, (id, value)) in self.ids.iter().zip(&self.values).enumerate() {
            match readings.next_if(|reading| reading.series == *id) {
                None => set_bit(&mut row.absent, i)?,
                Some(reading) if reading.value == *value => {}
                Some(reading) => {
                    set_bit(&mut row.changed, i)?;
                    row.deltas.push(reading.value.wrapping_sub(*value)).ok()?;
                }
            }
        }
        readings.next().is_none().then_some(row)
    }

    /// What this key says: stamp and readings.
    pub fn readings(&self) -> impl Iterator<Item = Reading> + '_ {
        self.ids.iter().zip(&self.values).map(|(series, value)| Reading { series: *series, value: *value })
    }
}

impl Row {
    /// The `seq` and stamp of the frame, by its key.
    pub fn place(&self, key: &Key) -> (u64, Stamp) {
        let boottime_ms = key.stamp.boottime_ms.wrapping_add(self.boottime_delta_ms);
        let wall_ms = key.stamp.wall_at(boottime_ms).wrapping_add(self.wall_shift_ms);
        (key.seq.wrapping_add(u64::from(self.seq_delta)), Stamp { boottime_ms, wall_ms, ..key.stamp })
    }

    /// The readings, by their key.
    pub fn readings<'a>(&'a self, key: &'a Key) -> impl Iterator<Item = Reading> + 'a {
        let mut deltas = self.deltas.iter();
        key.ids.iter().zip(&key.values).enumerate().filter_map(move |(i, (series, value))| {
            if bit(&self.absent, i) {
                return None;
            }
            let delta = if bit(&self.changed, i) { *deltas.next()? } else { 0 };
            Some(Reading { series: *series, value: value.wrapping_add(delta) })
        })
    }
}

fn bit(bits: &Bits, index: usize) -> bool {
    bits.get(index / 8).is_some_and(|byte| byte >> (index % 8) & 1 == 1)
}

/// Sets a bit, growing the bytes only as far as needed: trailing zero bytes are never written.
fn set_bit(bits: &mut Bits, index: usize) -> Option<()> {
    if bits.len() <= index / 8 {
        bits.resize_default(index / 8 + 1).ok()?;
    }
    *bits.get_mut(index / 8)? |= 1 << (index % 8);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::clock::{BootId, Trust};
    use proptest::prelude::*;

    fn readings() -> impl Strategy<Value = Vec<Reading>> {
        proptest::collection::btree_map(any::<u16>(), any::<i64>(), 0..PART_READINGS)
            .prop_map(|map| map.into_iter().map(|(series, value)| Reading { series, value }).collect())
    }

    fn stamp(boottime_ms: u64, wall_ms: i64) -> Stamp {
        Stamp { boot_id: BootId([7; 16]), boottime_ms, wall_ms, trust: Trust::Hardware }
    }

    proptest! {
        #[test]
        fn a_row_gives_back_what_went_in(
            key in readings(), keep in proptest::collection::vec(any::<bool>(), PART_READINGS),
            change in proptest::collection::vec(any::<Option<i64>>(), PART_READINGS),
            walls in any::<(i64, i64)>(), at in any::<u32>(), later in any::<u32>(),
        ) {
            let first = stamp(u64::from(at), walls.0);
            let key = Key::of(5, 0, 1, first, &key);
            let later = stamp(u64::from(at) + u64::from(later), walls.1);
            let expected: Vec<Reading> = key.readings().enumerate()
                .filter(|(i, _)| keep[*i])
                .map(|(i, r)| Reading { value: change[i].unwrap_or(r.value), ..r })
                .collect();
            let row = key.row(40, 9, 1, later, &expected).unwrap();
            let mut bytes = [0u8; 4096];
            let bytes = postcard::to_slice(&Record::Row(row), &mut bytes).unwrap();
            let Record::Row(row) = postcard::from_bytes(bytes).unwrap() else { panic!("not a row") };
            prop_assert_eq!(row.place(&key), (9, later));
            prop_assert_eq!(row.readings(&key).collect::<Vec<_>>(), expected);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), key in readings()) {
            let key = Key::of(u64::MAX, 0, 1, stamp(u64::MAX, i64::MIN), &key);
            match postcard::from_bytes(&bytes) {
                Ok(Record::Row(row)) => { row.place(&key); row.readings(&key).count(); }
                Ok(Record::Key(key)) => { key.readings().count(); }
                _ => {}
            }
        }
    }

    #[test]
    fn another_boot_another_trust_or_a_new_series_needs_a_key() {
        let old = [Reading { series: 1, value: 5 }];
        let key = Key::of(1, 0, 1, stamp(10, 1000), &old);
        let rebooted = Stamp { boot_id: BootId([8; 16]), ..stamp(20, 1010) };
        assert_eq!(key.row(32, 2, 1, rebooted, &old), None);
        assert_eq!(key.row(32, 2, 1, Stamp { trust: Trust::Synchronised, ..stamp(20, 1010) }, &old), None);
        let more = [Reading { series: 1, value: 5 }, Reading { series: 2, value: 5 }];
        assert_eq!(key.row(32, 2, 1, stamp(20, 1010), &more), None);
        assert!(key.row(32, 2, 1, stamp(20, 1010), &[]).is_some());
    }
}
