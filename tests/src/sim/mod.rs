//! The simulation: real shards, real clients, and everything else made up from one seed.
//!
//! Any number of [`gateway_core::Shard`]s and [`shardwire_sdk::Client`]s in one thread, with simulated network, disks and
//! clocks. A [`world`] picks what happens next, a [`model`] that knows only `docs/delivery.md` judges. Start at [`run`].

pub mod accounts;
pub mod client;
pub mod clock;
pub mod content;
pub mod disk;
pub mod fault;
pub mod gateway;
mod logins;
pub mod mesh;
mod misfortune;
pub mod model;
pub mod net;
mod outcomes;
mod perform;
mod rest;
pub mod rng;
pub mod run;
pub mod screen;
pub mod shell;
pub mod show;
pub mod store;
pub mod tally;
pub mod trace;
mod verdict;
mod wiretap;
pub mod workload;
pub mod world;
