//! What somebody may have meant who wrote a key or a section that does not exist.

use super::key::{KEYS, Key};

/// `; the nearest is KEY`, or nothing when none is near.
pub(super) fn key(name: &str) -> String {
    find(name).map_or_else(String::new, |key| format!("; the nearest is {}", key.name))
}

/// `; the nearest is [SECTION]`, or nothing when none is near.
pub(super) fn section(name: &str) -> String {
    let sections = KEYS.iter().filter_map(|key| key.parts().0);
    let nearest =
        sections.map(|section| (strsim::jaro_winkler(section, name), section)).max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((likeness, section)) if likeness >= LIKENESS_MIN => format!("; the nearest is [{section}]"),
        _ => String::new(),
    }
}

/// The key that is most like `name`, if one is like it.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    let last = name.rsplit('.').next().unwrap_or(name);
    // The right name in the wrong section is as likely as a slip of the pen. Of whole names, a long beginning that is the same says little.
    let likeness = |key: &Key| {
        strsim::jaro_winkler(key.parts().1, last).max(strsim::normalized_damerau_levenshtein(key.name, name))
    };
    let nearest = KEYS.iter().map(|key| (likeness(key), *key)).max_by(|a, b| a.0.total_cmp(&b.0));
    nearest.filter(|(likeness, _)| *likeness >= LIKENESS_MIN).map(|(_, key)| key)
}

/// Below this, a proposal would only confuse.
const LIKENESS_MIN: f64 = 0.8;
