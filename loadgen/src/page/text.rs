//! Numbers, times and words of the page.

use std::fmt::Write as _;

/// For the inside of an element or of an attribute in double quotes.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            character if character.is_control() && character != '\n' => {
                // Writing to a String cannot fail.
                let _ = write!(safe, "{}", character.escape_default());
            }
            character => safe.push(character),
        }
    }
    safe
}

/// With a comma after each thousand.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rate: whole where it is large.
pub(super) fn rate(per_s: f64) -> String {
    if per_s > 0.0 && per_s < 10.0 { trim(per_s) } else { count(crate::schedule::whole(per_s)) }
}

/// A latency, to three figures.
pub(super) fn latency(us: f64) -> String {
    let (value, unit) = match us {
        us if us < 1_000.0 => (us, "µs"),
        us if us < 1_000_000.0 => (us / 1e3, "ms"),
        us => (us / 1e6, "s"),
    };
    let text = match value {
        value if value >= 100.0 || unit == "µs" => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    };
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text.as_str() };
    format!("{text} {unit}")
}

/// A length of time in seconds, as one says it.
pub(super) fn span(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 120.0 => format!("{} s", trim(seconds)),
        seconds if seconds < 7_200.0 => format!("{} min", trim(seconds / 60.0)),
        seconds => format!("{} h", trim(seconds / 3_600.0)),
    }
}

/// Seconds since 1970 as a date and a time in UTC. Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms",
/// `civil_from_days`, without the years before.
pub(super) fn date(at_s: u64) -> String {
    let (days, second) = (at_s / 86_400 + 719_468, at_s % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let (month, next_year) = if month_from_march < 10 { (month_from_march + 3, 0) } else { (month_from_march - 9, 1) };
    let year = era * 400 + year_of_era + next_year;
    format!("{year}-{month:02}-{day:02} {:02}:{:02} UTC", second / 3_600, second / 60 % 60)
}

/// A command line as one could type it.
pub(super) fn command(words: &[String]) -> String {
    let is_plain = |word: &str| {
        !word.is_empty()
            && word.chars().all(|c| c.is_alphanumeric() || "-_./:=,@%+#".contains(c))
            && !word.starts_with('#')
    };
    let quoted = words
        .iter()
        .map(|word| if is_plain(word) { word.clone() } else { format!("'{}'", word.replace('\'', "'\\''")) });
    quoted.collect::<Vec<_>>().join(" ")
}

fn trim(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_as_people_read_them() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [1.0, 999.0, 1_000.0, 1_234.0, 99_400.0, 2_000_000.0].map(latency),
            ["1 µs", "999 µs", "1 ms", "1.23 ms", "99.4 ms", "2 s"]
        );
        assert_eq!([0.5, 30.0, 300.0, 7_200.0].map(span), ["0.5 s", "30 s", "5 min", "2 h"]);
        assert_eq!([0.0, 2.0, 4.25, 5_000.4].map(rate), ["0", "2", "4.2", "5,000"]);
        assert_eq!(date(1_700_000_000), "2023-11-14 22:13 UTC");
        assert_eq!(date(951_782_400), "2000-02-29 00:00 UTC");
    }

    #[test]
    fn what_comes_from_outside_cannot_become_markup() {
        assert_eq!(escape("<b a=\"1\">&\u{1b}"), "&lt;b a=&quot;1&quot;&gt;&amp;\\u{1b}");
    }

    #[test]
    fn a_command_can_be_typed_again() {
        let words = ["loadgen", "--users-prefix", "it's", "", "--rate=5"].map(str::to_owned);
        assert_eq!(command(&words), r"loadgen --users-prefix 'it'\''s' '' --rate=5");
    }
}
