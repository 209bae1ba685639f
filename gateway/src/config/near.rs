//! What somebody may have meant who wrote a key that does not exist.

use super::key::{KEYS, Key};

/// `; the nearest is KEY`, or nothing when none is near.
pub(super) fn nearest(name: &str) -> String {
    find(name).map_or_else(String::new, |key| format!("; the nearest is {}", key.name))
}

/// The key that is most like `name`, if one is like it.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    let last = name.rsplit('.').next().unwrap_or(name);
    // Right name, wrong section: as likely as a slip of the pen.
    let misplaced = KEYS.iter().find(|key| key.parts().1 == last);
    let similar = || {
        let likeness = |key: &&&Key| {
            let (whole, part) = (strsim::jaro_winkler(key.name, name), strsim::jaro_winkler(key.parts().1, last));
            whole.max(part)
        };
        KEYS.iter().filter(|key| likeness(key) >= LIKENESS_MIN).max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
    };
    misplaced.or_else(similar).copied()
}

/// Below this, a proposal would only confuse.
const LIKENESS_MIN: f64 = 0.8;
