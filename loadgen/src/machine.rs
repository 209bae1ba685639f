//! On what the figures were measured, and what this machine allows.

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

/// What belongs to every published figure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) kernel: String,
    pub(crate) cpu: String,
    /// Processors that this process may use.
    pub(crate) cpus: usize,
    /// All of it; 0 if the system does not tell.
    pub(crate) memory_mib: u64,
}

/// What all processors of the machine did since it was started, in ticks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Ticks {
    idle: u64,
    steal: u64,
    all: u64,
}

impl Ticks {
    pub(crate) fn now() -> Ticks {
        std::fs::read_to_string("/proc/stat").map_or_else(|_| Ticks::default(), |stat| Ticks::read(&stat))
    }

    /// proc_stat(5): user, nice, system, idle, iowait, irq, softirq, steal; what follows is contained in user and nice.
    fn read(stat: &str) -> Ticks {
        let line = stat.lines().next().unwrap_or_default();
        let ticks: Vec<u64> = line.split_whitespace().skip(1).take(8).map_while(|word| word.parse().ok()).collect();
        let of = |index: usize| ticks.get(index).copied().unwrap_or(0);
        Ticks { idle: of(3) + of(4), steal: of(7), all: ticks.iter().sum() }
    }

    /// Which share of the time since `before` the processors were busy (for this machine or another guest of its host), and
    /// which share of it its hypervisor gave to others, in percent.
    pub(crate) fn since(self, before: Ticks) -> (f64, f64) {
        let all = self.all.saturating_sub(before.all);
        if all == 0 {
            return (0.0, 0.0);
        }
        let share = |now: u64, before: u64| now.saturating_sub(before) as f64 / all as f64 * 100.0;
        ((100.0 - share(self.idle, before.idle)).clamp(0.0, 100.0), share(self.steal, before.steal))
    }
}

impl Machine {
    pub(crate) fn this() -> Machine {
        let uname = rustix::system::uname();
        let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
        Machine {
            kernel: format!("{} {} {}", text(uname.sysname()), text(uname.release()), text(uname.machine())),
            cpu: cpu_model().unwrap_or_else(|| "unknown".into()),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: memory_mib().unwrap_or(0),
        }
    }
}

fn cpu_model() -> Option<String> {
    let info = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn memory_mib() -> Option<u64> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kib: u64 =
        info.lines().find_map(|line| line.strip_prefix("MemTotal:"))?.split_whitespace().next()?.parse().ok()?;
    Some(kib / 1024)
}

/// Raises the bound on descriptors as far as this process may, and tells it. Processes it starts inherit it.
///
/// # Errors
/// When the system does not tell, or does not let its own bound be used.
pub(crate) fn raise_descriptor_count_max() -> Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, wanted).context("cannot raise the bound on descriptors to its hard limit")?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

/// How many processes `users` need, or whether the wished number is enough.
///
/// # Errors
/// Says how many it takes when the wished number is too small.
pub(crate) fn processes(users: u32, wished: Option<u32>, descriptor_count_max: u64) -> Result<u32> {
    let each_max = descriptor_count_max.saturating_sub(DESCRIPTORS_RESERVED);
    ensure!(each_max >= 2, "a process may have only {descriptor_count_max} descriptors: raise the limit (ulimit -n)");
    // Workers get whole pairs.
    let pairs_each_max = each_max / 2;
    let needed = u64::from(users).div_ceil(2).div_ceil(pairs_each_max).max(1);
    let needed = u32::try_from(needed).context("too many users")?;
    let chosen = wished.unwrap_or(needed);
    ensure!(
        chosen >= needed,
        "{users} users do not fit into {chosen} processes: each may have {descriptor_count_max} descriptors (ulimit -n), and \
         each user takes one. Use --processes {needed} or more, or raise the limit"
    );
    Ok(chosen)
}

/// Descriptors of a worker that are not users: standard streams, epoll, and room for sockets that are being replaced.
const DESCRIPTORS_RESERVED: u64 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_few_processes_as_descriptors_allow() {
        assert_eq!(processes(10_000, None, 20_000).unwrap(), 1);
        assert_eq!(processes(19_968, None, 20_000).unwrap(), 1);
        assert_eq!(processes(19_970, None, 20_000).unwrap(), 2);
        assert_eq!(processes(10, Some(5), 20_000).unwrap(), 5);
        assert_eq!(processes(10, None, u64::MAX).unwrap(), 1);
    }

    #[test]
    fn too_few_processes_are_refused_with_the_number_that_fits() {
        let error = processes(100_000, Some(2), 20_000).unwrap_err().to_string();
        assert!(error.contains("--processes 6 "), "{error}");
        assert!(processes(10, None, 20).is_err());
    }

    #[test]
    fn busy_and_stolen_time_are_shares_of_what_passed() {
        let before = Ticks::read("cpu  100 0 100 700 100 0 0 0 50 0\ncpu0 1 2 3\n");
        let after = Ticks::read("cpu  150 0 110 720 110 0 0 10 60 0\n");
        assert_eq!(after.since(before), (70.0, 10.0));
        assert_eq!(before.since(before), (0.0, 0.0));
    }

    #[test]
    fn this_machine_has_a_kernel_and_a_processor() {
        let machine = Machine::this();
        assert!(machine.kernel.starts_with("Linux ") && machine.cpus >= 1, "{machine:?}");
    }
}
