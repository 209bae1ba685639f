//! Changes and states as the records of a store file. All integers are little-endian; names carry one byte of length.
//!
//! ```text
//! record   u32 len of payload | u32 crc32c of those four bytes and the payload | payload
//! payload  u8 kind | fields
//!    0  owner        name user | name device                              the first record, and only that
//!    1  base         u64 incarnation | u16 device_no (0: none) | u64 highest_sent | u64 last_id
//!    2  window       u64 highest | u64 below | key (to the end)
//!    3  waiting      u64 boot | queued
//!    4  unread       message
//!   16  incarnation  u64
//!   17  device_no    u16
//!   18  queued       u64 counter | u8 flags | u8 kind | name to | body (to the end)
//!   19  offered      u64 through | u64 boot
//!   20  resolved     u64 counter
//!   21  last id      u64
//!   22  received     u8 conversation (0: from, 1: to) | message
//!   23  moved        u64 mid | u64 id | name from
//!   24  read
//!   25  store        16 bytes
//!   26  ticket       ticket (to the end; empty: none)
//! message            u64 id | u64 mid | u8 flags | u8 kind | name from | name to | body (to the end)
//! ```
//!
//! 0 to 4, then 25 and 26, are what a rewritten file begins with: a state. From 16 on they are [`Change`]s.

use wire::frame::{Deliver, SendFlags};
use wire::{Counter, Device, DeviceNo, Id, Incarnation, Mid, Name};

use super::{Change, Ledger, Queued, SeenKey, State, Waiting, Window};
use crate::event::Received;

/// Bytes before a payload.
pub(super) const RECORD_HEAD_LEN: usize = 8;

/// A payload as it was written.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Record<'a> {
    Owner(Name<'a>, Device<'a>),
    Base(Ledger),
    Window(&'a [u8], Window),
    Waiting(Waiting),
    Unread(Received),
    Change(Parsed<'a>),
}

/// A change that owns what the file holds in another form.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed<'a> {
    Plain(Change<'a>),
    Received(Received, bool),
}

/// The owner's record: the beginning of every file.
pub(super) fn write_owner(user: Name<'_>, device: Device<'_>, out: &mut Vec<u8>) {
    record(out, 0, |out| {
        put_name(out, user.as_str());
        put_name(out, device.as_str());
    });
}

/// Everything a state is made of.
pub(super) fn write_state(state: &State, out: &mut Vec<u8>) {
    let ledger = &state.ledger;
    if let Some(incarnation) = ledger.incarnation {
        record(out, 1, |out| {
            put_u64(out, incarnation.0);
            out.extend_from_slice(&ledger.device_no.unwrap_or_default().0.to_le_bytes());
            put_u64(out, ledger.highest_sent.0);
            put_u64(out, ledger.last_id.0);
        });
    }
    for (key, window) in ledger.seen.iter() {
        record(out, 2, |out| {
            put_u64(out, window.highest.0);
            put_u64(out, window.below);
            out.extend_from_slice(key);
        });
    }
    for waiting in ledger.outbox.iter() {
        record(out, 3, |out| {
            put_u64(out, waiting.boot);
            put_queued(out, &waiting.queued());
        });
    }
    for unread in &state.unread {
        record(out, 4, |out| put_message(out, unread));
    }
    if let Some(store) = ledger.store {
        write_change(&Change::Store(store), out);
    }
    if let Some(ticket) = &ledger.ticket {
        write_change(&Change::Ticket(Some(&ticket.0)), out);
    }
}

/// One change.
pub(super) fn write_change(change: &Change<'_>, out: &mut Vec<u8>) {
    let kind = match change {
        Change::Incarnation(_) => 16,
        Change::DeviceNo(_) => 17,
        Change::Queued(_) => 18,
        Change::Offered { .. } => 19,
        Change::Resolved(_) => 20,
        Change::LastId(_) => 21,
        Change::Received { .. } => 22,
        Change::Moved { .. } => 23,
        Change::Read => 24,
        Change::Store(_) => 25,
        Change::Ticket(_) => 26,
    };
    record(out, kind, |out| match *change {
        Change::Incarnation(incarnation) => put_u64(out, incarnation.0),
        Change::DeviceNo(device_no) => out.extend_from_slice(&device_no.0.to_le_bytes()),
        Change::Queued(queued) => put_queued(out, &queued),
        Change::Offered { through, boot } => {
            put_u64(out, through.0);
            put_u64(out, boot);
        }
        Change::Resolved(counter) => put_u64(out, counter.0),
        Change::LastId(id) => put_u64(out, id.0),
        Change::Received { message, key } => {
            out.push(u8::from(key.conversation != message.from()));
            put_message(out, message);
        }
        Change::Moved { from, mid, id } => {
            put_u64(out, mid.0);
            put_u64(out, id.0);
            put_name(out, from.as_str());
        }
        Change::Read => {}
        Change::Store(store) => out.extend_from_slice(&store),
        Change::Ticket(ticket) => out.extend_from_slice(ticket.unwrap_or_default()),
    });
}

/// Takes the first record off `bytes`. `None`: there is no whole, undamaged record.
pub(super) fn take_record<'a>(bytes: &mut &'a [u8]) -> Option<Record<'a>> {
    let (head, rest) = bytes.split_first_chunk::<RECORD_HEAD_LEN>()?;
    let [a, b, c, d, crc @ ..] = *head;
    let len = [a, b, c, d];
    let (payload, rest) = rest.split_at_checked(u32::from_le_bytes(len) as usize)?;
    if crc32c::crc32c_append(crc32c::crc32c(&len), payload) != u32::from_le_bytes(crc) {
        return None;
    }
    let record = read(payload)?;
    *bytes = rest;
    Some(record)
}

impl Record<'_> {
    /// Makes it part of a state. False: it does not belong here.
    pub(super) fn apply(self, state: &mut State) -> bool {
        match self {
            Record::Owner(..) => return false,
            Record::Base(base) => state.ledger = base,
            Record::Window(key, window) => state.ledger.seen.insert_window(key, window),
            Record::Waiting(waiting) => state.ledger.outbox.push(waiting),
            Record::Unread(message) => state.unread.push_back(message),
            Record::Change(Parsed::Plain(change)) => state.apply(&change),
            Record::Change(Parsed::Received(message, is_to)) => {
                let key = SeenKey {
                    from: message.from(),
                    device_no: message.mid.device_no(),
                    conversation: if is_to { message.to() } else { message.from() },
                };
                state.apply(&Change::Received { message: &message, key });
            }
        }
        true
    }
}

fn read(payload: &[u8]) -> Option<Record<'_>> {
    let (kind, fields) = payload.split_first()?;
    let mut fields = Fields(fields);
    let record = match kind {
        0 => Record::Owner(Name::parse_user(fields.name()?).ok()?, Device::parse(fields.name()?).ok()?),
        1 => Record::Base(Ledger {
            incarnation: Some(Incarnation(fields.u64()?)),
            device_no: Some(DeviceNo(fields.u16()?)).filter(|no| *no != DeviceNo(0)),
            highest_sent: Counter(fields.u64()?),
            last_id: Id(fields.u64()?),
            ..Ledger::default()
        }),
        2 => {
            let window = Window { highest: Counter(fields.u64()?), below: fields.u64()? };
            Record::Window(fields.rest(), window)
        }
        3 => {
            let boot = fields.u64()?;
            Record::Waiting(Waiting::new(&fields.queued()?, boot))
        }
        4 => Record::Unread(fields.message()?),
        22 => {
            let is_to = fields.u8()? != 0;
            Record::Change(Parsed::Received(fields.message()?, is_to))
        }
        _ => Record::Change(Parsed::Plain(read_change(*kind, &mut fields)?)),
    };
    fields.0.is_empty().then_some(record)
}

fn read_change<'a>(kind: u8, fields: &mut Fields<'a>) -> Option<Change<'a>> {
    Some(match kind {
        16 => Change::Incarnation(Incarnation(fields.u64()?)),
        17 => Change::DeviceNo(DeviceNo(fields.u16()?)),
        18 => Change::Queued(fields.queued()?),
        19 => Change::Offered { through: Counter(fields.u64()?), boot: fields.u64()? },
        20 => Change::Resolved(Counter(fields.u64()?)),
        21 => Change::LastId(Id(fields.u64()?)),
        23 => Change::Moved {
            mid: Mid(fields.u64()?),
            id: Id(fields.u64()?),
            from: Name::parse_user(fields.name()?).ok()?,
        },
        24 => Change::Read,
        25 => Change::Store(fields.array()?),
        26 => Change::Ticket(Some(fields.rest()).filter(|ticket| !ticket.is_empty())),
        _ => return None,
    })
}

fn record(out: &mut Vec<u8>, kind: u8, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; RECORD_HEAD_LEN]);
    out.push(kind);
    write(out);
    let (head, payload) = out[start..].split_at_mut(RECORD_HEAD_LEN);
    let len = u32::try_from(payload.len()).expect("a message fits into a frame");
    let crc = crc32c::crc32c_append(crc32c::crc32c(&len.to_le_bytes()), payload);
    head[..4].copy_from_slice(&len.to_le_bytes());
    head[4..].copy_from_slice(&crc.to_le_bytes());
}

fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn put_name(out: &mut Vec<u8>, name: &str) {
    out.push(u8::try_from(name.len()).expect("a name has at most 64 bytes"));
    out.extend_from_slice(name.as_bytes());
}

fn put_queued(out: &mut Vec<u8>, queued: &Queued<'_>) {
    put_u64(out, queued.counter.0);
    out.extend_from_slice(&[queued.flags.0, queued.kind]);
    put_name(out, queued.to.as_str());
    out.extend_from_slice(queued.body);
}

fn put_message(out: &mut Vec<u8>, message: &Received) {
    put_u64(out, message.id.0);
    put_u64(out, message.mid.0);
    out.extend_from_slice(&[message.flags.0, message.kind]);
    put_name(out, message.from().as_str());
    put_name(out, message.to().as_str());
    out.extend_from_slice(message.body());
}

/// What is left of a payload.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn name(&mut self) -> Option<&'a [u8]> {
        let len = self.u8()?;
        let (name, rest) = self.0.split_at_checked(len.into())?;
        self.0 = rest;
        Some(name)
    }

    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    fn queued(&mut self) -> Option<Queued<'a>> {
        Some(Queued {
            counter: Counter(self.u64()?),
            flags: SendFlags(self.u8()?),
            kind: self.u8()?,
            to: Name::parse(self.name()?).ok()?,
            body: self.rest(),
        })
    }

    fn message(&mut self) -> Option<Received> {
        Some(Received::new(&Deliver {
            id: Id(self.u64()?),
            mid: Mid(self.u64()?),
            flags: SendFlags(self.u8()?),
            kind: self.u8()?,
            from: Name::parse_user(self.name()?).ok()?,
            to: Name::parse(self.name()?).ok()?,
            body: self.rest(),
        }))
    }
}
