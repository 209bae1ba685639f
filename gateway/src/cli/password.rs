//! Passwords for commands: from a file, from a pipe, or typed without being shown. Never from the command line, which every user of the
//! machine can read.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context, bail};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use zeroize::Zeroizing;

use crate::accounts::Password;

/// Reads a password: the first line of `file`, or of standard input; from a terminal after asking for it, and once more if it is new.
///
/// # Errors
/// What could not be read, that it is empty or no text, or that the second time it was another one.
pub(crate) fn read(file: Option<&Path>, what: &str, is_new: bool) -> anyhow::Result<Password> {
    let stdin = io::stdin();
    let password = match file {
        Some(path) => {
            let file = File::open(path).with_context(|| path.display().to_string())?;
            first_line(file).with_context(|| path.display().to_string())?
        }
        None if !stdin.is_terminal() => first_line(stdin.lock()).context("standard input")?,
        None => {
            let first = ask(what)?;
            if is_new && ask("The same again")? != first {
                bail!("these were two different ones: nothing was changed");
            }
            first
        }
    };
    if password.is_empty() {
        bail!("the password is empty");
    }
    Ok(Password::from(Box::from(password.as_str())))
}

/// Up to the end of the line, or of the input.
fn first_line(mut input: impl Read) -> anyhow::Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(LEN_MAX));
    let mut byte = Zeroizing::new([0]);
    while input.read(&mut *byte)? == 1 && *byte != *b"\n" {
        if bytes.len() == LEN_MAX {
            bail!("a password has at most 128 bytes, this line is much longer");
        }
        bytes.push(byte[0]);
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    Ok(Zeroizing::new(std::str::from_utf8(&bytes).context("the password is not text (UTF-8)")?.to_owned()))
}

/// Asks on the terminal, which shows nothing of the answer.
fn ask(what: &str) -> anyhow::Result<Zeroizing<String>> {
    let stdin = io::stdin();
    let mut stderr = io::stderr();
    write!(stderr, "{what}: ").and_then(|()| stderr.flush()).context("standard error")?;
    let silence = Silence::begin(stdin.as_fd()).context("the terminal")?;
    let answer = first_line(&silence);
    drop(silence);
    // The end of the line was not shown either.
    writeln!(stderr).context("standard error")?;
    answer
}

/// A terminal that shows nothing, until this is dropped. While it is read, signals that would end the process are errors: the
/// terminal must not be left like that.
struct Silence<'a> {
    terminal: BorrowedFd<'a>,
    before: rustix::termios::Termios,
    signals: UnixStream,
}

impl Silence<'_> {
    fn begin(terminal: BorrowedFd<'_>) -> io::Result<Silence<'_>> {
        let (signals, sender) = UnixStream::pair()?;
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            signal_hook::low_level::pipe::register(signal, sender.try_clone()?)?;
        }
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(terminal, OptionalActions::Flush, &silent)?;
        Ok(Silence { terminal, before, signals })
    }
}

impl Read for &Silence<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut fds = [PollFd::new(&self.terminal, PollFlags::IN), PollFd::new(&self.signals, PollFlags::IN)];
        loop {
            match poll(&mut fds, None) {
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
                Ok(_) => break,
            }
        }
        if fds.iter().skip(1).any(|fd| !fd.revents().is_empty()) {
            // Not `Interrupted`, which is tried again.
            return Err(io::Error::other("interrupted: nothing was changed"));
        }
        Ok(rustix::io::read(self.terminal, buffer)?)
    }
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        // A terminal that is gone need not be put right.
        let _ = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}

/// Longer than any password that is taken; what is longer is a wrong file.
const LEN_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_the_password() {
        for (input, line) in
            [("correct horse\n", "correct horse"), ("correct horse", "correct horse"), ("a b \r\nc", "a b "), ("", "")]
        {
            assert_eq!(*first_line(input.as_bytes()).unwrap(), line, "{input:?}");
        }
    }

    #[test]
    fn what_is_no_password_is_refused() {
        assert!(first_line(&b"\xff\xfe\n"[..]).is_err());
        assert!(first_line(&vec![b'x'; 2_000][..]).is_err());
    }

    #[test]
    fn a_file_is_read_and_named_when_it_cannot_be() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        let error = read(Some(&path), "Password", false).unwrap_err();
        assert!(format!("{error:#}").contains("password"), "{error:#}");
        std::fs::write(&path, "correct horse\n").unwrap();
        assert_eq!(read(Some(&path), "Password", true).unwrap().as_str(), "correct horse");
        std::fs::write(&path, "\n").unwrap();
        assert!(read(Some(&path), "Password", true).is_err());
    }
}
