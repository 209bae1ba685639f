//! Records as bytes.

use wire::frame::SendFlags;
use wire::{Device, DeviceNo, Id, Incarnation, Mid, Name};

use crate::codec::{aligned, put, to_u32, to_usize, u8_at, u16_at, u32_at, u64_at};
use crate::record::{Message, Record, StoredMessage};

/// Bytes every record begins with: crc32c, length, type, length of the user's name, flags, number within the batch.
const COMMON_LEN: usize = 16;
/// No record is longer: a body of 64 KiB, three names, and as much again.
pub(crate) const RECORD_LEN_MAX: usize = 128 * 1024;
const MESSAGE_LEN: usize = COMMON_LEN + 32;
const CURSOR_LEN: usize = COMMON_LEN + 16;
const DEVICE_LEN: usize = COMMON_LEN + 40;
const PURGE_LEN: usize = COMMON_LEN + 24;

const MESSAGE: u8 = 1;
const CURSOR: u8 = 2;
const DEVICE: u8 = 3;
const PURGE: u8 = 4;
// 5 receipt, 6 membership, 7 body shared by several entries, 8 entry of a shared body: reserved.

/// Bytes a message takes in a batch; `len` is that of its names and body.
pub(crate) fn message_len(len: usize) -> usize {
    aligned(MESSAGE_LEN + len)
}

/// Bytes a record takes in a batch.
pub(crate) fn record_len(record: &Record<'_>) -> usize {
    let text = |name: &Name<'_>| name.as_str().len();
    match record {
        Record::Message(message) => {
            message_len(text(&message.user) + text(&message.from) + text(&message.to) + message.body.len())
        }
        Record::Cursor { user, .. } => aligned(CURSOR_LEN + text(user)),
        Record::Device { user, device, .. } => aligned(DEVICE_LEN + text(user) + device.as_str().len()),
        Record::Purge { user, .. } => aligned(PURGE_LEN + text(user)),
    }
}

/// Appends a record, padded with zeros. Its back-link, number and checksum are [`finish`]ed when its place is known.
pub(crate) fn encode(record: &Record<'_>, out: &mut Vec<u8>) {
    let start = out.len();
    match record {
        Record::Message(message) => {
            begin(out, MESSAGE, message.user, MESSAGE_LEN);
            let fields = &mut out[start..];
            put(fields, 20, &[message.flags.0, message.kind, len_u8(message.from), len_u8(message.to)]);
            put(fields, 24, &message.id.0.to_le_bytes());
            put(fields, 32, &message.mid.0.to_le_bytes());
            out.extend_from_slice(message.user.as_str().as_bytes());
            out.extend_from_slice(message.from.as_str().as_bytes());
            out.extend_from_slice(message.to.as_str().as_bytes());
            out.extend_from_slice(message.body);
        }
        Record::Cursor { user, device_no, id } => {
            begin(out, CURSOR, *user, CURSOR_LEN);
            put(&mut out[start..], 16, &id.0.to_le_bytes());
            put(&mut out[start..], 24, &device_no.0.to_le_bytes());
            out.extend_from_slice(user.as_str().as_bytes());
        }
        Record::Device { user, device_no, device, incarnation, cursor, highest, valid_from_us } => {
            begin(out, DEVICE, *user, DEVICE_LEN);
            let fields = &mut out[start..];
            put(fields, 16, &incarnation.0.to_le_bytes());
            put(fields, 24, &cursor.0.to_le_bytes());
            put(fields, 40, &device_no.0.to_le_bytes());
            put(fields, 42, &highest.0.to_le_bytes());
            put(fields, 44, &[u8::try_from(device.as_str().len()).expect("a device's name has at most 32 bytes")]);
            put(fields, 48, &valid_from_us.to_le_bytes());
            out.extend_from_slice(user.as_str().as_bytes());
            out.extend_from_slice(device.as_str().as_bytes());
        }
        Record::Purge { user, device_no, highest, is_all, confirmed, valid_from_us } => {
            begin(out, PURGE, *user, PURGE_LEN);
            let fields = &mut out[start..];
            put(fields, 16, &device_no.0.to_le_bytes());
            put(fields, 18, &highest.0.to_le_bytes());
            put(fields, 20, &[u8::from(*is_all)]);
            put(fields, 24, &confirmed.0.to_le_bytes());
            put(fields, 32, &valid_from_us.to_le_bytes());
            out.extend_from_slice(user.as_str().as_bytes());
        }
    }
    let len = out.len() - start;
    put(&mut out[start..], 4, &to_u32(len).to_le_bytes());
    out.resize(start + aligned(len), 0);
}

fn begin(out: &mut Vec<u8>, kind: u8, user: Name<'_>, fixed_len: usize) {
    let start = out.len();
    out.resize(start + fixed_len, 0);
    put(&mut out[start..], 8, &[kind, len_u8(user)]);
}

fn len_u8(name: Name<'_>) -> u8 {
    u8::try_from(name.as_str().len()).expect("a name has at most 64 bytes")
}

/// The length of the record that [`encode`] put at the start of `bytes`, padding included.
pub(crate) fn encoded_len(bytes: &[u8]) -> usize {
    aligned(to_usize(u32_at(bytes, 4).expect("an encoded record has a length")))
}

/// Links the message that [`encode`] put at the start of `bytes` to the one before it in its inbox and segment.
pub(crate) fn link(bytes: &mut [u8], back: u32) {
    put(bytes, 16, &back.to_le_bytes());
}

/// Numbers the record that [`encode`] put at the start of `bytes` and computes its checksum.
pub(crate) fn finish(bytes: &mut [u8], index: u32, seed: u32) {
    put(bytes, 12, &index.to_le_bytes());
    let len = to_usize(u32_at(bytes, 4).expect("an encoded record has a length"));
    let crc = crc32c::crc32c_append(seed, &bytes[4..len]);
    put(bytes, 0, &crc.to_le_bytes());
}

/// A record that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decoded<'a> {
    pub(crate) record: Record<'a>,
    /// Bytes it takes, without padding.
    pub(crate) len: u32,
    /// Its number within its batch.
    pub(crate) index: u32,
    /// A message's link to the one before in its inbox and segment, 0 if none.
    pub(crate) back: u32,
}

/// Why bytes are no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadRecord {
    /// The rest of it is not in the bytes given: so many are needed, if its length is to be believed.
    Short(usize),
    /// The checksum does not match, or a field is out of range.
    Invalid,
    /// Sound, but of a type that this version does not know.
    Unknown,
}

/// Reads the record at the start of `bytes`.
pub(crate) fn decode(bytes: &[u8], seed: u32) -> Result<Decoded<'_>, BadRecord> {
    let len = u32_at(bytes, 4).ok_or(BadRecord::Short(COMMON_LEN))?;
    if to_usize(len) < COMMON_LEN || to_usize(len) > RECORD_LEN_MAX {
        return Err(BadRecord::Invalid);
    }
    let bytes = bytes.get(..to_usize(len)).ok_or(BadRecord::Short(to_usize(len)))?;
    if u32_at(bytes, 0) != Some(crc32c::crc32c_append(seed, &bytes[4..])) {
        return Err(BadRecord::Invalid);
    }
    let index = u32_at(bytes, 12).ok_or(BadRecord::Invalid)?;
    let user_len = usize::from(u8_at(bytes, 9).ok_or(BadRecord::Invalid)?);
    let (record, back) = match u8_at(bytes, 8) {
        Some(MESSAGE) => (message(bytes, user_len), u32_at(bytes, 16)),
        Some(CURSOR) => (cursor(bytes, user_len), Some(0)),
        Some(DEVICE) => (device(bytes, user_len), Some(0)),
        Some(PURGE) => (purge(bytes, user_len), Some(0)),
        _ => return Err(BadRecord::Unknown),
    };
    let record = record.ok_or(BadRecord::Invalid)?;
    Ok(Decoded { record, len, index, back: back.ok_or(BadRecord::Invalid)? })
}

fn message(bytes: &[u8], user_len: usize) -> Option<Record<'_>> {
    let (user, rest) = bytes.get(MESSAGE_LEN..)?.split_at_checked(user_len)?;
    let (from, rest) = rest.split_at_checked(usize::from(u8_at(bytes, 22)?))?;
    let (to, body) = rest.split_at_checked(usize::from(u8_at(bytes, 23)?))?;
    Some(Record::Message(Message {
        user: Name::parse(user).ok()?,
        id: Id(u64_at(bytes, 24)?),
        from: Name::parse(from).ok()?,
        to: Name::parse(to).ok()?,
        mid: Mid(u64_at(bytes, 32)?),
        flags: SendFlags(u8_at(bytes, 20)?),
        kind: u8_at(bytes, 21)?,
        body,
    }))
}

fn cursor(bytes: &[u8], user_len: usize) -> Option<Record<'_>> {
    Some(Record::Cursor {
        user: Name::parse(bytes.get(CURSOR_LEN..)?.get(..user_len)?).ok()?,
        device_no: DeviceNo(u16_at(bytes, 24)?),
        id: Id(u64_at(bytes, 16)?),
    })
}

fn device(bytes: &[u8], user_len: usize) -> Option<Record<'_>> {
    let (user, rest) = bytes.get(DEVICE_LEN..)?.split_at_checked(user_len)?;
    Some(Record::Device {
        user: Name::parse(user).ok()?,
        device_no: DeviceNo(u16_at(bytes, 40)?),
        device: Device::parse(rest.get(..usize::from(u8_at(bytes, 44)?))?).ok()?,
        incarnation: Incarnation(u64_at(bytes, 16)?),
        cursor: Id(u64_at(bytes, 24)?),
        highest: DeviceNo(u16_at(bytes, 42)?),
        valid_from_us: u64_at(bytes, 48)?,
    })
}

fn purge(bytes: &[u8], user_len: usize) -> Option<Record<'_>> {
    Some(Record::Purge {
        user: Name::parse(bytes.get(PURGE_LEN..)?.get(..user_len)?).ok()?,
        device_no: DeviceNo(u16_at(bytes, 16)?),
        highest: DeviceNo(u16_at(bytes, 18)?),
        is_all: match u8_at(bytes, 20)? {
            0 => false,
            1 => true,
            _ => return None,
        },
        confirmed: Id(u64_at(bytes, 24)?),
        valid_from_us: u64_at(bytes, 32)?,
    })
}

/// A message on its own bytes.
pub(crate) fn stored(message: &Message<'_>) -> StoredMessage {
    let (from, to) = (message.from.as_str().as_bytes(), message.to.as_str().as_bytes());
    StoredMessage {
        id: message.id,
        mid: message.mid,
        flags: message.flags,
        kind: message.kind,
        from_len: len_u8(message.from),
        to_len: len_u8(message.to),
        bytes: [from, to, message.body].concat().into_boxed_slice(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: u32 = 0x5eed;

    fn name(text: &str) -> Name<'_> {
        Name::parse(text.as_bytes()).unwrap()
    }

    fn one_of_each() -> [Record<'static>; 4] {
        let (user, device_no, highest) = (name("alice"), DeviceNo(3), DeviceNo(9));
        let (from, to, flags) = (name("bob"), name("#team"), SendFlags(SendFlags::URGENT));
        let (id, mid) = (Id(1_000), Mid(1 << 48 | 7));
        let device = Device::parse(b"phone").unwrap();
        [
            Record::Message(Message { user, id, from, to, mid, flags, kind: 2, body: b"hello" }),
            Record::Cursor { user, device_no, id },
            Record::Device {
                user,
                device_no,
                device,
                incarnation: Incarnation(u64::MAX),
                cursor: id,
                highest,
                valid_from_us: 1 << 50,
            },
            Record::Purge { user, device_no, highest, is_all: true, confirmed: id, valid_from_us: 1 << 51 },
        ]
    }

    fn encoded(record: &Record<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(record, &mut bytes);
        if let Record::Message(_) = record {
            link(&mut bytes, 8_200);
        }
        finish(&mut bytes, 5, SEED);
        bytes
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        for record in one_of_each() {
            let bytes = encoded(&record);
            assert_eq!((bytes.len(), bytes.len() % 8), (record_len(&record), 0));
            let found = decode(&bytes, SEED).unwrap();
            assert_eq!((found.record, found.index), (record, 5));
            assert_eq!(found.back, if matches!(record, Record::Message(_)) { 8_200 } else { 0 });
        }
    }

    #[test]
    fn each_byte_counts() {
        for record in one_of_each() {
            let bytes = encoded(&record);
            let len = to_usize(decode(&bytes, SEED).unwrap().len);
            for at in 0..len {
                let mut bytes = bytes.clone();
                bytes[at] ^= 0x10;
                assert_ne!(decode(&bytes, SEED).map(|found| found.record), Ok(record), "byte {at}");
            }
        }
    }

    #[test]
    fn what_is_cut_off_asks_for_the_rest() {
        for record in one_of_each() {
            let bytes = encoded(&record);
            let len = to_usize(decode(&bytes, SEED).unwrap().len);
            for cut in 0..len {
                let needed = if cut < 8 { COMMON_LEN } else { len };
                assert_eq!(decode(&bytes[..cut], SEED), Err(BadRecord::Short(needed)), "cut at {cut}");
            }
        }
    }

    #[test]
    fn zeros_are_no_record() {
        for len in 16..100 {
            assert_eq!(decode(&vec![0; len], SEED), Err(BadRecord::Invalid));
        }
    }

    #[test]
    fn lengths_that_lie_under_a_sound_checksum_are_refused() {
        let [message, cursor, device, purge] = one_of_each();
        for (record, at) in [
            (message, 9),
            (message, 22),
            (message, 23),
            (cursor, 9),
            (device, 9),
            (device, 44),
            (purge, 9),
            (purge, 20),
        ] {
            let mut bytes = encoded(&record);
            bytes[at] = 0xff;
            finish(&mut bytes, 5, SEED);
            assert_eq!(decode(&bytes, SEED), Err(BadRecord::Invalid), "{record:?}, byte {at}");
        }
    }

    #[test]
    fn a_type_to_come_is_told_from_damage() {
        let mut bytes = encoded(&one_of_each()[0]);
        bytes[8] = 7;
        finish(&mut bytes, 5, SEED);
        assert_eq!(decode(&bytes, SEED), Err(BadRecord::Unknown));
    }
}
