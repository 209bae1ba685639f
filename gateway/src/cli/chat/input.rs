//! Lines of standard input, for a thread that must not wait for them.
//!
//! A thread of its own reads, since a terminal can be read in no other way that works for files, pipes and terminals alike, and
//! passes the bytes on through a pair of sockets, which the runtime can wait for.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream as Sender;
use std::thread;

use monoio::io::AsyncReadRent;
use monoio::net::UnixStream;

/// Lines as they come.
pub(super) struct Lines {
    stream: UnixStream,
    /// Read and not yet taken; the line that begins at its beginning is not complete.
    pending: Vec<u8>,
}

/// Begins to read standard input. To be called on a runtime's thread.
pub(super) fn stdin() -> io::Result<Lines> {
    let (receiver, sender) = Sender::pair()?;
    // The process does not wait for this thread: at its end it may still stand in a read.
    thread::Builder::new().name("stdin".to_owned()).spawn(move || pump(io::stdin().lock(), sender))?;
    Lines::of(receiver)
}

/// Until either side has ended. Ending, it closes the socket: that is the end of input.
fn pump(mut from: impl Read, mut to: Sender) {
    let mut buffer = [0; 4096];
    while let Ok(len) = from.read(&mut buffer) {
        let read = buffer.get(..len).unwrap_or_default();
        if read.is_empty() || to.write_all(read).is_err() {
            return;
        }
    }
}

impl Lines {
    fn of(receiver: Sender) -> io::Result<Lines> {
        receiver.set_nonblocking(true)?;
        Ok(Lines { stream: UnixStream::from_std(receiver)?, pending: Vec::new() })
    }

    /// The next line without its end, or `None` at the end of input. A last line needs no end. What is longer than
    /// [`LINE_LEN_MAX`] comes in pieces of that; bytes that are no UTF-8 come as �.
    pub(super) async fn next(&mut self) -> io::Result<Option<String>> {
        loop {
            let end = self.pending.iter().position(|byte| *byte == b'\n');
            if let Some(len) = end.filter(|len| *len < LINE_LEN_MAX) {
                let line: Vec<u8> = self.pending.drain(..=len).collect();
                return Ok(Some(text(&line)));
            }
            if self.pending.len() >= LINE_LEN_MAX {
                let piece: Vec<u8> = self.pending.drain(..LINE_LEN_MAX).collect();
                return Ok(Some(text(&piece)));
            }
            let (result, buffer) = self.stream.read(Vec::with_capacity(READ_LEN)).await;
            if result? == 0 {
                let last = std::mem::take(&mut self.pending);
                return Ok((!last.is_empty()).then(|| text(&last)));
            }
            self.pending.extend_from_slice(&buffer);
        }
    }
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line).trim_end_matches(['\n', '\r']).to_owned()
}

/// A longer line is more than one message: well below what a gateway takes by default.
const LINE_LEN_MAX: usize = 32 * 1024;
/// Bytes taken from the socket at once.
const READ_LEN: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &'static [u8]) -> Vec<String> {
        let mut runtime = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new().build().unwrap();
        runtime.block_on(async {
            let (receiver, sender) = Sender::pair().unwrap();
            let pumping = thread::spawn(move || pump(input, sender));
            let mut lines = Lines::of(receiver).unwrap();
            let mut taken = Vec::new();
            while let Some(line) = lines.next().await.unwrap() {
                taken.push(line);
            }
            pumping.join().unwrap();
            taken
        })
    }

    #[test]
    fn lines_come_without_their_ends_and_the_last_needs_none() {
        assert_eq!(lines(b"one\ntwo\r\n\nlast"), ["one", "two", "", "last"]);
        assert_eq!(lines(b""), Vec::<String>::new());
    }

    #[test]
    fn what_is_no_text_comes_as_replacement_characters() {
        assert_eq!(lines(b"a\xffb\n"), ["a\u{fffd}b"]);
    }

    #[test]
    fn a_line_without_end_comes_in_pieces() {
        static LONG: [u8; LINE_LEN_MAX + 10] = [b'x'; LINE_LEN_MAX + 10];
        let lens: Vec<_> = lines(&LONG).iter().map(String::len).collect();
        assert_eq!(lens, [LINE_LEN_MAX, 10]);
    }
}
