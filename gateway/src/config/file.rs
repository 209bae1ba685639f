//! The file: TOML, read so that every value and every mistake is known by its line and column.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::key::{KEYS, Key, Kind, Value};
use super::near;
use super::settings::{Mistakes, Settings, Source};

/// Lays what `text` says over `settings`. `path` is where it comes from.
pub(super) fn lay_over(settings: &mut Settings, path: &Path, text: &str, mistakes: &mut Mistakes) {
    let place = |span: Range<usize>| source(path, text, span.start);
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        mistakes.push(place(error.span().unwrap_or(0..0)), format!("not TOML: {}", error.message()));
    }
    if !mistakes.0.is_empty() {
        // Of what stands after a mistake in the form, nobody knows how it was meant.
        return;
    }
    for (name, value) in in_order(table.get_ref()) {
        match value.get_ref().as_table().filter(|_| is_section(name.get_ref())) {
            Some(section) => {
                for (inner, value) in in_order(section) {
                    let full = format!("{}.{}", name.get_ref(), inner.get_ref());
                    take(settings, &full, place(inner.span()), value, place(value.span()), mistakes);
                }
            }
            None => take(settings, name.get_ref(), place(name.span()), value, place(value.span()), mistakes),
        }
    }
}

fn take(
    settings: &mut Settings,
    name: &str,
    name_source: Source,
    value: &Spanned<DeValue<'_>>,
    value_source: Source,
    mistakes: &mut Mistakes,
) {
    match KEYS.iter().find(|key| key.name == name) {
        None if is_section(name) => {
            mistakes.push(
                value_source,
                format!("{name} is a section: write [{name}] on a line of its own, and its keys below"),
            );
        }
        None if value.get_ref().is_table() => {
            mistakes.push(name_source, format!("there is no section [{name}]{}", near::section(name)));
        }
        None => mistakes.push(name_source, format!("there is no key {name}{}", near::key(name))),
        Some(key) => match convert(key, value.get_ref()) {
            Ok(value) => settings.set(key, value, name_source),
            Err(message) => mistakes.push(value_source, format!("{name}: {message}")),
        },
    }
}

fn convert(key: &Key, value: &DeValue<'_>) -> Result<Value, String> {
    let kind = &key.kind;
    match (kind, value) {
        (Kind::Address | Kind::Path | Kind::Word(_), DeValue::String(text)) => kind.take_text(text),
        (Kind::Switch, DeValue::Boolean(switch)) => Ok(Value::Switch(*switch)),
        (Kind::Whole(..), DeValue::Integer(number)) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => kind.take_number(number),
            Err(_) => Err(format!("{kind}, not {number}")),
        },
        (Kind::Whole(..) | Kind::Switch, DeValue::String(text)) => match kind.take_text(text) {
            Ok(_) => Err(format!("{kind}, without quotes")),
            Err(message) => Err(message),
        },
        (_, value) => Err(format!("{kind}, not {}", described(value))),
    }
}

fn described(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(_) => "a text".to_owned(),
        DeValue::Integer(number) => format!("the number {number}"),
        DeValue::Boolean(switch) => format!("{switch}"),
        DeValue::Float(_) => "a number with a fraction".to_owned(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a section".to_owned(),
    }
}

fn is_section(name: &str) -> bool {
    KEYS.iter().any(|key| key.parts().0 == Some(name))
}

/// The entries of a table as they stand in the file.
fn in_order<'a, 'i>(table: &'a DeTable<'i>) -> Vec<(&'a Spanned<Cow<'i, str>>, &'a Spanned<DeValue<'i>>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    entries
}

fn source(path: &Path, text: &str, offset: usize) -> Source {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    let column = before[line_start..].chars().count() + 1;
    Source::File(path.to_owned(), line, column)
}
