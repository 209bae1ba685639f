//! Buffers that connections hold only while there is something in them.

use std::ops::{Deref, DerefMut};

/// Empty buffers, kept for the next who needs one.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    buffers: Vec<Vec<u8>>,
}

impl Pool {
    /// An empty buffer, perhaps without room yet.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        self.buffers.pop().unwrap_or_default()
    }

    /// Gives a buffer back. A large one, and one too many, is freed: the pool holds at most 4 MiB.
    pub(crate) fn put(&mut self, mut buffer: Vec<u8>) {
        if (1..=BUFFER_LEN_MAX).contains(&buffer.capacity()) && self.buffers.len() < BUFFER_COUNT_MAX {
            buffer.clear();
            self.buffers.push(buffer);
        }
    }
}

/// Bytes that are added at the end and taken from the front, in a buffer of the pool while there are any.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    buffer: Vec<u8>,
    /// Bytes taken: `taken < buffer.len()`, or both are 0.
    taken: usize,
}

impl Queue {
    /// Those bytes, in the memory they come in.
    pub(crate) fn of(buffer: Vec<u8>) -> Queue {
        Queue { buffer, taken: 0 }
    }

    /// Adds at the end. Each byte is moved O(1) times on average.
    pub(crate) fn push(&mut self, bytes: &[u8], pool: &mut Pool) {
        if self.buffer.capacity() == 0 {
            self.buffer = pool.take();
        } else if self.taken > self.buffer.len() / 2 {
            self.buffer.drain(..self.taken);
            self.taken = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Takes from the front.
    ///
    /// # Panics
    /// When it does not hold that much.
    pub(crate) fn take(&mut self, len: usize, pool: &mut Pool) {
        assert!(len <= self.len(), "no more is taken than was there");
        self.taken += len;
        if self.taken == self.buffer.len() {
            self.clear(pool);
        }
    }

    /// Takes everything.
    pub(crate) fn clear(&mut self, pool: &mut Pool) {
        self.taken = 0;
        if self.buffer.capacity() > 0 {
            pool.put(std::mem::take(&mut self.buffer));
        }
    }

    /// What it holds, in a buffer that begins with it.
    pub(crate) fn into_buffer(mut self) -> Vec<u8> {
        self.buffer.drain(..self.taken);
        self.buffer
    }
}

impl Deref for Queue {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.buffer.get(self.taken..).expect("taken <= buffer.len()")
    }
}

impl DerefMut for Queue {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.buffer.get_mut(self.taken..).expect("taken <= buffer.len()")
    }
}

/// Where everything is read and decrypted: one for all connections, so it stays in the cache.
pub(crate) struct Shared {
    /// `HEADROOM`, then what is read.
    bytes: Box<[u8]>,
    /// What records held, before it is cut into frames.
    pub(crate) plain: Vec<u8>,
}

impl Shared {
    /// The one of a reactor.
    pub(crate) fn new() -> Shared {
        Shared { bytes: vec![0; HEADROOM + READ_LEN].into_boxed_slice(), plain: Vec::new() }
    }

    /// To read into.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        self.bytes.get_mut(HEADROOM..).expect("it is longer than that")
    }

    /// What the last read brought, so many bytes, behind what was kept of an earlier one.
    ///
    /// # Panics
    /// When more than [`HEADROOM`] was kept.
    pub(crate) fn behind(&mut self, kept: &[u8], len: usize) -> &mut [u8] {
        let start = HEADROOM.checked_sub(kept.len()).expect("no more is kept than there is room for");
        let joined = self.bytes.get_mut(start..HEADROOM + len).expect("no more was read than there is room for");
        let (front, _) = joined.split_at_mut(kept.len());
        front.copy_from_slice(kept);
        joined
    }
}

/// Above the largest frame that clients may send by default, so that such a frame is seldom put together from parts.
pub(crate) const READ_LEN: usize = 64 * 1024;
/// The most that is kept of what came and cannot be decrypted yet: a TLS record, and parts of a handshake message before it.
pub(crate) const HEADROOM: usize = 32 * 1024;

/// What a coalesced turn's frames for one connection seldom exceed.
const BUFFER_LEN_MAX: usize = 4096;
const BUFFER_COUNT_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_leave_in_the_order_they_came() {
        let mut pool = Pool::default();
        let mut queue = Queue::default();
        let (mut pushed, mut taken) = (0u8, 0u8);
        for step in 0..1000usize {
            let bytes: Vec<u8> = (0..step % 7)
                .map(|_| {
                    pushed = pushed.wrapping_add(1);
                    pushed
                })
                .collect();
            queue.push(&bytes, &mut pool);
            for _ in 0..queue.len().min(step % 5) {
                taken = taken.wrapping_add(1);
                assert_eq!(queue[0], taken);
                queue.take(1, &mut pool);
            }
        }
        for byte in queue.into_buffer() {
            taken = taken.wrapping_add(1);
            assert_eq!(byte, taken);
        }
        assert_eq!(pushed, taken);
    }

    #[test]
    fn an_empty_queue_holds_no_memory_and_the_pool_is_bounded() {
        let mut pool = Pool::default();
        for len in [1, 100, BUFFER_LEN_MAX, BUFFER_LEN_MAX + 1, 1 << 20] {
            let mut queue = Queue::default();
            queue.push(&vec![1; len], &mut pool);
            queue.take(len, &mut pool);
            assert_eq!(queue.buffer.capacity(), 0);
        }
        assert!(pool.buffers.iter().all(|buffer| buffer.capacity() <= BUFFER_LEN_MAX));
        for _ in 0..BUFFER_COUNT_MAX * 2 {
            pool.put(vec![0; 10]);
        }
        assert!(pool.buffers.len() <= BUFFER_COUNT_MAX);
    }
}
