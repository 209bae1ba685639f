//! What the tests share: the simulation of the whole gateway, and helpers that run the real programs.

#![forbid(unsafe_code)]

pub mod e2e;
pub mod sim;
