//! What was seen of each sender device in each conversation: a repeat is dropped, a latecomer is not.
//!
//! A sender has at most 64 counters in flight and goes on only when the lowest is resolved, so what comes is never more than
//! 63 below the highest that came. Counters of one device run through all its conversations, hence the holes.

use std::collections::BTreeMap;

use wire::limits::{IN_FLIGHT_MAX, NAME_LEN_MAX};
use wire::{Counter, DeviceNo, Name};

/// Whose counters, in which conversation: de-duplication happens within one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenKey<'a> {
    /// Who sent it.
    pub from: Name<'a>,
    /// From which device.
    pub device_no: DeviceNo,
    /// In which conversation.
    pub conversation: Name<'a>,
}

/// One [`Window`] per key. Nothing is ever forgotten: about 100 bytes for each sender device in each conversation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// By [`SeenKey::write`].
    windows: BTreeMap<Box<[u8]>, Window>,
}

impl Seen {
    /// Whether this counter came, or is so old that it must have. O(log n), allocates nothing.
    pub fn has(&self, key: &SeenKey<'_>, counter: Counter) -> bool {
        let mut scratch = [0; KEY_LEN_MAX];
        self.windows.get(key.write(&mut scratch)).is_some_and(|window| window.has(counter))
    }

    /// Every key, as [`Seen::insert_window`] takes it, with its window.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Window)> {
        self.windows.iter().map(|(key, window)| (&**key, *window))
    }

    /// Notes that this counter came. O(log n); allocates only for a new key.
    pub(crate) fn insert(&mut self, key: &SeenKey<'_>, counter: Counter) {
        let mut scratch = [0; KEY_LEN_MAX];
        let key = key.write(&mut scratch);
        match self.windows.get_mut(key) {
            Some(window) => window.insert(counter),
            None => self.insert_window(key, Window::new(counter)),
        }
    }

    /// Puts back what [`Seen::iter`] gave.
    pub fn insert_window(&mut self, key: &[u8], window: Window) {
        self.windows.insert(key.into(), window);
    }
}

/// device_no, the length of `from`, two names.
const KEY_LEN_MAX: usize = 2 + 1 + 2 * NAME_LEN_MAX;

impl SeenKey<'_> {
    /// The key as bytes: device_no, length of `from`, `from`, `conversation` unless it is `from`.
    fn write<'a>(&self, scratch: &'a mut [u8; KEY_LEN_MAX]) -> &'a [u8] {
        let [low, high] = self.device_no.0.to_le_bytes();
        let from = self.from.as_str().as_bytes();
        let conversation = match self.conversation {
            conversation if conversation == self.from => &[],
            conversation => conversation.as_str().as_bytes(),
        };
        let from_len = u8::try_from(from.len()).expect("a name has at most 64 bytes");
        let mut len = 0;
        for part in [&[low, high, from_len], from, conversation] {
            scratch[len..len + part.len()].copy_from_slice(part);
            len += part.len();
        }
        &scratch[..len]
    }
}

/// The highest counter that came, and which of the 64 under it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The highest.
    pub highest: Counter,
    /// Bit `n`: `highest - 1 - n` came.
    pub below: u64,
}

// The map must reach as far down as a sender can be behind itself.
const _: () = assert!(IN_FLIGHT_MAX <= u64::BITS as u64);

impl Window {
    /// Only this one came.
    pub fn new(highest: Counter) -> Window {
        Window { highest, below: 0 }
    }

    /// Whether it came, or lies below the map.
    pub fn has(self, counter: Counter) -> bool {
        match self.highest.0.checked_sub(counter.0) {
            None => false,
            Some(0) => true,
            Some(distance) => bit(distance).is_none_or(|bit| self.below & bit != 0),
        }
    }

    /// Notes that it came. One that lies below the map is ignored.
    pub fn insert(&mut self, counter: Counter) {
        if let Some(step) = counter.0.checked_sub(self.highest.0).filter(|step| *step > 0) {
            let shifted = u32::try_from(step).ok().and_then(|step| self.below.checked_shl(step)).unwrap_or(0);
            self.below = shifted | bit(step).unwrap_or(0);
            self.highest = counter;
        } else if let Some(bit) = bit(self.highest.0 - counter.0) {
            self.below |= bit;
        }
    }
}

/// The bit of the counter that is `distance` below the highest; 1 to 64 are in the map.
fn bit(distance: u64) -> Option<u64> {
    let shift = u32::try_from(distance.checked_sub(1)?).ok()?;
    1_u64.checked_shl(shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(counters: &[u64]) -> Window {
        let (first, rest) = counters.split_first().expect("at least one");
        let mut window = Window::new(Counter(*first));
        for counter in rest {
            window.insert(Counter(*counter));
        }
        window
    }

    #[test]
    fn what_came_is_had_and_what_was_jumped_over_is_not() {
        let window = window(&[10, 13]);
        assert!(window.has(Counter(10)) && window.has(Counter(13)));
        assert!(!window.has(Counter(11)) && !window.has(Counter(12)) && !window.has(Counter(14)));
    }

    #[test]
    fn the_map_reaches_sixty_four_down_and_what_lies_below_is_had() {
        let window = Window::new(Counter(100));
        assert!(!window.has(Counter(99)));
        assert!(!window.has(Counter(36)), "64 below: the map's last bit");
        assert!(window.has(Counter(35)), "65 below: under the map");
    }

    #[test]
    fn a_jump_of_sixty_four_keeps_the_old_highest_and_one_more_drops_it_under_the_map() {
        let mut by_64 = window(&[1, 2, 66]);
        assert_eq!(by_64.below, 1 << 63);
        assert!(by_64.has(Counter(2)) && by_64.has(Counter(1)));
        assert!(!by_64.has(Counter(3)));
        by_64.insert(Counter(67));
        assert_eq!(by_64.below, 1, "only 66 is in the map");
        let by_65 = window(&[2, 67]);
        assert_eq!(by_65.below, 0);
        assert!(by_65.has(Counter(2)), "under the map");
    }

    #[test]
    fn the_largest_jump_there_is_empties_the_map() {
        let window = window(&[1, Counter::MAX.0]);
        assert_eq!(window, Window::new(Counter::MAX));
    }

    #[test]
    fn a_latecomer_fills_its_bit_and_one_under_the_map_changes_nothing() {
        let mut window = window(&[100, 36]);
        assert_eq!(window.below, 1 << 63);
        window.insert(Counter(35));
        window.insert(Counter(100));
        assert_eq!(window.below, 1 << 63);
    }

    #[test]
    fn the_map_agrees_with_a_set_for_every_order_within_the_window() {
        // Counters in a scrambled order that never falls more than 63 behind: each is new once, and had ever after.
        let mut window = Window::new(Counter(1000));
        let mut came = std::collections::BTreeSet::from([1000]);
        for step in 0..2000_u64 {
            let counter = 1000 + step / 2 + (step * 37) % 64;
            let highest = *came.last().expect("not empty");
            if counter + 64 < highest {
                continue;
            }
            assert_eq!(window.has(Counter(counter)), came.contains(&counter), "{counter} after {highest}");
            window.insert(Counter(counter));
            came.insert(counter);
        }
    }

    #[test]
    fn a_direct_message_and_one_through_a_group_are_counted_apart() {
        let name = |text: &'static str| Name::parse(text.as_bytes()).expect("a name");
        let direct = SeenKey { from: name("alice"), device_no: DeviceNo(1), conversation: name("alice") };
        let group = SeenKey { conversation: name("#all"), ..direct };
        let other_device = SeenKey { device_no: DeviceNo(2), ..direct };
        let mut seen = Seen::default();
        seen.insert(&direct, Counter(80));
        assert!(seen.has(&direct, Counter(1)), "under the map");
        assert!(!seen.has(&group, Counter(1)));
        assert!(!seen.has(&other_device, Counter(80)));
    }
}
