//! A gateway that ends in good order while it is used: nothing is lost, doubled or turned round, and everybody comes back.

#![forbid(unsafe_code)]

use std::{
    collections::BTreeMap,
    net::TcpListener,
    path::Path,
    process::Command,
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use gateway_tests::e2e::{Conn, Gateway, HelloSpec, LIMIT, Process, Setup, loadgen_bin, shardwire_bin, until};
use serde_json::Value;
use wire::{Code, Frame};

/// What the load generator may need: logins, the run, those who come back, and a slow machine.
const RUN_LIMIT: Duration = Duration::from_secs(240);
const USERS: usize = 600;

/// A port outside the range from which outgoing connections get theirs: nobody takes it while the gateway is down.
fn quiet_address() -> String {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").expect("Linux has it");
    let first = range.split_whitespace().next().and_then(|first| first.parse().ok()).expect("two ports");
    // Tests run side by side: each looks in a range of its own, and so does each process.
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = 20_000 + u16::try_from(std::process::id() % 8_000).expect("below 8,000");
    let start = start + NEXT.fetch_add(100, Ordering::Relaxed);
    (start..first)
        .map(|port| format!("127.0.0.1:{port}"))
        .find(|address| TcpListener::bind(address).is_ok())
        .expect("a free port below the range")
}

/// Those who are drained come back between one and three seconds later.
fn setup() -> Setup {
    let setup = Setup::new().arg("--listen").arg(&quiet_address());
    setup.config("drain.slot_start_s = 1").config("drain.slot_len_s = 2")
}

fn drain(gateway: &Gateway, args: &[&str]) -> Process {
    let mut command = Command::new(shardwire_bin());
    command.arg("drain").args(args).arg("--data-dir").arg(gateway.data_dir());
    Process::start(command)
}

/// 5,000 messages a second, also to some who are away.
fn load(gateway: &Gateway, is_tls: bool, json: &Path) -> Process {
    let mut command = Command::new(loadgen_bin());
    if is_tls {
        let ca = gateway.data_dir().join("dev-ca.pem");
        command.arg("--target").arg(gateway.tls_addr().to_string()).arg("--tls").arg("--ca").arg(ca);
    } else {
        command.arg("--target").arg(gateway.addr().to_string());
    }
    command.arg("--token-key").arg(gateway.data_dir().join("dev-key.pem"));
    let users = USERS.to_string();
    command
        .args(["--users", &users, "--rate", "5000", "--duration", "8s", "--offline-share", "0.1", "--json"])
        .arg(json);
    Process::start(command)
}

fn until_messages_flow(gateway: &Gateway, idle: usize) {
    let connected = || gateway.process().descriptor_count().saturating_sub(idle);
    until("everybody is logged in", || connected() >= USERS);
    until("some are away, and messages flow", || connected() <= USERS - USERS / 20);
}

/// Nothing lost, doubled, reordered or corrupted, by its own verdict and by its numbers.
fn assert_clean(mut load: Process, json: &Path) {
    let status = load.wait(RUN_LIMIT);
    assert!(status.success(), "{status}\n{}", load.stderr());
    let report: Value = serde_json::from_slice(&std::fs::read(json).expect("a report")).expect("a report in JSON");
    for count in ["lost", "duplicated", "reordered", "corrupted", "refused", "unresolved"] {
        assert_eq!(report[count], 0, "{count}: {report:#}");
    }
    assert!(report["sent"].as_u64() > Some(10_000), "{report:#}");
    assert_eq!(report["sent"], report["acked"]);
    assert_eq!(report["sent"], report["delivered"]);
}

/// Load, a drain in the middle of it, and a start: the load generator goes on, and misses nothing.
fn drain_under_load(is_tls: bool, by_command: bool) {
    let mut gateway = setup().arg("--tls-listen").arg(&quiet_address()).start();
    let folder = tempfile::tempdir().expect("a temporary directory");
    let json = folder.path().join("report.json");
    let idle = gateway.process().descriptor_count();
    let load = load(&gateway, is_tls, &json);
    until_messages_flow(&gateway, idle);
    if by_command {
        // It returns when the gateway is gone.
        let status = drain(&gateway, &["--wait"]).wait(LIMIT);
        assert!(status.success(), "{status}");
    } else {
        gateway.ask_to_end();
    }
    let status = gateway.wait(LIMIT);
    assert!(status.success(), "{status}\n{}", gateway.process().stderr());
    assert!(!gateway.data_dir().join("admin-address").exists(), "who ended in good order takes it along");
    let gateway = gateway.start_again();
    assert_clean(load, &json);
    drop(gateway);
}

#[test]
fn a_drain_under_load_loses_nothing_by_signal_or_by_command_over_plain_tcp_or_tls() {
    drain_under_load(false, false);
    drain_under_load(true, true);
}

#[test]
fn each_session_gets_a_slot_of_its_own() {
    let mut gateway = setup().start();
    let keys = gateway.keys();
    let mut conns: Vec<Conn> = (0..40)
        .map(|number| {
            let user = format!("user{number}");
            Conn::login(gateway.addr(), &HelloSpec::new(&user, &keys.token(&user)))
        })
        .collect();
    // Somebody who has not said who he is.
    let mut silent = Conn::open(gateway.addr());
    gateway.ask_to_end();
    let mut slots = BTreeMap::new();
    for conn in conns.iter_mut().chain([&mut silent]) {
        let (code, start_ms, len_ms) = conn.wait_for("GOAWAY", |frame| match frame {
            Frame::GoAway(goaway) => Some((goaway.code, goaway.slot_start_ms, goaway.slot_len_ms)),
            _ => None,
        });
        assert_eq!(code, Code::Draining.number());
        assert!(start_ms >= 1_000 && start_ms + len_ms <= 3_000 && len_ms > 0, "{start_ms} and {len_ms}");
        *slots.entry(start_ms).or_insert(0) += 1;
    }
    assert!(slots.len() >= 30, "almost each at a moment of its own: {slots:?}");
    let parts: Vec<usize> =
        (0..4).map(|part| slots.range(1_000 + part * 500..1_500 + part * 500).map(|(_, count)| count).sum()).collect();
    assert!(parts.iter().all(|count| *count >= 5), "all over the time: {slots:?}");
    assert!(gateway.wait(LIMIT).success());
}

#[test]
fn a_second_signal_ends_at_once() {
    let Some((mut gateway, stuck)) = stuck_gateway("drain.deadline_s = 600") else { return };
    gateway.ask_to_end();
    gateway.process().until_stderr_has("draining");
    gateway.ask_to_end();
    gateway.process().until_stderr_has("second signal");
    drop(stuck);
    assert_eq!(gateway.wait(LIMIT).code(), Some(1));
}

#[test]
fn a_drain_that_cannot_end_says_what_is_left() {
    let Some((mut gateway, stuck)) = stuck_gateway("drain.deadline_s = 1") else { return };
    let mut drain = drain(&gateway, &["--wait"]);
    gateway.process().until_stderr_has("1 record not stored");
    gateway.process().until_stderr_has("What was acknowledged is safe");
    drop(stuck);
    assert_eq!(gateway.wait(LIMIT).code(), Some(1));
    assert!(!drain.wait(LIMIT).success(), "it did not end in good order");
}

/// A gateway with a record under way that is not stored: what begins its log takes ten minutes, for as long as the other process
/// is there, which also keeps it from going away. Where there is no strace, it says so.
fn stuck_gateway(setting: &str) -> Option<(Gateway, Process)> {
    if Command::new("strace").arg("-V").output().is_err() {
        println!("skipped: there is no strace here (Debian: apt-get install strace)");
        assert!(std::env::var_os("SHARDWIRE_STRICT").is_none(), "nothing is skipped in a strict run");
        return None;
    }
    let gateway = setup().shards(Some(1)).config(setting).start();
    // Nobody has logged in: the log has no segment yet, and this will become the first.
    let spare = gateway.data_dir().join("shard-00/spare-00000000");
    until("there is a spare", || spare.exists());
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=rename,renameat,renameat2", "-P"]).arg(&spare);
    strace.args(["-e", "inject=rename,renameat,renameat2:delay_enter=600000000", "-p"]);
    let strace = Process::start({
        strace.arg(gateway.process().id().to_string());
        strace
    });
    until("strace watches every thread", || gateway.process().is_traced());
    let mut alice = Conn::open(gateway.addr());
    alice.write(&HelloSpec::new("alice", &gateway.keys().token("alice")).bytes());
    // Her device is to be registered, and the log has no file for it.
    until("the log is asked to store something", || is_renaming(gateway.process().id()));
    Some((gateway, strace))
}

/// Whether a thread of the process is in rename(2), by its number on x86-64.
fn is_renaming(pid: u32) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    let calls = tasks.map_while(Result::ok).map(|task| std::fs::read_to_string(task.path().join("syscall")));
    calls.map_while(Result::ok).any(|call| call.starts_with("82 "))
}

#[test]
fn nobody_can_be_asked_to_drain_where_nobody_runs() {
    let setup = setup();
    let mut command = Command::new(shardwire_bin());
    command.args(["drain", "--data-dir"]).arg(setup.data_dir());
    let mut process = Process::start(command);
    assert_eq!(process.wait(LIMIT).code(), Some(1));
    process.until_stderr_has("no gateway");
    // One that was killed left its address behind.
    let mut gateway = setup.start();
    gateway.kill();
    let mut process = drain(&gateway, &["--wait"]);
    assert_eq!(process.wait(LIMIT).code(), Some(1));
    process.until_stderr_has("no gateway");
}
