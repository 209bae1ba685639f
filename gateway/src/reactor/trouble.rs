//! Something that goes wrong again and again: when it has lasted, the operator is told, and then once a minute.

use std::time::{Duration, Instant};

/// How long it has gone wrong.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    span: Option<Span>,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    since: Instant,
    /// `since <= last`.
    last: Instant,
    told: Option<Instant>,
}

impl Trouble {
    /// It went wrong. Gives for how long already, if it is time to tell somebody.
    pub(crate) fn on_failure(&mut self, now: Instant) -> Option<Duration> {
        // What last went wrong long ago has gone right meanwhile, or nobody tried.
        let before = self.span.filter(|span| now.duration_since(span.last) <= GAP_MAX);
        let mut span = before.unwrap_or(Span { since: now, last: now, told: None });
        span.last = now;
        let lasted = now.duration_since(span.since);
        let is_due = span.told.is_none_or(|told| now.duration_since(told) >= TELL_EVERY);
        let is_told = lasted >= LASTING && is_due;
        if is_told {
            span.told = Some(now);
        }
        self.span = Some(span);
        is_told.then_some(lasted)
    }

    /// It went well.
    pub(crate) fn on_success(&mut self) {
        self.span = None;
    }
}

/// Below this it may be a burst, which needs nobody.
const LASTING: Duration = Duration::from_secs(5);
const TELL_EVERY: Duration = Duration::from_secs(60);
/// Failures farther apart than this are different troubles.
const GAP_MAX: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds at which it is told, when it goes wrong at each of these tenths of a second.
    fn told(tenths: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let (mut trouble, zero) = (Trouble::default(), Instant::now());
        let told = tenths.into_iter().filter_map(|tenth| trouble.on_failure(zero + Duration::from_millis(100 * tenth)));
        told.map(|lasted| lasted.as_secs()).collect()
    }

    #[test]
    fn a_burst_is_not_told_and_what_lasts_is_told_once_a_minute() {
        assert!(told(0..50).is_empty());
        assert_eq!(told(0..1_300), [5, 65, 125]);
    }

    #[test]
    fn failures_far_apart_are_no_lasting_trouble() {
        assert!(told((0..100).map(|n| n * 30)).is_empty());
    }

    #[test]
    fn what_goes_well_ends_it() {
        let (mut trouble, zero) = (Trouble::default(), Instant::now());
        for second in 0..60 {
            assert_eq!(trouble.on_failure(zero + Duration::from_secs(second)), None);
            if second % 4 == 0 {
                trouble.on_success();
            }
        }
    }
}
