//! What is written to connections: encoded once into the outputs' bytes, gathered where a turn has several.

use wire::frame::{ErrorInfo, GoAway, SendAck, SendAcks};
use wire::{Code, Frame};

use crate::event::{ConnId, Output, Outputs};
use crate::shard::Shard;

/// Encodes a frame and writes it to one connection.
pub(crate) fn write(out: &mut Outputs, conn: ConnId, frame: &Frame<'_>) {
    let encoded = encode(out, frame);
    write_again(out, conn, encoded);
}

/// Encodes a frame, for one connection or several.
pub(crate) fn encode(out: &mut Outputs, frame: &Frame<'_>) -> Encoded {
    let start = out.bytes.len();
    wire::encode(frame, &mut out.bytes);
    let short = |len: usize| u32::try_from(len).expect("a turn writes less than 4 GiB");
    Encoded { start: short(start), len: short(out.bytes.len() - start) }
}

/// Writes an encoded frame to one more connection.
pub(crate) fn write_again(out: &mut Outputs, conn: ConnId, Encoded { start, len }: Encoded) {
    out.list.push(Output::Write { conn, start, len });
}

/// Where an encoded frame stands in the outputs' bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Encoded {
    start: u32,
    len: u32,
}

/// ERROR: the connection stays.
pub(crate) fn write_error(out: &mut Outputs, conn: ConnId, code: Code, frame_type: u8) {
    let error = ErrorInfo { code: code.number(), frame_type, text: code.text() };
    write(out, conn, &Frame::Error(error));
}

/// GOAWAY and the end of the connection.
pub(crate) fn write_goaway(out: &mut Outputs, conn: ConnId, goaway: GoAway<'_>) {
    write(out, conn, &Frame::GoAway(goaway));
    out.list.push(Output::Close { conn });
}

impl Shard {
    /// Writes the turn's SEND_ACKs, one frame a connection.
    pub(crate) fn write_acks(&mut self, out: &mut Outputs) {
        // Stable: outcomes of one connection keep their order.
        self.acks.sort_by_key(|(conn, _)| *conn);
        let mut entries: Vec<SendAck> = Vec::with_capacity(self.acks.len().min(ACKS_PER_FRAME));
        let mut acks = self.acks.drain(..).peekable();
        while let Some((conn, ack)) = acks.next() {
            entries.push(ack);
            let is_last = acks.peek().is_none_or(|(next, _)| *next != conn);
            if is_last || entries.len() == ACKS_PER_FRAME {
                self.counters.acknowledged += entries.len() as u64;
                if self.sessions.get(conn).is_some() {
                    write(out, conn, &Frame::SendAck(SendAcks::List(&entries)));
                }
                entries.clear();
            }
        }
    }
}

/// As many as a device can have in flight.
const ACKS_PER_FRAME: usize = 64;
