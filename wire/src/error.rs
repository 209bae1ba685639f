//! What can be wrong with bytes from a peer. Every variant is the peer's fault.

use crate::{Code, frame_type, limits::FRAME_TIMEOUT, name::NameError};

/// Why a frame is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The header announces more bytes than the limit in force. Found before any of them is read or kept.
    #[error("{}: {len} bytes of payload, {max} are allowed", show(*.frame_type))]
    FrameTooLarge {
        /// The type byte of the header.
        frame_type: u8,
        /// Bytes of payload that the header announces.
        len: usize,
        /// The limit in force.
        max: usize,
    },
    /// The payload is shorter or longer than its type needs, or its table does not verify.
    #[error("{}: {what}", show(*.frame_type))]
    Malformed {
        /// The type byte of the frame.
        frame_type: u8,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A type below [`frame_type::SKIPPED_FROM`] that this version does not know. The connection stays.
    #[error("frame type {0:#04x} is not known here")]
    UnknownType(u8),
    /// A reserved bit or field is set.
    #[error("{}: a reserved bit is set", show(*.frame_type))]
    ReservedBits {
        /// The type byte of the frame.
        frame_type: u8,
    },
    /// A name is not one.
    #[error("{}: {error}", show(*.frame_type))]
    BadName {
        /// The type byte of the frame.
        frame_type: u8,
        /// What is wrong with the name.
        error: NameError,
    },
    /// HELLO without a credential, or with more than one.
    #[error("HELLO carries exactly one of token, password and ticket")]
    OneCredential,
    /// A frame was begun and not finished in time.
    #[error("a frame was not finished within {} s", FRAME_TIMEOUT.as_secs())]
    TooSlow,
    /// A value is outside its range.
    #[error("{}: {what}", show(*.frame_type))]
    OutOfRange {
        /// The type byte of the frame.
        frame_type: u8,
        /// Which value, and its range.
        what: &'static str,
    },
}

impl WireError {
    /// What to tell the peer.
    pub fn code(&self) -> Code {
        match self {
            WireError::FrameTooLarge { .. } => Code::FrameTooLarge,
            WireError::Malformed { .. } => Code::Malformed,
            WireError::UnknownType(_) => Code::UnknownType,
            WireError::ReservedBits { .. } => Code::ReservedBits,
            WireError::BadName { .. } => Code::BadName,
            WireError::OneCredential => Code::OneCredential,
            WireError::OutOfRange { .. } => Code::OutOfRange,
            WireError::TooSlow => Code::FrameTimeout,
        }
    }

    /// The type byte of the frame it is about, for ERROR; 0 where that is not known.
    pub fn frame_type(&self) -> u8 {
        match self {
            WireError::FrameTooLarge { frame_type, .. }
            | WireError::Malformed { frame_type, .. }
            | WireError::ReservedBits { frame_type }
            | WireError::BadName { frame_type, .. }
            | WireError::OutOfRange { frame_type, .. }
            | WireError::UnknownType(frame_type) => *frame_type,
            WireError::OneCredential => frame_type::HELLO,
            WireError::TooSlow => 0,
        }
    }

    /// Whether the connection ends with it (GOAWAY). Otherwise ERROR answers and the next frame is read.
    pub fn is_fatal(&self) -> bool {
        !matches!(self, WireError::UnknownType(_))
    }
}

fn show(frame_type: u8) -> &'static str {
    frame_type::name(frame_type).unwrap_or("a frame of unknown type")
}
