//! Whether the files and directories are there that a configuration names: a look beforehand, which promises nothing.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rustix::fs::{Access, access};

use super::key::{ADMIN_TOKEN_FILE, CERTIFICATE_FILE, DATA_DIR, KEY_FILE, TOKEN_KEY_FILE};
use super::settings::{Mistakes, Settings};

/// What is missing, or closed to this process.
pub(super) fn check(settings: &Settings) -> Mistakes {
    let mut mistakes = Mistakes::default();
    for key in [&CERTIFICATE_FILE, &KEY_FILE, &TOKEN_KEY_FILE, &ADMIN_TOKEN_FILE] {
        if let Some(path) = settings.path(key)
            && let Err(error) = open(path)
        {
            mistakes.push(settings.source(key), format!("{}: cannot read {}: {error}", key.name, path.display()));
        }
    }
    let dir = settings.path(&DATA_DIR).expect("the key has a default");
    if let Err(message) = check_dir(dir) {
        mistakes.push(settings.source(&DATA_DIR), format!("data_dir: {message}"));
    }
    mistakes
}

fn open(path: &Path) -> io::Result<()> {
    if File::open(path)?.metadata()?.is_dir() { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(()) }
}

/// It is a directory that can be used, or can be made.
fn check_dir(dir: &Path) -> Result<(), String> {
    let dir = if dir.is_relative() { Path::new(".").join(dir) } else { dir.to_owned() };
    for existing in dir.ancestors() {
        match fs::metadata(existing) {
            Ok(metadata) if !metadata.is_dir() => return Err(format!("{} is not a directory", existing.display())),
            Ok(_) => {
                return access(existing, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK)
                    .map_err(|error| format!("cannot write into {}: {}", existing.display(), io::Error::from(error)));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(format!("cannot look at {}: {error}", existing.display())),
        }
    }
    Ok(())
}
