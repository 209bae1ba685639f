//! A place for each connection: dense numbers, used again, with a generation that tells the uses apart.

use gateway_core::ConnId;

use super::ring::GENERATION_BOUND;

/// Values by [`ConnId`]. Grows by fixed chunks, so that growth never moves what is there, and never shrinks.
pub(crate) struct Slab<T> {
    chunks: Vec<Box<[Slot<T>]>>,
    /// Head of the list of free places; `NONE` when all are used.
    free: u32,
    count: usize,
}

struct Slot<T> {
    generation: u32,
    content: Content<T>,
}

enum Content<T> {
    Free { next: u32 },
    Used(T),
}

impl<T> Slab<T> {
    /// An empty one; allocates nothing.
    pub(crate) fn new() -> Slab<T> {
        Slab { chunks: Vec::new(), free: NONE, count: 0 }
    }

    /// How many values it holds.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Keeps a value and names it.
    ///
    /// # Panics
    /// At 2^32 - 1 values.
    pub(crate) fn insert(&mut self, value: T) -> ConnId {
        if self.free == NONE {
            self.grow();
        }
        let index = self.free;
        let slot = self.slot_mut(index).expect("the free list names places of the slab");
        let Content::Free { next } = slot.content else { unreachable!("the free list names free places") };
        slot.content = Content::Used(value);
        let generation = slot.generation;
        self.free = next;
        self.count += 1;
        ConnId { index, generation }
    }

    /// The value of that name, if it is still there.
    pub(crate) fn get(&self, id: ConnId) -> Option<&T> {
        let (chunk, place) = locate(id.index);
        let slot = self.chunks.get(chunk)?.get(place)?;
        match &slot.content {
            Content::Used(value) if slot.generation == id.generation => Some(value),
            _ => None,
        }
    }

    /// As [`Slab::get`], to change it.
    pub(crate) fn get_mut(&mut self, id: ConnId) -> Option<&mut T> {
        let slot = self.slot_mut(id.index)?;
        match &mut slot.content {
            Content::Used(value) if slot.generation == id.generation => Some(value),
            _ => None,
        }
    }

    /// Takes the value out; its place may be used again, under the next generation.
    pub(crate) fn remove(&mut self, id: ConnId) -> Option<T> {
        self.get(id)?;
        let next = self.free;
        let slot = self.slot_mut(id.index)?;
        slot.generation = (slot.generation + 1) % GENERATION_BOUND;
        let content = std::mem::replace(&mut slot.content, Content::Free { next });
        self.free = id.index;
        self.count -= 1;
        match content {
            Content::Used(value) => Some(value),
            Content::Free { .. } => unreachable!("it was found a moment ago"),
        }
    }

    /// Every value.
    #[cfg(test)]
    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten().filter_map(|slot| match &slot.content {
            Content::Used(value) => Some(value),
            Content::Free { .. } => None,
        })
    }

    fn slot_mut(&mut self, index: u32) -> Option<&mut Slot<T>> {
        let (chunk, place) = locate(index);
        self.chunks.get_mut(chunk)?.get_mut(place)
    }

    fn grow(&mut self) {
        let chunk = u32::try_from(self.chunks.len()).expect("fewer than 2^32 connections");
        let first = chunk.checked_mul(CHUNK_LEN).expect("fewer than 2^32 connections");
        let slot = |place| Slot {
            generation: 0,
            content: Content::Free { next: if place + 1 == CHUNK_LEN { NONE } else { first + place + 1 } },
        };
        self.chunks.push((0..CHUNK_LEN).map(slot).collect());
        self.free = first;
    }
}

const CHUNK_LEN: u32 = 1024;
/// No place: a chunk that would hold it cannot be made.
const NONE: u32 = u32::MAX;

fn locate(index: u32) -> (usize, usize) {
    ((index / CHUNK_LEN) as usize, (index % CHUNK_LEN) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_good_for_one_use_of_its_place() {
        let mut slab = Slab::new();
        let a = slab.insert("a");
        assert_eq!(slab.remove(a), Some("a"));
        let b = slab.insert("b");
        assert_eq!(b.index, a.index);
        assert_eq!(slab.get(a), None);
        assert_eq!(slab.get_mut(a), None);
        assert_eq!(slab.remove(a), None);
        assert_eq!(slab.get(b), Some(&"b"));
    }

    #[test]
    fn it_grows_over_chunks_and_uses_every_place_again() {
        let mut slab = Slab::new();
        let ids: Vec<_> = (0..CHUNK_LEN * 2 + 1).map(|value| slab.insert(value)).collect();
        assert_eq!(slab.count(), ids.len());
        for (value, id) in (0..).zip(&ids) {
            assert_eq!(slab.get(*id), Some(&value));
        }
        for id in &ids {
            assert!(slab.remove(*id).is_some());
        }
        assert_eq!(slab.count(), 0);
        for value in 0..CHUNK_LEN * 3 {
            assert!(slab.insert(value).index < CHUNK_LEN * 3);
        }
        assert_eq!(slab.chunks.len(), 3);
    }
}
