//! Transports: what connects a [`Client`](crate::Client) to the world.

pub mod monoio;
mod notify;
