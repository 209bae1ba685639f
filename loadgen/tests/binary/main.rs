//! The whole program against a small gateway that is honest, or is not: what it says about the one must differ from what it says
//! about the other.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test that meets an error fails")]

mod gateway;

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Output};

use gateway::{Fault, serve};
use serde_json::Value;

/// From RFC 8410, section 10.3.
const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
";

fn loadgen(target: SocketAddr, arguments: &str) -> Output {
    let mut key = tempfile::NamedTempFile::new().unwrap();
    key.write_all(KEY.as_bytes()).unwrap();
    Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args(["--target", &target.to_string(), "--json", "-", "--token-key"])
        .arg(key.path())
        .args(arguments.split_whitespace())
        .output()
        .unwrap()
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// A run with twenty users.
fn run(fault: Fault, arguments: &str) -> (Option<i32>, Value) {
    let common = "--users 20 --duration 1s --collect-timeout 2s";
    let output = loadgen(serve(fault), &format!("{common} {arguments}"));
    (output.status.code(), report(&output))
}

#[test]
fn an_honest_gateway_passes_with_users_away_and_several_processes() {
    let (code, report) = run(Fault::None, "--rate 1000 --offline-share 0.2 --processes 2 --pattern random");
    assert_eq!(code, Some(0), "{report:#}");
    for zero in ["lost", "duplicated", "reordered", "corrupted", "refused", "unresolved", "reconnects", "errors"] {
        assert_eq!(report[zero], 0, "{zero}: {report:#}");
    }
    assert!(report["sent"].as_u64() > Some(500), "{report:#}");
    assert_eq!(report["sent"], report["acked"]);
    assert_eq!(report["sent"], report["delivered"]);
    assert!(report["caught_up_us"]["count"].as_u64() > Some(0), "{report:#}");
    assert_eq!(report["processes"], 2);
}

#[test]
fn a_closed_loop_keeps_the_window_full() {
    let (code, report) = run(Fault::None, "--window 4 --pattern fan-in");
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!(report["rate_wished"], Value::Null);
    assert!(report["delivered"].as_u64() > Some(100), "{report:#}");
}

#[test]
fn a_message_acknowledged_and_forgotten_is_lost() {
    let (code, report) = run(Fault::Lose, "--rate 200");
    assert_eq!(code, Some(1), "{report:#}");
    assert!(report["lost"].as_u64() > Some(0), "{report:#}");
    assert_eq!(report["unresolved"], 0);
}

#[test]
fn a_message_that_is_overtaken_is_reordered() {
    let (code, report) = run(Fault::Overtake, "--rate 500");
    assert_eq!(code, Some(1), "{report:#}");
    assert!(report["reordered"].as_u64() > Some(0), "{report:#}");
}

#[test]
fn a_message_that_was_changed_or_went_astray_is_corrupted() {
    for fault in [Fault::Change, Fault::Mislead] {
        let (code, report) = run(fault, "--rate 200");
        assert_eq!(code, Some(1), "{report:#}");
        assert!(report["corrupted"].as_u64() > Some(0), "{report:#}");
    }
}

#[test]
fn a_message_without_an_outcome_is_told_and_is_no_loss() {
    let (code, report) = run(Fault::Swallow, "--rate 200");
    assert_eq!(code, Some(0), "{report:#}");
    assert!(report["unresolved"].as_u64() > Some(0), "{report:#}");
}

#[test]
fn connections_that_break_are_made_again_and_nothing_is_missing() {
    let (code, report) = run(Fault::Cut, "--rate 200");
    assert_eq!(code, Some(0), "{report:#}");
    assert!(report["reconnects"].as_u64() > Some(0), "{report:#}");
    assert_eq!(report["unresolved"], 0, "{report:#}");
}

#[test]
fn without_a_gateway_there_is_no_run() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = loadgen(free, "--users 2 --collect-timeout 500ms");
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("could log in") && error.contains("refused"), "{error}");
}

#[test]
fn more_users_than_descriptors_names_the_processes_that_fit() {
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
    let output = loadgen(nowhere, "--users 4000000000 --processes 1");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("Use --processes "));
}
