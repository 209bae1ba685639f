//! The admin listener: metrics, health, and what an operator may ask of a running gateway.

/// In the data directory, while a gateway with an admin listener runs: its address.
pub(crate) const ADDRESS_FILE: &str = "admin-address";
/// In the data directory: what proves to that gateway that one may change something.
pub(crate) const TOKEN_FILE: &str = "admin-token";
