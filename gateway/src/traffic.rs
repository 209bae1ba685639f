//! Frames in and out, counted where they pass.

use gateway_core::{CodeCounts, FrameCounts};
use wire::limits::HEADER_LEN;
use wire::{Code, Frame, frame_type};

/// Totals since start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// Frames that came, whole.
    pub(crate) received: FrameCounts,
    /// What came and was no frame, or did not decode, or was too long.
    pub(crate) malformed: u64,
    /// Frames written, each connection's copy counted.
    pub(crate) sent: FrameCounts,
    /// GOAWAYs written, by code.
    pub(crate) closed: CodeCounts,
}

impl Traffic {
    /// A whole frame, with its header, was written to a connection.
    pub(crate) fn on_written(&mut self, frame: &[u8]) {
        let frame_type = frame.get(HEADER_LEN - 1).copied().unwrap_or_default();
        self.sent.count(frame_type);
        if frame_type == frame_type::GOAWAY {
            self.on_goaway(frame);
        }
    }

    #[cold]
    fn on_goaway(&mut self, frame: &[u8]) {
        let payload = frame.get(HEADER_LEN..).unwrap_or_default();
        if let Ok(Some(Frame::GoAway(goaway))) = wire::decode(frame_type::GOAWAY, payload)
            && let Some(code) = Code::from_number(goaway.code)
        {
            self.closed.count(code);
        }
    }
}

#[cfg(test)]
mod tests {
    use wire::frame::{GoAway, Ping};

    use super::*;

    #[test]
    fn what_is_written_is_counted_by_type_and_ends_by_code() {
        let mut traffic = Traffic::default();
        for frame in
            [Frame::Pong(Ping { token: 1 }), Frame::Pong(Ping { token: 2 }), Frame::GoAway(GoAway::of(Code::Busy))]
        {
            let mut bytes = Vec::new();
            wire::encode(&frame, &mut bytes);
            traffic.on_written(&bytes);
        }
        assert_eq!((traffic.sent.of(frame_type::PONG), traffic.sent.of(frame_type::GOAWAY)), (2, 1));
        assert_eq!((traffic.closed.of(Code::Busy), traffic.closed.total()), (1, 1));
    }
}
