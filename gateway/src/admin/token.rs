//! The admin token: who knows it may change something.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use aws_lc_rs::constant_time::verify_slices_are_equal;

use super::TOKEN_FILE;
use crate::error::Error;
use crate::store::write_durably;

/// The secret. `Debug` does not show it.
#[derive(Clone)]
pub(crate) struct Token(Box<[u8]>);

impl Token {
    /// From `file`, or else from the data directory, where one is made at the first start.
    ///
    /// # Errors
    /// When the file cannot be read, when others may read it, or when it holds no token.
    pub(crate) fn load(data_dir: &Path, file: Option<&Path>) -> Result<Token, Error> {
        if let Some(path) = file {
            return read(path)?.ok_or_else(|| missing(path));
        }
        if let Some(token) = read(&data_dir.join(TOKEN_FILE))? {
            return Ok(token);
        }
        let mut random = [0_u8; 32];
        getrandom::fill(&mut random).map_err(io::Error::other).map_err(Error::system("get random bytes"))?;
        let token: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        if let Err(error) = write_durably(data_dir, TOKEN_FILE, format!("{token}\n").as_bytes()) {
            // A disk without room must not keep the gateway from serving; commands that need the token say that it is missing.
            tracing::warn!(%error, "no token for the admin listener is kept");
        }
        Ok(Token(token.into_bytes().into()))
    }

    /// Whether `given` is it. Takes the same time for every wrong one of the same length.
    pub(crate) fn is(&self, given: &[u8]) -> bool {
        verify_slices_are_equal(&self.0, given).is_ok()
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

fn read(path: &Path) -> Result<Option<Token>, Error> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::path(path, "read the admin token")(error)),
    };
    let explain = || Error::path(path, "read the admin token");
    let mode = file.metadata().map_err(explain())?.mode();
    if mode & 0o077 != 0 {
        return Err(key_error(path, format!("others may read the admin token (mode {:03o}): chmod 600", mode & 0o777)));
    }
    let mut text = String::new();
    file.take(TOKEN_LEN_MAX + 2).read_to_string(&mut text).map_err(explain())?;
    let token = text.trim();
    let is_token = (TOKEN_LEN_MIN..=TOKEN_LEN_MAX).contains(&(token.len() as u64));
    if !is_token || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(key_error(
            path,
            format!("an admin token is one word of {TOKEN_LEN_MIN} to {TOKEN_LEN_MAX} printable ASCII characters"),
        ));
    }
    Ok(Some(Token(token.as_bytes().into())))
}

fn missing(path: &Path) -> Error {
    Error::path(path, "read the admin token")(io::ErrorKind::NotFound.into())
}

fn key_error(path: &Path, message: String) -> Error {
    Error::Key { path: path.to_owned(), message }
}

const TOKEN_LEN_MIN: u64 = 16;
const TOKEN_LEN_MAX: u64 = 512;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_token_is_made_once_and_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let made = Token::load(dir.path(), None).unwrap();
        let path = dir.path().join(TOKEN_FILE);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(text.trim().len(), 64);
        assert!(made.is(text.trim().as_bytes()));
        assert!(Token::load(dir.path(), None).unwrap().is(text.trim().as_bytes()));
        let other = tempfile::tempdir().unwrap();
        assert!(!Token::load(other.path(), None).unwrap().is(text.trim().as_bytes()));
        assert!(!format!("{made:?}").contains(text.trim()));
    }

    #[test]
    fn a_token_is_itself_and_nothing_else() {
        let token = Token(b"0123456789abcdef".as_slice().into());
        assert!(token.is(b"0123456789abcdef"));
        for other in ["", "0", "0123456789abcde", "0123456789abcdeg", "0123456789abcdef0", "0123456789ABCDEF"] {
            assert!(!token.is(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn a_file_that_others_read_or_that_holds_no_token_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let refusal = |text: &str, mode| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            Token::load(dir.path(), Some(&path)).unwrap_err().to_string()
        };
        assert!(refusal("0123456789abcdef", 0o640).contains("others may read the admin token (mode 640)"));
        for text in ["", "\n", "short", "0123456789 abcdef", &"x".repeat(513), "0123456789abcdef\n0123456789abcdef"] {
            assert!(refusal(text, 0o600).contains("one word of 16 to 512"), "{text:?}");
        }
        fs::remove_file(&path).unwrap();
        let error = Token::load(dir.path(), Some(&path)).unwrap_err().to_string();
        assert!(error.contains("cannot read the admin token") && error.contains("token"), "{error}");
    }
}
