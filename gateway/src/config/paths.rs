//! Whether the files and directories that a configuration names are there and can be used: a look beforehand, which promises nothing.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rustix::fs::{Access, access};

use super::TlsFiles;
use super::key::{ADMIN_TOKEN_FILE, CERTIFICATE_FILE, DATA_DIR, KEY_FILE, Key, TOKEN_KEY_FILE};
use super::settings::{Mistakes, Settings};
use crate::auth::Verifier;
use crate::certificate::Certificate;
use crate::keeper::now_s;
use crate::tls_config;

/// What is missing, closed to this process, or of no use; and what can be used, but not without a word about it.
pub(super) fn check(settings: &Settings) -> (Mistakes, Vec<String>) {
    let (mut mistakes, mut warnings) = (Mistakes::default(), Vec::new());
    let mut note = |key: &Key, error: &dyn ToString| {
        mistakes.push(settings.source(key), format!("{}: {}", key.name, error.to_string()));
    };
    if let (Some(certificate), Some(key)) = (settings.path(&CERTIFICATE_FILE), settings.path(&KEY_FILE)) {
        let files = TlsFiles { certificate: certificate.to_owned(), key: key.to_owned() };
        let now_s = now_s();
        match Certificate::load(&files, &tls_config::provider(), now_s) {
            Ok(certificate) => {
                warnings.extend(certificate.expiry_warning(now_s));
                warnings.extend(certificate.warnings);
            }
            Err(error) => note(&CERTIFICATE_FILE, &error),
        }
    }
    if let Some(Err(error)) = settings.path(&TOKEN_KEY_FILE).map(Verifier::from_public_key) {
        note(&TOKEN_KEY_FILE, &error);
    }
    if let Some(path) = settings.path(&ADMIN_TOKEN_FILE)
        && let Err(error) = open(path)
    {
        note(&ADMIN_TOKEN_FILE, &format!("cannot read {}: {error}", path.display()));
    }
    if let Err(message) = check_dir(settings.path(&DATA_DIR).expect("the key has a default")) {
        note(&DATA_DIR, &message);
    }
    (mistakes, warnings)
}

fn open(path: &Path) -> io::Result<()> {
    if File::open(path)?.metadata()?.is_dir() { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(()) }
}

/// It is a directory that can be used, or can be made.
fn check_dir(dir: &Path) -> Result<(), String> {
    for existing in dir.ancestors() {
        // The last one of a relative path.
        let existing = if existing.as_os_str().is_empty() { Path::new(".") } else { existing };
        match fs::metadata(existing) {
            Ok(metadata) if !metadata.is_dir() => return Err(format!("{} is not a directory", existing.display())),
            Ok(_) => {
                return access(existing, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK)
                    .map_err(|error| format!("cannot write into {}: {}", existing.display(), io::Error::from(error)));
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(error) => return Err(format!("cannot look at {}: {error}", existing.display())),
        }
    }
    Ok(())
}
