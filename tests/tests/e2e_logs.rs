//! The log of a gateway, and a standard error that nobody reads.

#![forbid(unsafe_code)]

use std::{
    io::{ErrorKind, PipeReader, PipeWriter, Read, Write},
    os::fd::AsFd,
};

use gateway_tests::e2e::{Conn, HelloSpec, LIMIT, Process, Setup, until};
use rustix::{
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    process::Signal,
};
use serde_json::Value;
use wire::Code;

/// More than the lines that may wait.
const REFUSED_LOGINS: usize = 6_000;

#[test]
fn a_log_that_nobody_reads_stops_nobody_and_tells_what_it_lost() {
    let (mut reader, writer) = full_pipe();
    let setup = Setup::new().shards(Some(1)).config("log.level = 'debug'");
    let mut process = Process::start_with_stderr(setup.command(), writer.into());
    let ready = process.line(LIMIT).expect("it serves");
    let addr = ready.split(['=', ' ']).nth(2).and_then(|addr| addr.parse().ok()).expect("a ready line");
    // Each of them is two lines, from the thread of the shard that all of them are on.
    for _ in 0..REFUSED_LOGINS {
        let mut conn = Conn::open(addr);
        conn.write(&HelloSpec::new("mallory", "made up").bytes());
        assert_eq!(conn.expect_goaway(), Code::BadCredential);
    }
    let keys = gateway_tests::e2e::Keys::of(&setup.data_dir());
    Conn::login(addr, &HelloSpec::new("alice", &keys.token("alice"))).ping();
    // Now somebody reads after all.
    let mut text = String::new();
    let mut chunk = [0; 4096];
    until("the lost lines are told", || {
        let len = reader.read(&mut chunk).expect("the gateway holds the other end");
        text.push_str(&String::from_utf8_lossy(&chunk[..len]));
        text.contains("lines of this log were dropped")
    });
    drop(reader);
    process.signal(Signal::TERM);
    assert!(process.wait(LIMIT).success(), "without standard error it ends as well");
}

#[test]
fn a_gateway_whose_log_nobody_reads_ends_in_order() {
    let (_reader, writer) = full_pipe();
    let setup = Setup::new();
    let mut process = Process::start_with_stderr(setup.command(), writer.into());
    process.line(LIMIT).expect("it serves");
    process.signal(Signal::TERM);
    assert!(process.wait(LIMIT).success());
}

#[test]
fn json_lines_are_objects_with_time_level_and_message() {
    let mut gateway = Setup::new().config("log.format = 'json'").start();
    gateway.ask_to_end();
    assert!(gateway.wait(LIMIT).success());
    let log = gateway.process().stderr();
    let lines: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    let messages: Vec<_> = lines.iter().filter_map(|line| line["message"].as_str()).collect();
    assert!(messages.contains(&"serving") && messages.contains(&"draining"), "{log}");
    assert_eq!(messages.last(), Some(&"ended"));
    assert!(lines.iter().all(|line| line["timestamp"].is_string() && line["level"].is_string()), "{log}");
}

#[test]
fn what_people_are_called_and_write_stands_in_no_line() {
    let mut gateway = Setup::new().start();
    let mut alice =
        Conn::login(gateway.addr(), &HelloSpec::new("alice.of.this.test", &gateway.keys().token("alice.of.this.test")));
    let message = alice.send_bytes(1, 0, "bob.of.this.test", b"a secret between two");
    alice.write(&message);
    alice.expect_acks(1..=1);
    let mut mallory = Conn::open(gateway.addr());
    mallory.write(&HelloSpec::new("mallory.of.this.test", "made up").bytes());
    assert_eq!(mallory.expect_goaway(), Code::BadCredential);
    gateway.ask_to_end();
    assert!(gateway.wait(LIMIT).success());
    let log = gateway.process().stderr();
    assert!(log.contains("ended") && !log.contains("of.this.test") && !log.contains("secret"), "{log}");
}

/// A pipe into which nothing more goes.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().expect("the system has pipes");
    let flags = fcntl_getfl(writer.as_fd()).expect("a pipe has flags");
    fcntl_setfl(writer.as_fd(), flags | OFlags::NONBLOCK).expect("they can be set");
    let page = [b'.'; 4096];
    let full = loop {
        if let Err(error) = writer.write(&page) {
            break error;
        }
    };
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
    fcntl_setfl(writer.as_fd(), flags).expect("they can be set");
    (reader, writer)
}
