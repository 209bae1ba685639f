//! What is typed, and what is shown.

use std::fmt::Write;

use shardwire_sdk::Received;
use wire::{Id, Name};

/// One line of input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// Nothing but white space.
    Empty,
    /// `/to NAME`, and `@NAME` alone.
    To(&'a str),
    /// `/quit`.
    Quit,
    /// `/logout`.
    Logout,
    /// `/help`.
    Help,
    /// Another word after a slash.
    Unknown(&'a str),
    /// To whoever is talked to, or to somebody else for this once.
    Say { to: Option<&'a str>, text: &'a str },
}

impl Line<'_> {
    /// Reads one line, without its end. A text that begins with a slash or an at sign is written with two.
    pub(super) fn parse(line: &str) -> Line<'_> {
        let trimmed = line.trim();
        if trimmed.is_empty() {
            return Line::Empty;
        }
        let (word, rest) = trimmed.split_once(char::is_whitespace).unwrap_or((trimmed, ""));
        let rest = rest.trim_start();
        if word.starts_with("//") || word.starts_with("@@") {
            return Line::Say { to: None, text: trimmed.get(1..).unwrap_or_default() };
        }
        match (word, word.strip_prefix('@')) {
            ("/to", _) => Line::To(rest),
            ("/quit", _) => Line::Quit,
            ("/logout", _) => Line::Logout,
            ("/help", _) => Line::Help,
            (_, Some(name)) if rest.is_empty() => Line::To(name),
            (_, Some(name)) => Line::Say { to: Some(name), text: rest },
            _ if word.starts_with('/') => Line::Unknown(word),
            _ => Line::Say { to: None, text: line.trim_end() },
        }
    }
}

/// A received message on one line: when, where, who, what.
pub(super) fn message(message: &Received, own: Name<'_>, now_us: u64) -> String {
    let (from, to) = (message.from(), message.to());
    let who = if from == own {
        format!("you → {to} (from another device)")
    } else if to.is_group() {
        format!("{to} {from}")
    } else {
        from.to_string()
    };
    let when = if message.id == Id::NONE { "now".to_owned() } else { time(message.id.0, now_us) };
    let what = match message.kind {
        TEXT => plain(message.body()),
        kind => format!("[{} bytes of kind {kind}]", message.body().len()),
    };
    format!("{when} {who}: {what}")
}

/// Text that a terminal shows and does not obey: what is not UTF-8 becomes �, control characters become escapes.
pub(super) fn plain(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for character in String::from_utf8_lossy(bytes).chars() {
        if character.is_control() || is_direction(character) {
            // Writing to a String cannot fail.
            let _ = write!(shown, "{}", character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Characters that would turn what follows them on the screen around.
fn is_direction(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Microseconds since 1970 as a time in UTC, with the date if that is another day than `now_us`'s.
pub(super) fn time(at_us: u64, now_us: u64) -> String {
    let second = at_us / 1_000_000;
    let (days, second) = (second / 86_400, second % 86_400);
    let clock = format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60);
    if days == now_us / 1_000_000 / 86_400 {
        return clock;
    }
    let (year, month, day) = date(days);
    format!("{year}-{month:02}-{day:02} {clock}")
}

/// Year, month and day of a day after 1970-01-01. Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms",
/// `civil_from_days`, without the years before.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let (month, next_year) = if month_from_march < 10 { (month_from_march + 3, 0) } else { (month_from_march - 9, 1) };
    (era * 400 + year_of_era + next_year, month, day)
}

/// The kind of a text message.
pub(super) const TEXT: u8 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_command_a_text_or_a_text_for_somebody_else() {
        let say = |to, text| Line::Say { to, text };
        for (line, meaning) in [
            ("", Line::Empty),
            (" \t", Line::Empty),
            ("hello bob", say(None, "hello bob")),
            ("  indented ", say(None, "  indented")),
            ("@bob hi there", say(Some("bob"), "hi there")),
            ("@bob", Line::To("bob")),
            ("/to bob", Line::To("bob")),
            ("/to", Line::To("")),
            ("/quit", Line::Quit),
            ("/logout", Line::Logout),
            ("/help", Line::Help),
            ("/dance now", Line::Unknown("/dance")),
            ("//etc/fstab is a file", say(None, "/etc/fstab is a file")),
            ("@@home", say(None, "@home")),
            ("ünïcode @bob /to", say(None, "ünïcode @bob /to")),
        ] {
            assert_eq!(Line::parse(line), meaning, "{line:?}");
        }
    }

    #[test]
    fn nothing_in_a_message_reaches_the_terminal_as_a_command() {
        assert_eq!(plain(b"red \x1b[31m\x07\r\n\xff"), "red \\u{1b}[31m\\u{7}\\r\\n\u{fffd}");
        assert_eq!(plain("a\u{202e}b".as_bytes()), "a\\u{202e}b");
        assert_eq!(plain("äöü 漢字 🙂".as_bytes()), "äöü 漢字 🙂");
    }

    #[test]
    fn a_time_has_its_date_only_on_another_day() {
        let at_us = 1_700_000_000_000_000;
        assert_eq!(time(at_us, at_us + 3_600_000_000), "22:13:20");
        assert_eq!(time(at_us, at_us + 86_400_000_000), "2023-11-14 22:13:20");
        assert_eq!(time(0, at_us), "1970-01-01 00:00:00");
        assert_eq!(time(951_782_400_000_000, at_us), "2000-02-29 00:00:00");
        assert_eq!(time(4_107_542_399_000_000, at_us), "2100-02-28 23:59:59");
        assert_eq!(time(4_107_542_400_000_000, at_us), "2100-03-01 00:00:00");
    }
}
