//! `shardwire drain`.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::admin_client::{AdminClient, Answer};
use crate::admin::ADDRESS_FILE;
use crate::config;
use crate::store;

/// Ask the running gateway to end: no new clients, what is unsafe is stored, everybody is told when to come back.
///
/// It has the effect of SIGTERM, and needs no more than the data directory. The gateway ends within drain.deadline_s.
#[derive(Debug, Args)]
pub(crate) struct DrainArgs {
    /// The data directory of the gateway [default: SHARDWIRE__DATA_DIR, or shardwire-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where the token for its admin listener is, if the configuration puts it elsewhere [default: in the data directory]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Return only when the process is gone; fail if it did not end in good order
    #[arg(long)]
    wait: bool,
}

/// Does what the command line asks.
pub(crate) fn run(args: DrainArgs) -> anyhow::Result<()> {
    let dir = config::data_dir(args.data_dir);
    let client = AdminClient::find(&dir, args.token_file.as_deref())?;
    // Before it is asked: afterwards its number could stand for another process.
    let process = args.wait.then(|| open_process(&dir)).transpose()?;
    let Answer { status, body } = client.post("/drain", b"")?;
    if !(200..300).contains(&status) {
        bail!("the gateway did not take it: {status} {}", String::from_utf8_lossy(&body).trim());
    }
    match process {
        Some(process) => wait(&dir, &process),
        None => Ok(()),
    }
}

/// The process that holds the store.
fn open_process(dir: &Path) -> anyhow::Result<OwnedFd> {
    let holder = store::holder(dir).with_context(|| format!("{}: no gateway uses this store", dir.display()))?;
    let pid = holder.parse().ok().and_then(Pid::from_raw);
    let pid =
        pid.with_context(|| format!("{}/lock does not name the gateway's process: cannot wait for it", dir.display()))?;
    pidfd_open(pid, PidfdFlags::empty()).with_context(|| format!("cannot wait for process {holder}"))
}

fn wait(dir: &Path, process: &OwnedFd) -> anyhow::Result<()> {
    let mut fds = [PollFd::new(process, PollFlags::IN)];
    while let Err(error) = poll(&mut fds, None) {
        if error != rustix::io::Errno::INTR {
            return Err(error).context("wait for the gateway's process");
        }
    }
    // Who ends in good order takes this along.
    let is_left = dir.join(ADDRESS_FILE).try_exists().with_context(|| dir.display().to_string())?;
    if is_left && store::holder(dir).is_none() {
        bail!("the gateway is gone, and did not end in good order: what it said last is in its log");
    }
    Ok(())
}
