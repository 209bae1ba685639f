//! Transports: what connects a [`Client`](crate::Client) to the world.
//!
//! Both adapters have the same calls. [`monoio`] keeps everything on one thread; [`tokio`](mod@tokio) (feature `tokio`) may be
//! spread over several. When to connect, how long to wait and what to send again is the client's to say in both, and what lies
//! between a socket and the client, TLS among it, is one piece of code.

mod drive;
pub mod monoio;
mod notify;
mod race;
#[cfg(feature = "tokio")]
pub mod tokio;

pub use drive::Trouble;

use std::time::Duration;

/// How long one address may take to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the last bytes may take to be written when a run ends.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);
/// Bytes read at once: a full TLS record and its head.
const READ_LEN: usize = 16 * 1024 + 256;
