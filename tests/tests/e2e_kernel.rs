//! What the gateway asks of the kernel, watched with strace. Where there is no strace, these tests say so and end.

#![forbid(unsafe_code)]

use std::{collections::BTreeMap, fs, process::Command};

use gateway_tests::e2e::{Gateway, LIMIT, Person, Process, Setup, drive_until, until};
use rustix::process::Signal;

fn has_strace() -> bool {
    let has = Command::new("strace").arg("-V").output().is_ok();
    if !has {
        println!("skipped: there is no strace here (Debian: apt-get install strace)");
        assert!(std::env::var_os("SHARDWIRE_STRICT").is_none(), "nothing is skipped in a strict run");
    }
    has
}

#[test]
fn a_machine_without_io_uring_is_told_cause_and_fix() {
    if !has_strace() {
        return;
    }
    for (error, cause) in [("EPERM", "kernel.io_uring_disabled"), ("ENOSYS", "Linux 6.1")] {
        let inject = format!("inject=io_uring_setup:error={error}");
        let message = Setup::new()
            .under(&["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=io_uring_setup", "-e", &inject])
            .start_refused();
        assert!(message.contains("io_uring") && message.contains(cause), "{message}");
    }
}

#[test]
fn under_load_there_is_no_epoll_and_far_fewer_sends_than_frames() {
    const MESSAGES: usize = 4_000;
    if !has_strace() {
        return;
    }
    let gateway = Gateway::start();
    let keys = gateway.keys();
    let mut people = ["alice", "bob"].map(|user| Person::new(user, &keys.token(user), gateway.addr()));
    drive_until("both are online", &mut people, |people| people.iter().all(Person::is_online));

    let folder = tempfile::tempdir().unwrap();
    let summary = folder.path().join("summary");
    let mut command = Command::new("strace");
    command.args(["-f", "-c", "-U", "calls,name", "-o"]).arg(&summary);
    command.args(["-p", &gateway.process().id().to_string()]);
    let mut strace = Process::start(command);
    until("strace watches every thread", || gateway.process().is_traced());

    for number in 0..MESSAGES {
        people[0].send("bob", &number.to_string());
    }
    drive_until("all of it is safe and there", &mut people, |people| {
        people[0].waiting_count() == 0 && people[1].inbox_count() >= MESSAGES
    });
    strace.signal(Signal::INT);
    strace.wait(LIMIT);

    let calls = calls(&fs::read_to_string(&summary).unwrap());
    println!("{calls:?}");
    assert!(calls.contains_key("io_uring_enter"), "{calls:?}");
    let epoll: Vec<_> = calls.keys().filter(|name| name.starts_with("epoll")).collect();
    assert!(epoll.is_empty(), "{epoll:?}");
    let sends: usize = ["sendto", "sendmsg", "write", "writev"].iter().filter_map(|name| calls.get(*name)).sum();
    // A DELIVER and a SEND_ACK for each message.
    assert!(sends < 2 * MESSAGES / 4, "{sends} sends for {MESSAGES} messages: {calls:?}");
}

/// `strace -c -U calls,name`: a line for each system call, between two lines of dashes.
fn calls(summary: &str) -> BTreeMap<String, usize> {
    summary
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let count = words.next()?.parse().ok()?;
            Some((words.next()?.to_owned(), count))
        })
        .collect()
}
