//! Bounds of the protocol. What an operator can change is only ever smaller, and WELCOME says so.

use std::time::Duration;

/// Bytes of a frame's header: `u24 length (of the payload, little-endian) | u8 type`.
pub const HEADER_LEN: usize = 4;
/// What the header's length field can say.
pub const PAYLOAD_LEN_MAX: usize = (1 << 24) - 1;
/// The longest payload a client may send by default.
pub const CLIENT_PAYLOAD_LEN_MAX: usize = 64 * 1024;
/// The longest payload a client may send before it has heard WELCOME.
pub const HELLO_PAYLOAD_LEN_MAX: usize = 4 * 1024;
/// How long a client has from its connection to a complete HELLO.
pub const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client has to finish a frame that it has begun; the gateway may be a few seconds late to notice.
pub const FRAME_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest name of a user, or of a group with its `#`.
pub const NAME_LEN_MAX: usize = 64;
/// The longest name of a device.
pub const DEVICE_LEN_MAX: usize = 32;
/// The longest client name, and the longest client version, in HELLO.
pub const CLIENT_TEXT_LEN_MAX: usize = 64;
/// The longest password that ACCOUNT carries, in bytes; whether it is a good one is for the accounts to say.
pub const ACCOUNT_PASSWORD_LEN_MAX: usize = 1024;
/// Bytes of a password that an account can have.
pub const PASSWORD_LEN_RANGE: std::ops::RangeInclusive<usize> = 8..=128;
/// Bytes of the store's name in WELCOME.
pub const STORE_LEN: usize = 16;
/// Devices of one user.
pub const DEVICE_COUNT_MAX: usize = 16;
/// Counters a device may have in flight: highest sent − lowest unresolved is below this.
pub const IN_FLIGHT_MAX: u64 = 64;
/// The heartbeat interval WELCOME may give, in seconds.
pub const HEARTBEAT_S_RANGE: std::ops::RangeInclusive<u32> = 25..=1680;
/// The version of the protocol that this crate speaks.
pub const VERSION: u16 = 1;
