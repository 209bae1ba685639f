//! What the operator is told in plain words: why a command, or the gateway, did not do what it was asked to.

use std::fmt;
use std::io::{self, Write};

use crate::telemetry;

/// Tells the operator why it ends. Where a log is kept, this is its last line, and waited for; elsewhere it goes to standard error as
/// it is. That may be closed or broken (the reader of a pipe is gone, the disk that holds the file has no room): then nobody is
/// told, and nothing else happens. `eprintln!` would panic.
pub(crate) fn tell(text: fmt::Arguments<'_>) {
    if telemetry::is_running() {
        tracing::error!("{text}");
        telemetry::flush();
    } else {
        let _ = writeln!(io::stderr().lock(), "shardwire: {text}");
    }
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
