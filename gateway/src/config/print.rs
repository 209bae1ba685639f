//! The configuration as it holds, in the form of the file, with the source of each value behind it.
//!
//! Nothing is left out: a secret never stands in a configuration, only the path of the file that holds it.

use std::fmt;

use super::Effective;
use super::key::{KEYS, Unset};

impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.dev {
            writeln!(f, "# With --dev, which no file can say.")?;
        }
        let mut current = None;
        for key in KEYS {
            let (section, name) = key.parts();
            if let Some(section) = section.filter(|_| section != current) {
                writeln!(f, "\n[{section}]")?;
            }
            current = section;
            match (self.settings.find(key), &key.unset) {
                (Some(setting), _) => writeln!(f, "{name} = {}  # {}", setting.value, setting.source)?,
                (None, Unset::Absent(what)) => writeln!(f, "# {name} is not set: {what}")?,
                (None, Unset::Default(_)) => unreachable!("{} has a default", key.name),
            }
        }
        Ok(())
    }
}
