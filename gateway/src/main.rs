//! The `shardwire` binary. Everything is in the library beside it, so that tests and benches can use the parts.

#![forbid(unsafe_code)]

use std::process::ExitCode;

/// A shard allocates and frees on its own thread, mostly in a few sizes: what this allocator is made for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    gateway::cli::run()
}
