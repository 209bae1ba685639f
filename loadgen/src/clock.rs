//! The clocks of this machine. All times of a run are on its monotonic clock, which every process of the machine shares:
//! a message may be sent by one worker and delivered to another, and its latency is still a difference of one clock.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds on the monotonic clock.
pub(crate) fn now_ns() -> u64 {
    read(ClockId::Monotonic)
}

/// Nanoseconds of processor time that this process has used.
pub(crate) fn cpu_ns() -> u64 {
    read(ClockId::ProcessCPUTime)
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
