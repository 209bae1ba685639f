//! Which CPUs the process may use, and pinning a thread to one.

use std::io;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The CPUs this process is allowed, ascending: those of the machine less what a container or `taskset` takes away.
pub(crate) fn allowed() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect())
}

/// Keeps the calling thread, and those that it starts, on these CPUs: on one, so that a shard's data stays in its caches; on all
/// that are allowed, for a helper that a pinned thread started.
pub(crate) fn pin(cpus: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for cpu in cpus {
        set.set(*cpu);
    }
    Ok(sched_setaffinity(None, &set)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_thread_is_allowed_its_cpu_only_and_a_helper_of_it_may_have_all() {
        let before = allowed().unwrap();
        let (all, cpu) = (before.clone(), *before.last().unwrap());
        let pinned = std::thread::spawn(move || {
            pin(&[cpu]).unwrap();
            let helper = std::thread::spawn(move || pin(&all).and_then(|()| allowed()));
            (allowed().unwrap(), helper.join().unwrap().unwrap())
        });
        assert_eq!(pinned.join().unwrap(), (vec![cpu], before.clone()));
        assert_eq!(allowed().unwrap(), before);
    }
}
