//! SIGTERM and SIGINT: the first asks the gateway to drain, the second ends it.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;

use crossbeam::channel::Sender;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

use crate::shard_loop::Report;
use crate::tell::tell;

/// Reports the first signal; at the second, the process ends at once with exit code 1.
pub(crate) fn watch(reports: Sender<Report>) -> io::Result<()> {
    let (mut receiver, sender) = UnixStream::pair()?;
    pipe::register(SIGTERM, sender.try_clone()?)?;
    pipe::register(SIGINT, sender)?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let mut byte = [0];
        let mut next = || receiver.read_exact(&mut byte).is_ok();
        // Without a main thread the process is about to end.
        if next() && reports.send(Report::Signal).is_ok() && next() {
            tell(format_args!("a second signal: ending without draining"));
            std::process::exit(1);
        }
    })?;
    Ok(())
}
