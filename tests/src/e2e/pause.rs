//! Waiting for a condition, with a deadline.

use std::{
    thread,
    time::{Duration, Instant},
};

/// How long a test waits for something that should happen soon. Far above what it takes, since machines are slow at times.
pub const LIMIT: Duration = Duration::from_secs(30);

/// Asks again and again until `condition` holds.
///
/// # Panics
/// After [`LIMIT`], with `what`.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !condition() {
        assert!(Instant::now() < deadline, "after {LIMIT:?} still not: {what}");
        // Lets others run between two questions; that it may return early does no harm.
        thread::park_timeout(Duration::from_millis(5));
    }
}
