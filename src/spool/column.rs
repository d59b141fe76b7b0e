//! The values of one series in a row, compressed: a few bits for a step of the usual size, next to nothing for none.
//!
//! Every value is coded by its difference from the one before, in units of what all differences of the column have in
//! common (sensors with coarse steps). A difference is a zero or not, a length in bits, a sign, and the bits below the
//! first. The models of the first two are chosen by how long the last differences were.

use serde::{Deserialize, Serialize};

use super::range_coder::{Bit, Coder, Decoder, Encoder};

/// Stands for this way of coding in a column's head.
pub(super) const CODEC: u8 = 1;

/// Classes of recent differences.
const CONTEXTS: usize = 24;
/// Lengths of differences, from 1 to 64, as a tree of decisions.
const LENGTHS: usize = 64;
/// Bits below the first that have models: three from the top, two from the bottom.
const TOP_BITS: u32 = 3;
const LOW_BITS: u32 = 2;

/// What must be known beside the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Base {
    /// The first value.
    pub(super) first: i64,
    /// What all differences are multiples of; 0 where they are all zero.
    pub(super) step: u64,
}

/// What the coder has learned about a column.
struct Models {
    is_absent: [Bit; 4],
    is_zero: [Bit; CONTEXTS * 4],
    length: [Bit; CONTEXTS * LENGTHS],
    is_negative: [Bit; 9],
    top: [Bit; 65 << TOP_BITS],
    low: [Bit; 65 * 2],
    /// A sliding mean of the lengths of differences, in sixteenths of a bit.
    mean_length: u32,
    /// Whether the last two were absent, as two bits.
    absences: usize,
    /// Whether the last two differences were zero, as two bits.
    zeros: usize,
    /// Zero, positive or negative of the last two differences, as digits to the base of three.
    signs: usize,
}

impl Models {
    fn new() -> Box<Self> {
        Box::new(Self {
            is_absent: [Bit::NEW; 4],
            is_zero: [Bit::NEW; CONTEXTS * 4],
            length: [Bit::NEW; CONTEXTS * LENGTHS],
            is_negative: [Bit::NEW; 9],
            top: [Bit::NEW; 65 << TOP_BITS],
            low: [Bit::NEW; 65 * 2],
            mean_length: 0,
            absences: 0,
            zeros: 0,
            signs: 0,
        })
    }

    /// Half bits for short differences, two bits for long ones.
    fn context(&self) -> usize {
        let class = if self.mean_length < 96 { self.mean_length / 8 } else { 9 + self.mean_length / 32 };
        (class as usize).min(CONTEXTS - 1)
    }

    fn absence(&mut self, coder: &mut impl Coder, is_absent: bool) -> bool {
        let is_absent = coder.bit(self.is_absent.get_mut(self.absences), is_absent);
        self.absences = (self.absences << 1 | usize::from(is_absent)) & 3;
        is_absent
    }

    fn difference(&mut self, coder: &mut impl Coder, difference: i64) -> i64 {
        let magnitude = difference.unsigned_abs();
        let context = self.context();
        let is_zero = coder.bit(self.is_zero.get_mut(context * 4 + self.zeros), magnitude == 0);
        self.zeros = (self.zeros << 1 | usize::from(is_zero)) & 3;
        let (length, value) = if is_zero {
            self.signs = self.signs * 3 % 9;
            (0, 0)
        } else {
            let length = self.length(coder, context, u64::BITS - magnitude.leading_zeros());
            let is_negative = coder.bit(self.is_negative.get_mut(self.signs), difference < 0);
            self.signs = (self.signs * 3 + 1 + usize::from(is_negative)) % 9;
            let value = self.magnitude(coder, length, magnitude).cast_signed();
            (length, if is_negative { value.wrapping_neg() } else { value })
        };
        self.mean_length = (self.mean_length * 5 + length * 48 + 4) / 8;
        value
    }

    /// A number of bits, from 1 to 64.
    fn length(&mut self, coder: &mut impl Coder, context: usize, length: u32) -> u32 {
        let (symbol, mut node) = (length.wrapping_sub(1), 1);
        for i in (0..6).rev() {
            let bit = coder.bit(self.length.get_mut(context * LENGTHS + node), symbol >> i & 1 == 1);
            node = node << 1 | usize::from(bit);
        }
        u32::try_from(node - LENGTHS).unwrap_or_default() + 1
    }

    /// A number of `length` bits, the first of which is one.
    fn magnitude(&mut self, coder: &mut impl Coder, length: u32, magnitude: u64) -> u64 {
        let (mut value, mut node) = (1, 1);
        for i in (0..length.saturating_sub(1)).rev() {
            let bit = magnitude >> i & 1 == 1;
            let bit = if length - 2 - i < TOP_BITS {
                let bit = coder.bit(self.top.get_mut((length as usize) << TOP_BITS | node), bit);
                node = node << 1 | usize::from(bit);
                bit
            } else if i < LOW_BITS {
                coder.bit(self.low.get_mut((length * LOW_BITS + i) as usize), bit)
            } else {
                coder.bit(None, bit)
            };
            value = value << 1 | u64::from(bit);
        }
        value
    }
}

/// The stream of `values`, where `None` means that there was no reading.
pub(super) fn encode(values: &[Option<i64>]) -> (Base, Vec<u8>) {
    let base = base(values);
    let mut encoder = Encoder::new();
    let mut models = Models::new();
    let mut before = base.first;
    for value in values {
        if models.absence(&mut encoder, value.is_none()) {
            continue;
        }
        let value = value.unwrap_or_default();
        models.difference(&mut encoder, steps(value.wrapping_sub(before), base.step));
        before = value;
    }
    (base, encoder.finish())
}

/// The values of a stream, as many as are asked for; any bytes give some.
pub(super) fn decode(base: Base, stream: &[u8]) -> impl Iterator<Item = Option<i64>> + '_ {
    let mut decoder = Decoder::new(stream);
    let mut models = Models::new();
    let mut before = base.first;
    std::iter::repeat_with(move || {
        if models.absence(&mut decoder, false) {
            return None;
        }
        let steps = models.difference(&mut decoder, 0);
        before = before.wrapping_add(steps.wrapping_mul(base.step.cast_signed()));
        Some(before)
    })
}

fn base(values: &[Option<i64>]) -> Base {
    let mut given = values.iter().flatten();
    let Some(first) = given.next() else { return Base::default() };
    let step = given.fold((0, *first), |(step, before), value| {
        (common_divisor(step, value.wrapping_sub(before).unsigned_abs()), *value)
    });
    Base { first: *first, step: step.0 }
}

fn common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// How many steps make up `difference`, which is a multiple of them.
fn steps(difference: i64, step: u64) -> i64 {
    let count = difference.unsigned_abs().checked_div(step).unwrap_or_default().cast_signed();
    if difference < 0 {
        count.wrapping_neg()
    } else {
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(values: &[Option<i64>]) -> usize {
        let (base, stream) = encode(values);
        assert_eq!(decode(base, &stream).take(values.len()).collect::<Vec<_>>(), values);
        stream.len()
    }

    proptest! {
        #[test]
        fn any_values_come_back(values in proptest::collection::vec(any::<Option<i64>>(), 0..300)) {
            round_trip(&values);
        }

        #[test]
        fn coarse_steps_come_back(
            counts in proptest::collection::vec(proptest::option::of(-40i64..40), 0..300), step in any::<i64>(),
            first in any::<i64>(),
        ) {
            let values: Vec<_> =
                counts.iter().map(|count| Some(first.wrapping_add((*count)?.wrapping_mul(step)))).collect();
            round_trip(&values);
        }

        #[test]
        fn any_bytes_decode(stream in proptest::collection::vec(any::<u8>(), 0..200), first in any::<i64>(),
            step in any::<u64>(),
        ) {
            prop_assert_eq!(decode(Base { first, step }, &stream).take(5000).count(), 5000);
        }
    }

    #[test]
    fn extremes_come_back() {
        round_trip(&[]);
        round_trip(&[None]);
        round_trip(&[Some(i64::MIN), Some(i64::MAX), Some(i64::MIN), Some(0), Some(i64::MIN), None, Some(-1)]);
        round_trip(&[Some(0), Some(i64::MIN), Some(0)]);
    }

    #[test]
    fn a_day_of_what_does_not_change_is_a_few_bytes() {
        let steady = |step: i64| (0..1440).map(|minute| Some(7 + minute * step)).collect::<Vec<_>>();
        assert!(round_trip(&steady(0)) <= 4);
        assert!(round_trip(&steady(6000)) <= 12);
        assert!(round_trip(&[None; 1440]) <= 4);
    }

    #[test]
    fn a_thermometer_of_coarse_steps_costs_no_more_than_its_steps() {
        let mut choices: u64 = 1;
        let mut value = 45_000;
        let values: Vec<_> = (0..1440)
            .map(|_| {
                choices = choices.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                value += [0, 0, 487, -487][(choices >> 62) as usize];
                Some(value)
            })
            .collect();
        // Half of the steps are zero, the others go either way: a bit and a half each.
        assert!(round_trip(&values) <= 1440 * 16 / 80, "{}", round_trip(&values));
    }
}
