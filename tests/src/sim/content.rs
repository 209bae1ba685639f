//! What a simulated message says: who wrote it and which of his it is, so that it is known wherever it turns up.

/// The model's name for a message, in its body: independent of every number that the gateway or the client gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The installation (a client's store, from its birth to its end) whose user wrote it.
    pub install: u16,
    /// Which of that installation's, from 1.
    pub seq: u32,
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "i{}#{}", self.install, self.seq)
    }
}

/// The shortest body: the key itself.
pub const BODY_LEN_MIN: usize = 6;

impl Key {
    /// A body of `len` bytes, [`BODY_LEN_MIN`] and up.
    pub fn body(self, len: usize) -> Vec<u8> {
        let mut body = Vec::with_capacity(len);
        body.extend_from_slice(&self.install.to_le_bytes());
        body.extend_from_slice(&self.seq.to_le_bytes());
        body.extend((BODY_LEN_MIN..len).map(|at| self.filler(at)));
        body
    }

    /// The key in a body, if the body is whole and unchanged.
    pub fn of(body: &[u8]) -> Option<Key> {
        let (head, filler) = body.split_first_chunk::<BODY_LEN_MIN>()?;
        let [a, b, c, d, e, f] = *head;
        let key = Key { install: u16::from_le_bytes([a, b]), seq: u32::from_le_bytes([c, d, e, f]) };
        let is_whole = filler.iter().zip(BODY_LEN_MIN..).all(|(byte, at)| *byte == key.filler(at));
        is_whole.then_some(key)
    }

    fn filler(self, at: usize) -> u8 {
        let mixed = u64::from(self.install) * 31 + u64::from(self.seq) * 7 + at as u64;
        mixed.to_le_bytes()[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_names_its_message_and_shows_a_change() {
        let key = Key { install: 513, seq: 70_000 };
        let mut body = key.body(40);
        assert_eq!(Key::of(&body), Some(key));
        body[20] ^= 1;
        assert_eq!(Key::of(&body), None);
    }
}
