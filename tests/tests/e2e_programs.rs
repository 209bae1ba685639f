//! The programs as a new user meets them: the load generator against the gateway, and two people with `shardwire chat`.

#![forbid(unsafe_code)]

use std::{net::TcpListener, path::Path, process::Command, time::Duration};

use gateway_tests::e2e::{Gateway, LIMIT, Process, Setup, loadgen_bin, shardwire_bin, until};
use serde_json::Value;

/// What the load generator may need: logins, the run, those who come back, and a slow machine.
const RUN_LIMIT: Duration = Duration::from_secs(180);

fn loadgen(gateway: &Gateway, json: &Path, args: &str) -> Process {
    let mut command = Command::new(loadgen_bin());
    command.arg("--target").arg(gateway.addr().to_string());
    command.arg("--token-key").arg(gateway.data_dir().join("dev-key.pem"));
    command.arg("--json").arg(json).args(args.split_whitespace());
    Process::start(command)
}

/// Nothing lost, doubled, reordered or corrupted, by its own verdict and by its numbers.
fn assert_clean(mut loadgen: Process, json: &Path) -> Value {
    let status = loadgen.wait(RUN_LIMIT);
    assert!(status.success(), "{status}\n{}", loadgen.stderr());
    let report: Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    for count in ["lost", "duplicated", "reordered", "corrupted", "refused", "unresolved"] {
        assert_eq!(report[count], 0, "{count}: {report:#}");
    }
    assert!(report["sent"].as_u64() > Some(1_000), "{report:#}");
    assert_eq!(report["sent"], report["acked"]);
    assert_eq!(report["sent"], report["delivered"]);
    report
}

#[test]
fn the_load_generator_finds_nothing_wrong() {
    let gateway = Gateway::start();
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("report.json");
    let run = loadgen(&gateway, &json, "--users 600 --rate 2000 --duration 4s --offline-share 0.1 --pattern random");
    let report = assert_clean(run, &json);
    assert!(report["acked_stored"].as_u64() > Some(0), "some were away: {report:#}");
}

#[test]
fn the_load_generator_finds_nothing_wrong_across_a_kill() {
    let mut gateway = Setup::new().arg("--listen").arg(&quiet_address()).start();
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("report.json");
    let idle = gateway.process().descriptor_count();
    let run = loadgen(&gateway, &json, "--users 400 --rate 1500 --duration 6s --offline-share 0.1");
    let connected = |gateway: &Gateway| gateway.process().descriptor_count().saturating_sub(idle);
    until("everybody is logged in", || connected(&gateway) >= 400);
    until("some are away, and messages flow", || connected(&gateway) <= 370);
    gateway = gateway.kill_and_restart();
    assert_clean(run, &json);
    drop(gateway);
}

/// A port outside the range from which outgoing connections get theirs: nobody takes it while the gateway is down.
fn quiet_address() -> String {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
    let first: u16 = range.split_whitespace().next().unwrap().parse().unwrap();
    let start = 10_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    (start..first)
        .map(|port| format!("127.0.0.1:{port}"))
        .find(|address| TcpListener::bind(address).is_ok())
        .expect("a free port below the range")
}

fn chat(gateway: &Gateway, user: &str, to: &str) -> Process {
    let mut command = Command::new(shardwire_bin());
    command.args(["chat", "--user", user, "--to", to]);
    command.arg("--data-dir").arg(gateway.data_dir());
    command.arg("--target").arg(gateway.addr().to_string());
    Process::start(command)
}
