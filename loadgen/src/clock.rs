//! The clocks of this machine. All times of a run are on its monotonic clock, which every process of the machine shares:
//! a message may be sent by one worker and delivered to another, and its latency is still a difference of one clock.

use rustix::time::{ClockId, clock_gettime};

use crate::timeline::Usage;

/// Nanoseconds on the monotonic clock.
pub(crate) fn now_ns() -> u64 {
    read(ClockId::Monotonic)
}

fn cpu_ns() -> u64 {
    read(ClockId::ProcessCPUTime)
}

/// What this process, which has one thread, has used of processors, and how long it waited for one.
pub(crate) fn usage() -> Usage {
    // On a processor, waiting for one, turns: <https://docs.kernel.org/scheduler/sched-stats.html>, of the first thread.
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let waited_ns = text.split_whitespace().nth(1).and_then(|ns| ns.parse().ok()).unwrap_or(0);
    Usage { used_ns: cpu_ns(), waited_ns }
}

/// Seconds since 1970.
pub(crate) fn wall_s() -> u64 {
    read(ClockId::Realtime) / 1_000_000_000
}

fn read(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).expect("clocks count up from zero");
    let nanos = u64::try_from(time.tv_nsec).expect("nanoseconds are below a second");
    seconds * 1_000_000_000 + nanos
}
