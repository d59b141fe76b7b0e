//! An adaptive binary range coder: a bit costs the less, the better its model foresaw it.
//!
//! Integers only, so that every processor writes and reads the same bytes. The interval is carry-less, as in the
//! public-domain coders of the PAQ family. Release builds are for size; what is called for each bit is inlined all the
//! same.

/// How far, of 65,536, a probability stays away from 0 and 1, so that either bit can be coded.
const LEAST: u16 = 24;

/// How far, of 65,536, a model goes towards each bit, by the number of bits it has seen: at first about to the mean of
/// them all, in the end to that of the last few dozens.
const RATES: [u16; 61] = rates();

const fn rates() -> [u16; 61] {
    let mut rates = [0; 61];
    let mut seen = 0;
    let mut divisor: u32 = 3;
    while seen < rates.len() {
        #[allow(clippy::indexing_slicing, clippy::cast_possible_truncation)] // checked when it is compiled
        {
            rates[seen] = (131_072 / divisor) as u16;
        }
        seen += 1;
        divisor += 2;
    }
    rates
}

/// The model of one bit: how probable a one is, by what was seen so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bit {
    one: u16,
    seen: u8,
}

impl Bit {
    pub(super) const NEW: Self = Self { one: 1 << 15, seen: 0 };

    #[inline(always)]
    fn learn(&mut self, bit: bool) {
        let Some(rate) = RATES.get(usize::from(self.seen)) else { return };
        let step = high_half(u32::from(self.distance(bit)) * u32::from(*rate));
        if bit {
            self.one += step;
        } else {
            self.one -= step;
        }
        self.seen += u8::from(usize::from(self.seen) + 1 < RATES.len());
    }

    /// How far it is from being sure of `bit`.
    fn distance(self, bit: bool) -> u16 {
        if bit {
            (u16::MAX - LEAST).saturating_sub(self.one)
        } else {
            self.one.saturating_sub(LEAST)
        }
    }
}

/// The upper sixteen bits.
#[inline(always)]
fn high_half(number: u32) -> u16 {
    let [first, second, ..] = number.to_be_bytes();
    u16::from_be_bytes([first, second])
}

/// Either end of the coder, so that one description of the data serves both.
pub(super) trait Coder {
    /// Codes a bit whose probability of being one is `one` of 65,536. The encoder takes `bit` and returns it; the
    /// decoder ignores it and returns the bit that was coded.
    fn code(&mut self, one: u16, bit: bool) -> bool;

    /// Codes a bit by its model; without one, as a bit that nothing is known of.
    #[inline(never)]
    fn bit(&mut self, model: Option<&mut Bit>, bit: bool) -> bool {
        let Some(model) = model else { return self.code(Bit::NEW.one, bit) };
        let bit = self.code(model.one, bit);
        model.learn(bit);
        bit
    }
}

/// What the code can still be.
#[derive(Clone, Copy, Debug)]
struct Interval {
    low: u32,
    high: u32,
}

impl Interval {
    const ALL: Self = Self { low: 0, high: u32::MAX };

    /// The greatest code that stands for a one.
    #[inline(always)]
    fn split(self, one: u16) -> u32 {
        // In two halves, because 32-bit processors multiply no wider.
        let range = self.high - self.low;
        self.low + u32::from(high_half(range)) * u32::from(one) + (range & 0xffff) * u32::from(one) / 65_536
    }

    #[inline(always)]
    fn narrow(&mut self, split: u32, bit: bool) {
        if bit {
            self.high = split;
        } else {
            self.low = split + 1;
        }
    }

    /// Takes out the first byte, once it can be but one.
    #[inline(always)]
    fn settled(&mut self) -> Option<u8> {
        let ([low, ..], [high, ..]) = (self.low.to_be_bytes(), self.high.to_be_bytes());
        if low != high {
            return None;
        }
        self.low <<= 8;
        self.high = self.high << 8 | 0xff;
        Some(low)
    }
}

/// Bits into bytes.
#[derive(Debug)]
pub(super) struct Encoder {
    interval: Interval,
    bytes: Vec<u8>,
}

impl Encoder {
    pub(super) fn new() -> Self {
        Self { interval: Interval::ALL, bytes: Vec::new() }
    }

    /// The code: no more bytes than it takes to stay within the interval when zeros follow.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let Interval { low, high } = self.interval;
        let bytes = (0..4).map(|kept: u32| {
            let mask = u32::MAX.checked_shr(8 * kept).unwrap_or_default();
            low.checked_add(mask).map(|up| up & !mask)
        });
        let shortest = bytes.flatten().find(|code| (low..=high).contains(code)).unwrap_or(low);
        self.bytes.extend(shortest.to_be_bytes());
        let len = self.bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        self.bytes.truncate(len);
        self.bytes
    }
}

impl Coder for Encoder {
    #[inline(always)]
    fn code(&mut self, one: u16, bit: bool) -> bool {
        let split = self.interval.split(one);
        self.interval.narrow(split, bit);
        while let Some(byte) = self.interval.settled() {
            self.bytes.push(byte);
        }
        bit
    }
}

/// Bytes into bits. Any bytes are a code; past their end there are zeros.
#[derive(Debug)]
pub(super) struct Decoder<'b> {
    interval: Interval,
    code: u32,
    rest: std::slice::Iter<'b, u8>,
}

impl<'b> Decoder<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        let mut decoder = Self { interval: Interval::ALL, code: 0, rest: bytes.iter() };
        (0..4).for_each(|_| decoder.shift());
        decoder
    }

    fn shift(&mut self) {
        self.code = self.code << 8 | self.rest.next().map_or(0, |byte| u32::from(*byte));
    }
}

impl Coder for Decoder<'_> {
    #[inline(always)]
    fn code(&mut self, one: u16, _: bool) -> bool {
        let split = self.interval.split(one);
        let bit = self.code <= split;
        self.interval.narrow(split, bit);
        while self.interval.settled().is_some() {
            self.shift();
        }
        bit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Codes bits, each by one of a few models or by none.
    fn run(coder: &mut impl Coder, bits: &[(u8, bool)]) -> Vec<bool> {
        let mut models = [Bit::NEW; 3];
        bits.iter().map(|(model, bit)| coder.bit(models.get_mut(usize::from(*model)), *bit)).collect()
    }

    proptest! {
        #[test]
        fn bits_come_back(bits in proptest::collection::vec((0u8..4, any::<bool>()), 0..600)) {
            let mut encoder = Encoder::new();
            let wanted = run(&mut encoder, &bits);
            let bytes = encoder.finish();
            prop_assert!(bytes.last() != Some(&0), "zeros at the end are not written");
            let unknown: Vec<_> = bits.iter().map(|(model, _)| (*model, false)).collect();
            prop_assert_eq!(run(&mut Decoder::new(&bytes), &unknown), wanted);
        }

        #[test]
        fn any_bytes_are_a_code(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(run(&mut Decoder::new(&bytes), &[(0, false); 2000]).len(), 2000);
        }
    }

    #[test]
    fn what_was_foreseen_costs_next_to_nothing() {
        let mut encoder = Encoder::new();
        run(&mut encoder, &[(0, true); 100_000]);
        assert!(encoder.finish().len() < 10);
    }
}
