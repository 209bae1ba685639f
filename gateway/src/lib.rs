//! The shell around [`gateway_core::Shard`]: threads, sockets, files, signals, the command line. It decides nothing, it performs.
//!
//! Steps 1, 2, 5 and 9 of the walk in `docs/architecture.md`. One pinned thread per shard runs a monoio runtime; one task of
//! it, `shard_loop`, owns the shard and the `reactor` that carries its client sockets. Between shards only envelopes and
//! handed-over connections pass, through the lanes of `mesh`. `boot` puts it all together and takes it down again.

#![deny(unsafe_code)]
// They panic when nobody reads them, and a panic ends the process: see `tell`.
#![deny(clippy::print_stderr, clippy::print_stdout)]

pub mod cli;

pub(crate) mod accounts;
pub(crate) mod admin;
pub(crate) mod auth;
pub(crate) mod bell;
pub(crate) mod boot;
pub(crate) mod certificate;
pub(crate) mod config;
pub(crate) mod cpu;
pub(crate) mod dev_certificate;
pub(crate) mod disk;
pub(crate) mod error;
pub(crate) mod files;
pub(crate) mod handoff;
pub(crate) mod keeper;
pub(crate) mod key_ring;
pub(crate) mod live;
pub(crate) mod mesh;
pub(crate) mod notice;
pub(crate) mod pacer;
pub(crate) mod reactor;
pub(crate) mod secrets;
pub(crate) mod shard_loop;
pub(crate) mod signals;
pub(crate) mod snapshot;
pub(crate) mod store;
pub(crate) mod telemetry;
pub(crate) mod tell;
pub(crate) mod ticket;
pub(crate) mod tls_config;
pub(crate) mod traffic;
