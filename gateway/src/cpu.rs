//! Which CPUs the process may use, and pinning a thread to one.

use std::io;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The CPUs this process is allowed, ascending: those of the machine less what a container or `taskset` takes away.
pub(crate) fn allowed() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect())
}

/// Keeps the calling thread on one CPU: a shard's data stays in that CPU's caches.
pub(crate) fn pin(cpu: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    Ok(sched_setaffinity(None, &set)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_thread_is_allowed_its_cpu_only() {
        let allowed_here = allowed().unwrap();
        let cpu = *allowed_here.last().unwrap();
        let pinned = std::thread::spawn(move || pin(cpu).and_then(|()| allowed()));
        assert_eq!(pinned.join().unwrap().unwrap(), [cpu]);
        assert_eq!(allowed().unwrap(), allowed_here, "other threads are not");
    }
}
