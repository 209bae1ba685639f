//! Cuts a stream of bytes into frames. The length is checked before anything is kept or allocated for it.

use crate::{
    WireError,
    limits::{HEADER_LEN, PAYLOAD_LEN_MAX},
};

/// What stands at the beginning of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut<'a> {
    /// Not yet a whole frame: so many bytes are missing at least (as long as the header is not whole, only the header's count).
    Need(usize),
    /// A whole frame.
    Frame {
        /// The type byte.
        frame_type: u8,
        /// What follows the header.
        payload: &'a [u8],
        /// Bytes of the frame with its header: where the next one begins.
        len: usize,
    },
}

/// Looks at the beginning of `bytes`. Neither copies nor allocates, O(1).
///
/// # Errors
/// [`WireError::FrameTooLarge`] as soon as the header is there and announces more than `payload_len_max`.
pub fn cut(bytes: &[u8], payload_len_max: usize) -> Result<Cut<'_>, WireError> {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER_LEN>() else {
        return Ok(Cut::Need(HEADER_LEN - bytes.len()));
    };
    let [a, b, c, frame_type] = *header;
    let len = u32::from_le_bytes([a, b, c, 0]) as usize;
    if len > payload_len_max {
        return Err(WireError::FrameTooLarge { frame_type, len, max: payload_len_max });
    }
    Ok(match rest.get(..len) {
        Some(payload) => Cut::Frame { frame_type, payload, len: HEADER_LEN + len },
        None => Cut::Need(len - rest.len()),
    })
}

/// Keeps what came of a stream until it is whole frames. For a client: the gateway cuts its shared buffer with [`cut`].
///
/// Each byte is moved O(1) times on average, however the stream is chopped. It never holds more than one partial frame besides
/// what was pushed and not yet taken, and gives its memory back when it is empty.
#[derive(Debug)]
pub struct Deframer {
    buffer: Vec<u8>,
    /// Bytes taken already: `taken <= buffer.len()`.
    taken: usize,
    payload_len_max: usize,
}

impl Deframer {
    /// For frames of at most `payload_len_max` bytes of payload.
    pub fn new(payload_len_max: usize) -> Deframer {
        debug_assert!(payload_len_max <= PAYLOAD_LEN_MAX);
        Deframer { buffer: Vec::new(), taken: 0, payload_len_max }
    }

    /// Changes the limit, from the next frame on that [`Deframer::next`] cuts.
    pub fn set_payload_len_max(&mut self, payload_len_max: usize) {
        debug_assert!(payload_len_max <= PAYLOAD_LEN_MAX);
        self.payload_len_max = payload_len_max;
    }

    /// Adds what was read from the stream. Take every whole frame with [`Deframer::next`] before the next push: so an announced
    /// length is checked before the bytes it announces are kept.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.taken * 2 >= self.buffer.len() {
            // At least as many bytes were taken as are moved now.
            self.buffer.drain(..self.taken);
            self.taken = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame (its type byte and its payload), or `None` until more is pushed.
    ///
    /// # Errors
    /// [`WireError::FrameTooLarge`]; it comes again at each call, since nothing can be read behind such a header.
    #[expect(clippy::should_implement_trait, reason = "it lends: an Iterator's items may not borrow from it")]
    pub fn next(&mut self) -> Result<Option<(u8, &[u8])>, WireError> {
        if self.taken == self.buffer.len() && self.taken > 0 {
            self.buffer = Vec::new();
            self.taken = 0;
        }
        let bytes = self.buffer.get(self.taken..).expect("taken <= buffer.len()");
        Ok(match cut(bytes, self.payload_len_max)? {
            Cut::Need(_) => None,
            Cut::Frame { frame_type, payload, len } => {
                self.taken += len;
                Some((frame_type, payload))
            }
        })
    }

    /// Bytes kept: pushed and not yet taken as frames.
    pub fn pending_len(&self) -> usize {
        self.buffer.len() - self.taken
    }

    /// Bytes of memory held.
    pub fn capacity(&self) -> usize {
        self.buffer.capacity()
    }
}
