//! What the system says of this process and of the disk under the store.

use std::fs;
use std::path::Path;

use rustix::process::{Resource, getrlimit};

/// The process at one moment. What the system does not tell is missing.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Process {
    /// CPU time used, user and system, in seconds.
    pub(crate) cpu_s: Option<f64>,
    /// When it started, in seconds since 1970.
    pub(crate) start_s: Option<f64>,
    /// Memory in use, in bytes.
    pub(crate) resident_len: Option<u64>,
    /// Descriptors in use.
    pub(crate) open_fds: Option<u64>,
    /// Descriptors it may use.
    pub(crate) max_fds: Option<u64>,
    /// Threads.
    pub(crate) threads: Option<u64>,
    /// Bytes that the disk under the store still has for this user.
    pub(crate) free_len: Option<u64>,
    /// Bytes that it has in all.
    pub(crate) disk_len: Option<u64>,
}

impl Process {
    /// Asks the system. Cost: a few reads of `/proc`.
    pub(crate) fn now(data_dir: &Path) -> Process {
        let stat = fs::read_to_string("/proc/self/stat").ok().and_then(|text| Stat::parse(&text));
        let ticks = rustix::param::clock_ticks_per_second();
        let disk = rustix::fs::statvfs(data_dir).ok();
        let start_s = stat.as_ref().zip(boot_time_s()).map(|(stat, boot)| boot + seconds(stat.start, ticks));
        Process {
            cpu_s: stat.as_ref().map(|stat| seconds(stat.user + stat.system, ticks)),
            start_s,
            resident_len: stat.as_ref().map(|stat| stat.resident_pages * rustix::param::page_size() as u64),
            threads: stat.as_ref().map(|stat| stat.threads),
            open_fds: open_fds(),
            max_fds: getrlimit(Resource::Nofile).current,
            free_len: disk.as_ref().map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize)),
            disk_len: disk.map(|disk| disk.f_blocks.saturating_mul(disk.f_frsize)),
        }
    }
}

/// Of `/proc/self/stat`; times in ticks.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    user: u64,
    system: u64,
    threads: u64,
    start: u64,
    resident_pages: u64,
}

impl Stat {
    /// Fields are numbered from 1 in proc(5); the second, the name, is in brackets and may hold anything.
    fn parse(text: &str) -> Option<Stat> {
        let fields: Vec<&str> = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse().ok();
        Some(Stat {
            user: field(14)?,
            system: field(15)?,
            threads: field(20)?,
            start: field(22)?,
            resident_pages: field(24)?,
        })
    }
}

/// When the machine started, in seconds since 1970.
fn boot_time_s() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// Since Linux 6.2 the directory says how many there are; before, they are counted, which takes a while when they are many.
fn open_fds() -> Option<u64> {
    let dir = Path::new("/proc/self/fd");
    match fs::metadata(dir).ok()?.len() {
        0 => fs::read_dir(dir).ok().map(|entries| entries.count() as u64),
        count => Some(count),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a tick is a hundredth of a second: exact for ages")]
fn seconds(ticks: u64, per_second: u64) -> f64 {
    ticks as f64 / per_second as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_tells_everything_here() {
        let process = Process::now(Path::new("/"));
        assert!(process.resident_len.unwrap() > 100_000, "{process:?}");
        assert!(process.threads.unwrap() >= 1 && process.open_fds.unwrap() >= 3, "{process:?}");
        assert!(process.max_fds.is_none_or(|max| max >= process.open_fds.unwrap()), "{process:?}");
        assert!(process.start_s.unwrap() > 1.6e9 && process.cpu_s.unwrap() >= 0.0, "{process:?}");
        assert!(process.disk_len.unwrap() >= process.free_len.unwrap(), "{process:?}");
        assert_eq!(Process::now(Path::new("/does/not/exist")).free_len, None);
    }

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let text =
            "7 (a) b) (c) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 9 0 12345 1000000 321 18446744073709551615";
        let expected = Stat { user: 250, system: 50, threads: 9, start: 12345, resident_pages: 321 };
        assert_eq!(Stat::parse(text), Some(expected));
        assert_eq!(Stat::parse("7 (a) S 1"), None);
        assert_eq!(Stat::parse(""), None);
    }
}
