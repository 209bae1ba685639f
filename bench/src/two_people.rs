//! Alice and Bob, who are online on the same shard.

use gateway_core::{ConnId, Grant, Input, Login, Now, Output, Outputs, Shard, ShardConfig};
use storage::StoreId;
use wire::frame::{Credit, Deliver, DeliverAck};
use wire::{Counter, Cut, Device, Frame, Id, Incarnation};

use crate::disk::InstantDisk;
use crate::{name, send_frame};

/// A shard with an instant disk, and its two sessions.
#[derive(Debug)]
pub struct TwoPeople {
    shard: Shard,
    disk: InstantDisk,
    now: Now,
    out: Outputs,
    sent: u64,
    /// DELIVERs that were written.
    pub delivered_count: u64,
    /// SEND_ACKs that were written.
    pub acked_count: u64,
}

const ALICE: ConnId = ConnId { index: 0, generation: 0 };
const BOB: ConnId = ConnId { index: 1, generation: 0 };

impl Default for TwoPeople {
    fn default() -> TwoPeople {
        let mut two = TwoPeople {
            shard: Shard::new(ShardConfig::new(0, 1, StoreId([7; 16]), [9; 16])),
            disk: InstantDisk::default(),
            now: Now { mono_us: 0, wall_us: 1_000_000_000 },
            out: Outputs::default(),
            sent: 0,
            delivered_count: 0,
            acked_count: 0,
        };
        two.shard.start(two.now, &mut two.out);
        two.perform();
        two.adopt(ALICE, "alice");
        two.adopt(BOB, "bob");
        two
    }
}

impl TwoPeople {
    /// Alice sends `count` messages in one turn, 1 to 64; Bob confirms the last of them in the next turn, and Alice is told that
    /// they are safe.
    pub fn relay(&mut self, count: u8, body: &[u8]) {
        for span in 0..count {
            self.sent += 1;
            let frame = send_frame(self.sent, span, "bob", body);
            self.handle(Input::Frame { conn: ALICE, frame });
        }
        let last_id = self.end_turn();
        self.handle(Input::Frame { conn: BOB, frame: Frame::DeliverAck(DeliverAck { id: last_id }) });
        self.end_turn();
    }

    fn adopt(&mut self, conn: ConnId, user: &str) {
        let login = Login {
            user: name(user).into(),
            device: Device::parse(b"phone").expect("a good name").into(),
            incarnation: Incarnation(1),
            lowest_unresolved: Counter(1),
            highest_sent: Counter(0),
            last_id: Id::NONE,
            credit: Credit { entries: 256, bytes: 1 << 20 },
            version: 1,
            features: 0,
            grant: Grant::default(),
        };
        self.handle(Input::Adopt { conn, login: Box::new(login) });
        self.end_turn();
    }

    fn handle(&mut self, input: Input<'_>) {
        self.shard.handle(self.now, input, &mut self.out);
    }

    /// Tells the last id that was delivered.
    fn end_turn(&mut self) -> Id {
        self.handle(Input::TurnEnd);
        self.now = Now { mono_us: self.now.mono_us + TURN_US, wall_us: self.now.wall_us + TURN_US };
        if self.shard.next_deadline().is_some_and(|at_us| at_us <= self.now.mono_us) {
            self.handle(Input::Tick);
        }
        self.perform()
    }

    fn perform(&mut self) -> Id {
        let mut last_id = Id::NONE;
        while !self.out.list.is_empty() {
            let mut out = std::mem::take(&mut self.out);
            let list = std::mem::take(&mut out.list);
            for output in list {
                match output {
                    Output::Write { start, len, .. } => {
                        last_id = self.read(out.frames(start, len)).unwrap_or(last_id);
                    }
                    Output::Disk(op) => {
                        let done = self.disk.perform(op);
                        self.handle(Input::Disk(done));
                    }
                    _ => {}
                }
            }
            if self.out.list.is_empty() {
                out.clear();
                self.out = out;
            }
        }
        last_id
    }

    /// As little as a client must know: how many messages and acknowledgements came, and the last id.
    fn read(&mut self, mut bytes: &[u8]) -> Option<Id> {
        let mut last_id = None;
        while let Ok(Cut::Frame { frame_type, payload, len }) = wire::cut(bytes, usize::MAX) {
            match wire::decode(frame_type, payload) {
                Ok(Some(Frame::Deliver(Deliver { id, .. }))) => {
                    self.delivered_count += 1;
                    last_id = Some(id);
                }
                Ok(Some(Frame::SendAck(acks))) => self.acked_count += acks.iter().count() as u64,
                _ => {}
            }
            bytes = bytes.get(len..).unwrap_or_default();
        }
        last_id
    }
}

/// What passes between two turns, in microseconds: a busy shard's turn.
const TURN_US: u64 = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_is_delivered_and_acknowledged() {
        let mut two = TwoPeople::default();
        for count in [1, 64, 7] {
            two.relay(count, &[7; 100]);
        }
        assert_eq!((two.delivered_count, two.acked_count), (72, 72));
    }
}
