//! What a message of a run says: which one it is, when it was meant to leave, and a checksum over everything.

/// The head of a body, little-endian, in this order; filler follows, which the checksum covers too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Body {
    /// Of the [`Scenario`](crate::scenario::Scenario).
    pub(crate) run: u64,
    /// When it was meant to leave, on the monotonic clock of the machine.
    pub(crate) intended_ns: u64,
    /// Index of the user who sends it.
    pub(crate) sender: u32,
    /// Index of the user whom it is for.
    pub(crate) recipient: u32,
    /// The sender's own number for it, from 0: it goes up in each of his conversations, and over all of them it has no gap.
    pub(crate) number: u32,
}

/// Bytes of the shortest body: the head and its checksum.
pub(crate) const BODY_LEN_MIN: usize = 32;

impl Body {
    /// Writes `len` bytes, [`BODY_LEN_MIN`] and up, over what `out` held.
    pub(crate) fn write(&self, len: usize, out: &mut Vec<u8>) {
        debug_assert!(len >= BODY_LEN_MIN);
        out.clear();
        out.extend_from_slice(&self.run.to_le_bytes());
        out.extend_from_slice(&self.intended_ns.to_le_bytes());
        out.extend_from_slice(&self.sender.to_le_bytes());
        out.extend_from_slice(&self.recipient.to_le_bytes());
        out.extend_from_slice(&self.number.to_le_bytes());
        let filler = self.number.to_le_bytes()[0];
        out.resize(len - size_of::<u32>(), filler);
        out.extend_from_slice(&crc32c::crc32c(out).to_le_bytes());
    }

    /// The head of a body that is whole: its checksum is right. `None` otherwise.
    pub(crate) fn read(bytes: &[u8]) -> Option<Body> {
        let (covered, crc) = bytes.split_last_chunk()?;
        if crc32c::crc32c(covered) != u32::from_le_bytes(*crc) {
            return None;
        }
        let (run, rest) = covered.split_first_chunk()?;
        let (intended_ns, rest) = rest.split_first_chunk()?;
        let (sender, rest) = rest.split_first_chunk()?;
        let (recipient, rest) = rest.split_first_chunk()?;
        let (number, _filler) = rest.split_first_chunk()?;
        Some(Body {
            run: u64::from_le_bytes(*run),
            intended_ns: u64::from_le_bytes(*intended_ns),
            sender: u32::from_le_bytes(*sender),
            recipient: u32::from_le_bytes(*recipient),
            number: u32::from_le_bytes(*number),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: Body = Body { run: 1, intended_ns: 2, sender: 3, recipient: 4, number: 5 };

    #[test]
    fn what_is_written_is_read() {
        let mut bytes = Vec::new();
        for len in [BODY_LEN_MIN, 33, 100, 60_000] {
            BODY.write(len, &mut bytes);
            assert_eq!(bytes.len(), len);
            assert_eq!(Body::read(&bytes), Some(BODY));
        }
    }

    #[test]
    fn a_changed_byte_or_a_cut_is_noticed() {
        let mut bytes = Vec::new();
        BODY.write(50, &mut bytes);
        for len in 0..50 {
            assert_eq!(Body::read(&bytes[..len]), None);
        }
        for index in 0..50 {
            bytes[index] ^= 0x10;
            assert_eq!(Body::read(&bytes), None, "byte {index}");
            bytes[index] ^= 0x10;
        }
        assert_eq!(Body::read(&bytes), Some(BODY));
    }
}
