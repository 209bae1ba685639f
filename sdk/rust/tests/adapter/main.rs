//! The adapters over real sockets, plain and with TLS: the other end is a thread of the test that speaks frames.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod behaviour;
mod monoio_only;
mod peer;
mod secure;
#[cfg(feature = "tokio")]
mod tokio_only;

use std::time::Duration;

use shardwire_sdk::{Backoff, Client, Config, Credential, MemoryStore};
use wire::{Device, Name};

fn name(text: &str) -> Name<'_> {
    Name::parse(text.as_bytes()).unwrap()
}

fn client() -> Client<MemoryStore> {
    let config = Config {
        backoff: Backoff { first_ms: 1, max_ms: 1 },
        ..Config::new(name("alice").into(), Device::parse(b"phone").unwrap().into(), Credential::Token("t".into()))
    };
    Client::new(config, MemoryStore::default(), 1).unwrap()
}

/// The whole test fails if the client has not come to an end by then.
fn on_monoio<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new().enable_timer().build().unwrap();
    runtime.block_on(async { monoio::time::timeout(LIMIT, future).await.unwrap() })
}

/// The same.
#[cfg(feature = "tokio")]
fn on_tokio<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(LIMIT, future).await.unwrap() })
}

/// No test takes so long unless something is wrong.
const LIMIT: Duration = Duration::from_secs(60);
