//! What the operator is told, on standard error.

use std::fmt;
use std::io::{self, Write};

/// Tells the operator one line. Standard error may be closed, broken or full (the reader of a pipe is gone, the disk that holds
/// the file has no room): then nobody is told, and nothing else happens. `eprintln!` would panic, and a panic ends the process.
///
/// Waits for whoever reads a pipe that is full, on a shard's thread too: so only rare things are told.
pub(crate) fn tell(text: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "shardwire: {text}");
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Set for the process of its own in which the test tells something to nobody.
    const CHILD: &str = "SHARDWIRE_TEST_TELLS_NOBODY";

    #[test]
    fn telling_nobody_is_no_failure() {
        if std::env::var_os(CHILD).is_some() {
            return tell(format_args!("is anybody there?"));
        }
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tell::tests::telling_nobody_is_no_failure", "--nocapture"])
            .env(CHILD, "1")
            .stdout(std::process::Stdio::null())
            .stderr(writer)
            .status()
            .unwrap();
        assert!(status.success(), "{status}");
    }
}
