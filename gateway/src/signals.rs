//! SIGTERM and SIGINT: the first asks the gateway to drain, the second ends it. SIGHUP: certificates and keys are read again, also in a
//! gateway that was started to ignore it (`nohup`).

use std::io::{self, Read};
use std::os::unix::net::UnixStream;

use crossbeam::channel::Sender;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

use crate::shard_loop::Report;
use crate::tell::tell;

/// Reports the first signal to end; at the second, the process ends at once with exit code 1. Reports each SIGHUP; several that
/// come together may be one.
pub(crate) fn watch(reports: Sender<Report>) -> io::Result<()> {
    let (mut to_end, sender) = UnixStream::pair()?;
    pipe::register(SIGTERM, sender.try_clone()?)?;
    pipe::register(SIGINT, sender)?;
    let (to_reload, sender) = UnixStream::pair()?;
    pipe::register(SIGHUP, sender)?;
    let reloads = reports.clone();
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let mut byte = [0];
        let mut next = || to_end.read_exact(&mut byte).is_ok();
        // Without a main thread the process is about to end.
        if next() && reports.send(Report::Signal).is_ok() && next() {
            tell(format_args!("a second signal: ending without draining"));
            std::process::exit(1);
        }
    })?;
    std::thread::Builder::new().name("hangups".to_owned()).spawn(move || report_hangups(to_reload, &reloads))?;
    Ok(())
}

fn report_hangups(mut hangups: UnixStream, reports: &Sender<Report>) {
    // All that came while the last were told are told as one.
    let mut bytes = [0; 64];
    while hangups.read(&mut bytes).is_ok_and(|len| len > 0) {
        if reports.send(Report::Reload).is_err() {
            return;
        }
    }
}
