//! Passwords, from the terminal without showing them, from a file or from a pipe. Never from the command line, which everybody on the
//! machine can read.

use std::fs::{self, File};
use std::io::{self, BufRead, Read, Write};
use std::path::Path;

use anyhow::{Context, bail, ensure};
use rustix::termios::{self, LocalModes, OptionalActions, SpecialCodeIndex, Termios};
use zeroize::Zeroizing;

/// The first line of a file.
pub(super) fn read(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    let text = fs::read_to_string(path).with_context(|| format!("--password-file {}", path.display()))?;
    let text = Zeroizing::new(text);
    let line = text.lines().next().unwrap_or_default();
    ensure!(!line.is_empty(), "--password-file {}: its first line is empty", path.display());
    Ok(Zeroizing::new(line.to_owned()))
}

/// The first line of a pipe, or of whatever else standard input is.
pub(super) fn read_stdin() -> anyhow::Result<Zeroizing<String>> {
    let line = first_line(io::stdin().lock()).context("standard input")?;
    ensure!(!line.is_empty(), "standard input: its first line is empty");
    Ok(line)
}

/// Asks on the terminal, whatever standard input is.
pub(super) fn ask(prompt: &str) -> anyhow::Result<Zeroizing<String>> {
    let terminal = File::options()
        .read(true)
        .write(true)
        .open("/dev/tty")
        .context("there is no terminal to ask for the password on; give it with --password-file FILE")?;
    let hidden = Hidden::begin(&terminal).context("the terminal")?;
    // Whoever sees it can type: nothing is shown any more.
    let line = (&terminal).write_all(prompt.as_bytes()).and_then(|()| read_line(&terminal));
    drop(hidden);
    // The line break that was typed was not shown either.
    let _ = (&terminal).write_all(b"\n");
    match line.context("the terminal")? {
        Some(line) => Ok(line),
        None => bail!("no password was given"),
    }
}

/// Asks for a new password, twice.
pub(super) fn choose(what: &str) -> anyhow::Result<Zeroizing<String>> {
    let first = ask(&format!("{what} (8 bytes or more): "))?;
    let second = ask("once more: ")?;
    ensure!(first == second, "those were two different passwords");
    Ok(first)
}

/// Up to the end of the line, or of the input.
fn first_line(from: impl BufRead) -> io::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(Vec::with_capacity(LINE_LEN_MAX));
    for byte in from.bytes() {
        match byte? {
            b'\n' => break,
            _ if line.len() == LINE_LEN_MAX => {
                return Err(io::Error::other("its first line is too long for a password"));
            }
            byte => line.push(byte),
        }
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(Zeroizing::new(std::str::from_utf8(&line).map_err(io::Error::other)?.to_owned()))
}

/// A terminal that shows nothing of what is typed, and leaves its keys to us. Dropped, it is as before.
struct Hidden<'a> {
    terminal: &'a File,
    before: Termios,
}

impl Hidden<'_> {
    fn begin(terminal: &File) -> io::Result<Hidden<'_>> {
        let before = termios::tcgetattr(terminal)?;
        let mut hidden = before.clone();
        // With signals left on, Ctrl-C would end the process and leave the terminal mute.
        hidden.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        hidden.special_codes[SpecialCodeIndex::VMIN] = 1;
        hidden.special_codes[SpecialCodeIndex::VTIME] = 0;
        termios::tcsetattr(terminal, OptionalActions::Flush, &hidden)?;
        Ok(Hidden { terminal, before })
    }
}

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        // There is nothing to be done about a terminal that is gone.
        let _ = termios::tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}

/// Key by key up to the end of the line, with the usual keys for correcting. None: whoever types gave up.
fn read_line(mut from: impl Read) -> io::Result<Option<Zeroizing<String>>> {
    let mut line = Zeroizing::new(Vec::with_capacity(LINE_LEN_MAX));
    let mut key = [0];
    while from.read(&mut key)? == 1 {
        match key {
            [b'\r' | b'\n'] => {
                let text = std::str::from_utf8(&line).map_err(io::Error::other)?;
                return Ok(Some(Zeroizing::new(text.to_owned())));
            }
            [CTRL_C] => return Ok(None),
            [CTRL_D] if line.is_empty() => return Ok(None),
            [BACKSPACE | DELETE] => drop_last(&mut line),
            [CTRL_U] => line.clear(),
            [byte] if byte >= b' ' && line.len() < LINE_LEN_MAX => line.push(byte),
            _ => {}
        }
    }
    Ok(None)
}

/// One character, which may be several bytes.
fn drop_last(line: &mut Vec<u8>) {
    while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
}

/// Longer than any password may be; without growing, no copy is left behind.
const LINE_LEN_MAX: usize = 1024;
const CTRL_C: u8 = 0x03;
const CTRL_D: u8 = 0x04;
const BACKSPACE: u8 = 0x08;
const CTRL_U: u8 = 0x15;
const DELETE: u8 = 0x7f;

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(keys: &[u8]) -> Option<String> {
        read_line(keys).unwrap().map(|line| line.as_str().to_owned())
    }

    #[test]
    fn keys_make_a_line_that_can_be_corrected() {
        assert_eq!(typed(b"secret\r").as_deref(), Some("secret"));
        assert_eq!(typed(b"sex\x7fcret\nrest").as_deref(), Some("secret"));
        assert_eq!(typed("pä\u{7f}\u{8}\u{8}x\n".as_bytes()).as_deref(), Some("x"));
        assert_eq!(typed(b"wrong\x15right\x1b\n").as_deref(), Some("right"));
    }

    #[test]
    fn who_gives_up_has_given_nothing() {
        assert_eq!(typed(b"sec\x03ret\n"), None);
        assert_eq!(typed(b"\x04"), None);
        assert_eq!(typed(b"no end"), None);
    }

    #[test]
    fn a_pipe_gives_its_first_line() {
        for (input, line) in [("a b \n", "a b "), ("a", "a"), ("a\r\nb", "a"), ("", "")] {
            assert_eq!(first_line(input.as_bytes()).unwrap().as_str(), line, "{input:?}");
        }
        assert!(first_line(&b"\xff\xfe\n"[..]).is_err());
        assert!(first_line(&vec![b'x'; 2_000][..]).is_err());
    }

    #[test]
    fn a_file_gives_its_first_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        fs::write(&path, "correct horse\r\nbattery\n").unwrap();
        assert_eq!(read(&path).unwrap().as_str(), "correct horse");
        fs::write(&path, "\n").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("first line is empty"));
        assert!(read(&dir.path().join("none")).is_err());
    }
}
