//! The devices that a `/proc` file lists, each with its series.

use crate::sensor::readings::Slot;

/// The most devices that one sensor keeps.
pub(crate) const MAX_DEVICES: usize = 256;

/// Devices by name, in the order of the file that lists them, each with `N` series.
///
/// A device costs allocations when it is met first, and a comparison of its name afterwards. Names that come and go
/// (containers' interfaces) push each other out, never one that is still listed.
#[derive(Debug)]
pub(crate) struct Devices<const N: usize> {
    known: Vec<Device<N>>,
    next: usize,
    cycle: u32,
}

#[derive(Debug)]
struct Device<const N: usize> {
    name: Box<str>,
    /// `None` for a device that the config leaves out.
    slots: Option<[Slot; N]>,
    last_seen: u32,
}

/// What is known of a device.
#[derive(Debug)]
pub(crate) enum Found<'d, const N: usize> {
    /// It is measured, into these.
    Measured(&'d mut [Slot; N]),
    /// The config leaves it out.
    Ignored,
    /// There are too many.
    NoRoom,
}

impl<const N: usize> Devices<N> {
    pub(crate) const fn new() -> Self {
        Self { known: Vec::new(), next: 0, cycle: 0 }
    }

    /// Starts again at the first line of the file.
    pub(crate) fn restart(&mut self) {
        self.next = 0;
        self.cycle = self.cycle.wrapping_add(1);
    }

    /// The device `name`; `is_ignored` is asked when it is met first.
    pub(crate) fn find(&mut self, name: &str, is_ignored: impl FnOnce(&str) -> bool) -> Found<'_, N> {
        let Some(place) = self.place(name).or_else(|| self.add(name, is_ignored)) else {
            return Found::NoRoom;
        };
        self.next = place + 1;
        let cycle = self.cycle;
        match self.known.get_mut(place) {
            Some(device) => {
                device.last_seen = cycle;
                device.slots.as_mut().map_or(Found::Ignored, Found::Measured)
            }
            None => Found::NoRoom,
        }
    }

    /// Forgets the numbers of all series.
    pub(crate) fn forget_series(&mut self) {
        self.known
            .iter_mut()
            .filter_map(|device| device.slots.as_mut())
            .for_each(|slots| *slots = [Slot::default(); N]);
    }

    fn place(&self, name: &str) -> Option<usize> {
        let is_it = |device: &Device<N>| device.name.as_ref() == name;
        if self.known.get(self.next).is_some_and(is_it) {
            return Some(self.next);
        }
        self.known.iter().position(is_it)
    }

    fn add(&mut self, name: &str, is_ignored: impl FnOnce(&str) -> bool) -> Option<usize> {
        if self.known.len() >= MAX_DEVICES {
            let cycle = self.cycle;
            self.known.retain(|device| cycle.wrapping_sub(device.last_seen) <= 1);
        }
        if self.known.len() >= MAX_DEVICES {
            return None;
        }
        let slots = (!is_ignored(name)).then(|| [Slot::default(); N]);
        self.known.push(Device { name: name.into(), slots, last_seen: self.cycle });
        Some(self.known.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_found<const N: usize>(devices: &mut Devices<N>, name: &str) -> bool {
        matches!(devices.find(name, |_| false), Found::Measured(_))
    }

    #[test]
    fn the_config_is_asked_once_about_a_device() {
        let mut devices = Devices::<1>::new();
        assert!(matches!(devices.find("ram0", |name| name == "ram0"), Found::Ignored));
        assert!(matches!(devices.find("ram0", |_| unreachable!()), Found::Ignored));
        assert!(matches!(devices.find("sda", |name| name == "ram0"), Found::Measured(_)));
    }

    #[test]
    fn devices_that_went_make_room_and_those_that_stay_do_not() {
        let mut devices = Devices::<1>::new();
        devices.restart();
        for i in 0..MAX_DEVICES {
            assert!(is_found(&mut devices, &format!("gone{i}")));
        }
        assert!(!is_found(&mut devices, "late"), "all others are still listed");
        devices.restart();
        assert!(is_found(&mut devices, "gone7"));
        devices.restart();
        assert!(is_found(&mut devices, "late"));
        assert!(is_found(&mut devices, "gone7"));
        assert_eq!(devices.known.len(), 2);
    }
}
