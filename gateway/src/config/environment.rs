//! The environment: `SHARDWIRE__SECTION__KEY`, for those who configure by it, such as containers.

use std::ffi::OsString;

use super::key::{KEYS, Kind, Value};
use super::near;
use super::settings::{Mistakes, Settings, Source};

/// What every variable of ours begins with. `SHARDWIRE_TOKEN` of the chat does not.
pub(super) const PREFIX: &str = "SHARDWIRE__";

/// Lays what the variables say over `settings`.
pub(super) fn lay_over(
    settings: &mut Settings,
    variables: impl Iterator<Item = (OsString, OsString)>,
    mistakes: &mut Mistakes,
) {
    let mut ours: Vec<_> = variables
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value))
        .filter(|(name, _)| name.starts_with(PREFIX))
        .collect();
    ours.sort();
    for (variable, value) in ours {
        let Some(key) = KEYS.iter().find(|key| variable_of(key.name) == variable) else {
            let name = variable[PREFIX.len()..].to_lowercase().replace("__", ".");
            let nearest =
                near::find(&name).map_or_else(String::new, |key| format!("; the nearest is {}", variable_of(key.name)));
            mistakes.push(Source::Environment(variable), format!("there is no such key{nearest}"));
            continue;
        };
        let taken = match (&key.kind, value.to_str()) {
            (Kind::Path, _) if !value.is_empty() => Ok(Value::Path(value.into())),
            (kind, Some(text)) => kind.take_text(text),
            (kind, None) => Err(format!("{kind}, not {:?}", value.to_string_lossy())),
        };
        match taken {
            Ok(value) => settings.set(key, value, Source::Environment(variable)),
            Err(message) => mistakes.push(Source::Environment(variable), message),
        }
    }
}

/// `SHARDWIRE__SECTION__KEY` for `section.key`.
pub(super) fn variable_of(name: &str) -> String {
    format!("{PREFIX}{}", name.to_uppercase().replace('.', "__"))
}
