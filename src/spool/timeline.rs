//! When frames were taken, as far as that can be known afterwards.
//!
//! A frame's own wall time counts where something vouched for it. For others of the same boot, `CLOCK_BOOTTIME` tells
//! how long before or after a trusted one they were taken. A boot that never knew the time lies between its
//! neighbours: an estimate, fit for people and not for an upstream.

use std::cell::Cell;

use crate::platform::clock::{BootId, Stamp, Trust};

/// A wall time that nobody vouches for, further off than this from what is known, is wrong (see [`Stamp::dated_by`]).
pub const MAX_STEP_MS: u64 = 60_000;

/// The most boots that are remembered, so that memory is bounded.
const MAX_BOOTS: usize = 4096;

/// When a frame was taken, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// It is known.
    Known(i64),
    /// Its boot never knew the time, and was between two others, or after one, or before one.
    Estimated(i64),
    /// Nothing is known.
    Unknown,
}

/// What is known of all boots that a spool has frames of.
#[derive(Debug, Default)]
pub struct Timeline {
    /// In the order of their frames.
    boots: Vec<Boot>,
    /// Where the last one asked for is: the next frame is of the same, nearly always.
    last: Cell<usize>,
}

#[derive(Debug)]
struct Boot {
    id: BootId,
    /// The first of its most trusted stamps, if any is to be trusted.
    anchor: Option<Stamp>,
    /// Boot time of its last frame: how long it lasted at least.
    lasted_ms: i64,
}

impl Boot {
    fn began_ms(&self) -> Option<i64> {
        self.anchor.map(|anchor| anchor.boot_began_ms())
    }
}

impl Timeline {
    /// Takes in a stamp; of one boot, in the order in which they were made.
    pub fn add(&mut self, stamp: &Stamp) {
        if stamp.boot_id == BootId::default() {
            return;
        }
        let place = self.place(stamp.boot_id).unwrap_or_else(|| {
            if self.boots.len() >= MAX_BOOTS {
                // A board that boots all the time: what it did long ago is not dated any more.
                self.boots.drain(..MAX_BOOTS / 2);
            }
            self.boots.push(Boot { id: stamp.boot_id, anchor: None, lasted_ms: 0 });
            self.boots.len() - 1
        });
        let Some(boot) = self.boots.get_mut(place) else { return };
        boot.lasted_ms = boot.lasted_ms.max(stamp.boottime_ms.cast_signed());
        let known = boot.anchor.map_or(Trust::Unknown, |anchor| anchor.trust);
        if stamp.trust > known {
            boot.anchor = Some(*stamp);
        }
    }

    fn place(&self, id: BootId) -> Option<usize> {
        let is_it = |boot: &Boot| boot.id == id;
        if self.boots.get(self.last.get()).is_some_and(is_it) {
            return Some(self.last.get());
        }
        let place = self.boots.iter().rposition(is_it)?;
        self.last.set(place);
        Some(place)
    }

    /// When the frame with this stamp was taken.
    #[must_use]
    pub fn time(&self, stamp: &Stamp) -> Time {
        let place = self.place(stamp.boot_id);
        let anchor = place.and_then(|place| self.boots.get(place)?.anchor);
        let own = (stamp.trust > Trust::Unknown).then_some(stamp.wall_ms);
        let dated =
            anchor.filter(|anchor| anchor.trust > stamp.trust).map(|anchor| stamp.dated_by(&anchor, MAX_STEP_MS));
        match (dated, own) {
            // A battery-backed clock that was set by hand: nobody can tell which of the two times was right.
            (Some(dated), _) if dated.trust == Trust::Hardware && dated.wall_ms != stamp.wall_ms => {
                Time::Estimated(dated.wall_ms)
            }
            (Some(dated), _) => Time::Known(dated.wall_ms),
            (None, Some(own)) => Time::Known(own),
            (None, None) => match place.and_then(|place| self.estimated_began_ms(place)) {
                Some(began_ms) => Time::Estimated(began_ms.saturating_add(stamp.boottime_ms.cast_signed())),
                None => Time::Unknown,
            },
        }
    }

    /// When a boot without any trusted stamp may have begun: right after the one before, but all of it before the
    /// one after.
    fn estimated_began_ms(&self, place: usize) -> Option<i64> {
        let (before, rest) = self.boots.split_at_checked(place)?;
        let mut between_ms = 0i64;
        let earliest = before.iter().rev().find_map(|boot| {
            let end = boot.began_ms().map(|began| began.saturating_add(boot.lasted_ms));
            between_ms = between_ms.saturating_add(if end.is_some() { 0 } else { boot.lasted_ms });
            end
        });
        let earliest = earliest.map(|end| end.saturating_add(between_ms));
        let mut until_ms = 0i64;
        let latest = rest.iter().find_map(|boot| {
            let began = boot.began_ms();
            until_ms = until_ms.saturating_add(if began.is_some() { 0 } else { boot.lasted_ms });
            began
        });
        let latest = latest.map(|began| began.saturating_sub(until_ms));
        match (earliest, latest) {
            (Some(earliest), Some(latest)) => Some(earliest.min(latest)),
            (earliest, latest) => earliest.or(latest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_800_000_000_000;

    fn stamp(boot: u8, boottime_ms: u64, wall_ms: i64, trust: Trust) -> Stamp {
        Stamp { boot_id: BootId([boot; 16]), boottime_ms, wall_ms, trust }
    }

    fn timeline(stamps: &[Stamp]) -> Timeline {
        let mut timeline = Timeline::default();
        stamps.iter().for_each(|stamp| timeline.add(stamp));
        timeline
    }

    #[test]
    fn frames_before_the_clock_was_set_are_placed_by_their_boot_time() {
        let early = stamp(1, 5_000, 5_000, Trust::Unknown);
        let synchronised = stamp(1, 305_000, NOON, Trust::Synchronised);
        let late = stamp(1, 365_000, NOON + 60_010, Trust::Synchronised);
        let timeline = timeline(&[early, synchronised, late]);
        assert_eq!(timeline.time(&early), Time::Known(NOON - 300_000));
        assert_eq!(timeline.time(&late), Time::Known(NOON + 60_010), "its own, slewed as it is");
    }

    #[test]
    fn a_battery_backed_clock_is_believed_until_a_server_says_otherwise() {
        let alone = stamp(1, 1_000, NOON, Trust::Hardware);
        assert_eq!(timeline(&[alone]).time(&alone), Time::Known(NOON));
        let near = stamp(2, 1_000, NOON + 2_000, Trust::Hardware);
        let wrong = stamp(2, 61_000, NOON - 86_400_000, Trust::Hardware);
        let told = stamp(2, 121_000, NOON + 120_000, Trust::Synchronised);
        let timeline = timeline(&[near, wrong, told]);
        assert_eq!(timeline.time(&near), Time::Known(NOON + 2_000));
        assert_eq!(timeline.time(&wrong), Time::Known(NOON + 60_000));
    }

    #[test]
    fn a_boot_that_never_knew_the_time_is_estimated_from_its_neighbours() {
        let first = [stamp(1, 0, NOON, Trust::Synchronised), stamp(1, 600_000, NOON + 600_000, Trust::Synchronised)];
        let second = [stamp(2, 10_000, 10_000, Trust::Unknown), stamp(2, 70_000, 70_000, Trust::Unknown)];
        let third = [stamp(3, 5_000, 5_000, Trust::Unknown)];
        let open: Vec<_> = first.into_iter().chain(second).chain(third).collect();
        let until_now = timeline(&open);
        assert_eq!(until_now.time(&second[0]), Time::Estimated(NOON + 610_000));
        assert_eq!(until_now.time(&third[0]), Time::Estimated(NOON + 675_000), "after the second, which lasted 70 s");
        // A boot after them began before they could have ended, had they begun right after the first.
        let fourth = stamp(4, 1_000, NOON + 621_000, Trust::Synchronised);
        let bracketed: Vec<_> = open.iter().copied().chain([fourth]).collect();
        let bracketed = timeline(&bracketed);
        assert_eq!(bracketed.time(&third[0]), Time::Estimated(NOON + 620_000));
        assert_eq!(bracketed.time(&second[1]), Time::Estimated(NOON + 615_000));
        // Nothing before them.
        let only_after: Vec<_> = second.into_iter().chain([fourth]).collect();
        assert_eq!(timeline(&only_after).time(&second[1]), Time::Estimated(NOON + 620_000));
        assert_eq!(timeline(&second).time(&second[1]), Time::Unknown);
    }

    #[test]
    fn a_battery_backed_clock_that_was_set_by_hand_leaves_an_estimate() {
        let before = stamp(1, 1_000, NOON - 86_400_000, Trust::Hardware);
        let after = stamp(1, 61_000, NOON + 60_000, Trust::Unknown);
        let timeline = timeline(&[before, after]);
        assert_eq!(timeline.time(&after), Time::Estimated(NOON - 86_340_000));
    }

    #[test]
    fn boots_without_end_take_bounded_memory() {
        let mut timeline = Timeline::default();
        let of = |boot: u64| {
            let mut id = [9; 16];
            id[..8].copy_from_slice(&boot.to_le_bytes());
            let wall_ms = NOON + boot.cast_signed() * 1_000;
            Stamp { boot_id: BootId(id), boottime_ms: 500, wall_ms, trust: Trust::Synchronised }
        };
        (0..10_000).for_each(|boot| timeline.add(&of(boot)));
        assert!(timeline.boots.len() <= MAX_BOOTS);
        assert_eq!(timeline.time(&of(9_999)), Time::Known(NOON + 9_999_000));
    }

    #[test]
    fn without_a_boot_id_only_a_trusted_wall_time_counts() {
        let nameless = |trust| Stamp { boot_id: BootId::default(), ..stamp(0, 1_000, NOON, trust) };
        let timeline = timeline(&[nameless(Trust::Synchronised), nameless(Trust::Unknown)]);
        assert_eq!(timeline.time(&nameless(Trust::Hardware)), Time::Known(NOON));
        assert_eq!(timeline.time(&nameless(Trust::Unknown)), Time::Unknown);
    }
}
