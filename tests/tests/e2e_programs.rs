//! The programs as a new user meets them: the load generator against the gateway, and two people with `shardwire chat`.

#![forbid(unsafe_code)]

use std::{path::Path, process::Command, time::Duration};

use gateway_tests::e2e::{Gateway, LIMIT, Process, Setup, loadgen_bin, quiet_address, shardwire_bin, until};
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
    let report: Value = serde_json::from_slice(&std::fs::read(json).expect("a report")).expect("a report in JSON");
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

/// The tour of the README, first half.
#[test]
fn two_people_chat_one_leaves_the_gateway_is_killed_and_everything_is_there() {
    let mut gateway = Setup::new().arg("--listen").arg(&quiet_address()).start();
    let home = tempfile::tempdir().unwrap();
    let mut alice = chat(&gateway, home.path(), "alice", "bob");
    let mut bob = chat(&gateway, home.path(), "bob", "alice");
    for person in [&alice, &bob] {
        person.line_where(LIMIT, |line| line.contains("connected"));
    }
    alice.type_line("are you there?");
    bob.line_where(LIMIT, |line| line.contains("alice") && line.ends_with("are you there?"));
    alice.line_where(LIMIT, |line| line == "#1 ✓ received");
    bob.type_line("yes, but not for long");
    alice.line_where(LIMIT, |line| line.contains("bob") && line.ends_with("yes, but not for long"));

    bob.close_stdin();
    assert!(bob.wait(LIMIT).success());
    for number in 2..=5 {
        alice.type_line(&format!("line {number}"));
        alice.line_where(LIMIT, |line| line == format!("#{number} ✓ stored"));
    }
    gateway.kill();
    alice.line_where(LIMIT, |line| line.contains("connection lost"));
    alice.type_line("line 6");
    alice.line_where(LIMIT, |line| line.contains("line 6") && line.contains("kept"));
    gateway = gateway.start_again();
    alice.line_where(LIMIT, |line| line.contains("connected again"));
    alice.line_where(LIMIT, |line| line == "#6 ✓ stored");

    let mut bob = chat(&gateway, home.path(), "bob", "alice");
    for number in 2..=6 {
        let line = bob.line_where(LIMIT, |line| line.contains("alice"));
        assert!(line.ends_with(&format!("line {number}")), "{line}");
    }
    bob.type_line("all of it");
    alice.line_where(LIMIT, |line| line.ends_with("all of it"));
    bob.close_stdin();
    assert!(bob.wait(LIMIT).success());
}

#[test]
fn lines_from_a_pipe_are_all_safe_when_the_chat_ends() {
    let gateway = Gateway::start();
    let home = tempfile::tempdir().unwrap();
    let mut alice = chat(&gateway, home.path(), "alice", "bob");
    for number in 1..=200 {
        alice.type_line(&format!("line {number}"));
    }
    alice.close_stdin();
    assert!(alice.wait(LIMIT).success());
    let bob = chat(&gateway, home.path(), "bob", "alice");
    for number in 1..=200 {
        let line = bob.line_where(LIMIT, |line| line.contains("alice"));
        assert!(line.ends_with(&format!("line {number}")), "{line}");
    }
}

#[test]
fn a_minted_token_logs_in_with_its_user_only() {
    let gateway = Gateway::start();
    let home = tempfile::tempdir().unwrap();
    let mut mint = Command::new(shardwire_bin());
    mint.args(["token", "mint", "--user", "alice", "--ttl", "1h", "--data-dir"]).arg(gateway.data_dir());
    let mint = Process::start(mint);
    let token = mint.line(LIMIT).expect("a token");
    let chat = |user: &str| {
        let mut command = Command::new(shardwire_bin());
        command.args(["chat", "--user", user, "--token", &token, "--server"]);
        command.arg(gateway.addr().to_string()).arg("--store").arg(home.path());
        Process::start(command)
    };
    chat("alice").line_where(LIMIT, |line| line.contains("connected"));
    let mut mallory = chat("mallory");
    assert!(!mallory.wait(LIMIT).success());
    mallory.until_stderr_has("202");
}

fn chat(gateway: &Gateway, home: &Path, user: &str, to: &str) -> Process {
    let mut command = Command::new(shardwire_bin());
    command.args(["chat", "--user", user, "--to", to, "--server"]).arg(gateway.addr().to_string());
    command.arg("--data-dir").arg(gateway.data_dir()).arg("--store").arg(home);
    Process::start(command)
}
