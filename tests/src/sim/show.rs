//! Frames, disk operations and envelopes in a few words, for the trace.

use gateway_core::Envelope;
use storage::{DiskOp, DiskOpKind};
use wire::Frame;
use wire::frame::{Deliver, Hello, Send, Welcome};

use super::content::Key;

/// A frame, with its message's key instead of its body.
pub fn frame(frame: &Frame<'_>) -> String {
    match frame {
        Frame::Send(Send { mid, span, to, body, .. }) => format!("Send {} as {mid} span {span} to {to}", content(body)),
        Frame::Deliver(Deliver { id, mid, from, to, body, .. }) => {
            format!("Deliver {} at {id} as {mid} from {from} to {to}", content(body))
        }
        Frame::Hello(Hello { user, device, incarnation, lowest_unresolved, highest_sent, last_id, credit, .. }) => {
            format!(
                "Hello {user}/{device} incarnation {incarnation} lowest {lowest_unresolved} highest {highest_sent} last id {last_id} {credit:?}"
            )
        }
        Frame::Welcome(Welcome { device_no, boot, head, oldest, .. }) => {
            format!("Welcome device_no {device_no} boot {boot} head {head} oldest {oldest}")
        }
        other => format!("{other:?}"),
    }
}

/// A disk operation, with a length instead of its bytes.
pub fn op(op: &DiskOp) -> String {
    match &op.kind {
        DiskOpKind::Write { file, offset, bytes, sync } => {
            let synced = if *sync { ", synced" } else { "" };
            format!("{:?} Write {file} at {offset}, {} bytes{synced}", op.id, bytes.len())
        }
        other => format!("{:?} {other:?}", op.id),
    }
}

/// An envelope, with its message's key instead of its body.
pub fn envelope(envelope: &Envelope) -> String {
    match envelope {
        Envelope::Message { parcel, .. } | Envelope::Ephemeral { parcel } => {
            let deliver = parcel.deliver(wire::Id::NONE);
            format!("message {} as {} from {} to {}", content(deliver.body), parcel.mid, deliver.from, deliver.to)
        }
        other => format!("{other:?}"),
    }
}

fn content(body: &[u8]) -> String {
    Key::of(body).map_or_else(|| format!("{} bytes", body.len()), |key| format!("{key} ({} bytes)", body.len()))
}
