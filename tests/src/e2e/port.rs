//! Ports that stay free while a gateway is down.

use std::{
    net::TcpListener,
    sync::atomic::{AtomicU16, Ordering},
};

/// An address with a port outside the range from which outgoing connections get theirs: nobody takes it while the gateway is down.
///
/// # Panics
/// When there is none.
pub fn quiet_address() -> String {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").expect("Linux has it");
    let first = range.split_whitespace().next().and_then(|first| first.parse().ok()).expect("two ports");
    // Tests run side by side: each looks in a range of its own, and so does each process.
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = 10_000 + u16::try_from(std::process::id() % 10_000).expect("below 10,000");
    let start = start + NEXT.fetch_add(100, Ordering::Relaxed);
    (start..first)
        .map(|port| format!("127.0.0.1:{port}"))
        .find(|address| TcpListener::bind(address).is_ok())
        .expect("a free port below the range")
}
