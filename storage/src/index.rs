//! What is kept for each inbox, and where: per segment the last message, from which links lead back to the others.

use std::collections::{BTreeMap, VecDeque};

use wire::Id;

use crate::disk::Generation;
use crate::record::InboxNo;

/// The messages of one inbox in one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) generation: Generation,
    /// Where the last of them lies.
    pub(crate) last_offset: u32,
    pub(crate) first_id: Id,
    pub(crate) last_id: Id,
    /// How many links to follow, plus one.
    pub(crate) count: u32,
}

/// A message that a scan of its segment found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) id: Id,
    pub(crate) offset: u32,
    /// Its link.
    pub(crate) back: u32,
}

#[derive(Debug, Default)]
struct Inbox {
    /// Ascending in generation and id, no overlap.
    groups: VecDeque<Group>,
    /// Nobody wants anything up to here.
    floor: Id,
    /// The last message written, durable or not: what the next one of the same segment links to.
    tail: Option<(Generation, u32)>,
    /// Messages queued or under way.
    pending_count: u32,
    /// At least the newest id, durable or not: `groups.back().last_id <= newest`.
    newest: Id,
    /// crc32c of the user's name, as a guard against serving a stranger's message.
    user_crc: u32,
}

/// All inboxes that have a message, in 4 bytes for each number that has none.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// From an inbox's number to its place in `inboxes`, plus one; 0 is none.
    slots: Vec<u32>,
    inboxes: Vec<Inbox>,
    free: Vec<u32>,
}

/// How the number of groups in a segment changes.
pub(crate) type GroupCount<'a> = &'a mut dyn FnMut(Generation, i64);

impl Index {
    fn slot(&self, inbox: InboxNo) -> Option<usize> {
        let slot = *self.slots.get(usize::try_from(inbox.0).ok()?)?;
        usize::try_from(slot.checked_sub(1)?).ok()
    }

    fn find(&self, inbox: InboxNo) -> Option<&Inbox> {
        self.slot(inbox).map(|slot| &self.inboxes[slot])
    }

    fn find_mut(&mut self, inbox: InboxNo) -> Option<&mut Inbox> {
        self.slot(inbox).map(|slot| &mut self.inboxes[slot])
    }

    fn entry(&mut self, inbox: InboxNo, user_crc: u32) -> &mut Inbox {
        let number = usize::try_from(inbox.0).expect("a usize has at least 32 bits");
        if self.slots.len() <= number {
            self.slots.resize(number + 1, 0);
        }
        if self.slots[number] == 0 {
            let fresh = Inbox { user_crc, ..Inbox::default() };
            self.slots[number] = match self.free.pop() {
                Some(slot) => {
                    self.inboxes[usize::try_from(slot - 1).expect("as above")] = fresh;
                    slot
                }
                None => {
                    self.inboxes.push(fresh);
                    u32::try_from(self.inboxes.len()).expect("inbox numbers are 32 bits")
                }
            };
        }
        let slot = usize::try_from(self.slots[number] - 1).expect("as above");
        &mut self.inboxes[slot]
    }

    fn forget_if_empty(&mut self, inbox: InboxNo) {
        let Some(slot) = self.slot(inbox) else { return };
        if self.inboxes[slot].groups.is_empty() && self.inboxes[slot].pending_count == 0 {
            self.inboxes[slot] = Inbox::default();
            let number = usize::try_from(inbox.0).expect("a usize has at least 32 bits");
            self.free.push(self.slots[number]);
            self.slots[number] = 0;
        }
    }

    /// A message was queued.
    ///
    /// # Panics
    /// When it is not newer than all others of the inbox, or the inbox number stood for another user.
    pub(crate) fn queued(&mut self, inbox: InboxNo, user_crc: u32, id: Id) {
        let entry = self.entry(inbox, user_crc);
        assert_eq!(entry.user_crc, user_crc, "an inbox number stands for one user");
        assert!(entry.newest < id, "ids of an inbox go up: {id} after {}", entry.newest);
        entry.newest = id;
        entry.pending_count += 1;
    }

    /// A queued message gets its place; answers the offset it links back to, 0 for none.
    pub(crate) fn link(&mut self, inbox: InboxNo, generation: Generation, offset: u32) -> u32 {
        let entry = self.find_mut(inbox).expect("a queued message has an entry");
        match entry.tail.replace((generation, offset)) {
            Some((same, back)) if same == generation => back,
            _ => 0,
        }
    }

    /// A queued message is durable.
    pub(crate) fn durable(&mut self, inbox: InboxNo, group: Group, change: GroupCount<'_>) {
        let entry = self.find_mut(inbox).expect("a queued message has an entry");
        entry.pending_count -= 1;
        if group.last_id > entry.floor {
            entry.add(group, true, change);
        }
        self.forget_if_empty(inbox);
    }

    /// A queued message was refused; so is everything queued behind it.
    pub(crate) fn refused(&mut self, inbox: InboxNo, id: Id) {
        let entry = self.find_mut(inbox).expect("a queued message has an entry");
        entry.pending_count -= 1;
        entry.newest = entry.newest.min(Id(id.0 - 1));
        self.forget_if_empty(inbox);
    }

    /// A message that recovery found, and its link. One that is not newer than all others of the inbox could never be read in
    /// order, and is not kept: only a store that somebody put together from two can hold it.
    pub(crate) fn found(&mut self, inbox: InboxNo, user_crc: u32, group: Group, back: u32, change: GroupCount<'_>) {
        let entry = self.entry(inbox, user_crc);
        if entry.newest < group.last_id {
            // Where damage lies between the two, or the one before is not wanted, the link does not lead to it.
            let is_linked = entry.tail == Some((group.generation, back)) && back != 0;
            entry.tail = Some((group.generation, group.last_offset));
            entry.newest = group.last_id;
            entry.add(group, is_linked, change);
        }
    }

    /// The links of an inbox in a segment are broken: these are the messages that are left there, in their order.
    pub(crate) fn mend(&mut self, inbox: InboxNo, generation: Generation, found: &[Found], change: GroupCount<'_>) {
        let Some(entry) = self.find_mut(inbox) else { return };
        let start = entry.groups.partition_point(|group| group.generation < generation);
        let end = entry.groups.partition_point(|group| group.generation <= generation);
        let broken: Vec<Group> = entry.groups.drain(start..end).collect();
        let (Some(first), Some(last)) = (broken.first(), broken.last()) else { return };
        let mut mended: Vec<Group> = Vec::new();
        let wanted = found.iter().filter(|message| (first.first_id..=last.last_id).contains(&message.id));
        for &Found { id, offset, back } in wanted.filter(|message| message.id > entry.floor) {
            match mended.last_mut() {
                Some(group) if group.last_id < id && group.last_offset == back => {
                    (group.last_offset, group.last_id) = (offset, id);
                    group.count += 1;
                }
                Some(group) if group.last_id >= id => {}
                _ => mended.push(Group { generation, last_offset: offset, first_id: id, last_id: id, count: 1 }),
            }
        }
        change(generation, i64::try_from(mended.len()).expect("groups fit in memory"));
        change(generation, -i64::try_from(broken.len()).expect("groups fit in memory"));
        let behind = entry.groups.split_off(start);
        entry.groups.extend(mended);
        entry.groups.extend(behind);
        self.forget_if_empty(inbox);
    }

    /// Nobody wants anything up to and with `up_to`.
    pub(crate) fn release(&mut self, inbox: InboxNo, up_to: Id, change: GroupCount<'_>) {
        let Some(entry) = self.find_mut(inbox) else { return };
        entry.floor = entry.floor.max(up_to);
        while let Some(group) = entry.groups.front() {
            if group.last_id > entry.floor {
                break;
            }
            change(group.generation, -1);
            entry.groups.pop_front();
        }
        self.forget_if_empty(inbox);
    }

    /// The first group with something above `after`, and the checksum of the user's name.
    pub(crate) fn group_above(&self, inbox: InboxNo, after: Id) -> Option<(Group, u32)> {
        let entry = self.find(inbox)?;
        let at = entry.groups.partition_point(|group| group.last_id <= after);
        entry.groups.get(at).map(|group| (*group, entry.user_crc))
    }

    /// Nobody wants anything up to here, as far as the index still knows.
    pub(crate) fn floor(&self, inbox: InboxNo) -> Id {
        self.find(inbox).map_or(Id::NONE, |entry| entry.floor)
    }

    /// Inboxes that have a message, durable or on its way.
    pub(crate) fn inbox_count(&self) -> u64 {
        (self.inboxes.len() - self.free.len()) as u64
    }

    /// How many inboxes have something in each segment.
    pub(crate) fn inbox_counts(&self) -> BTreeMap<Generation, u32> {
        let mut counts = BTreeMap::new();
        for inbox in &self.inboxes {
            let mut last = None;
            for group in &inbox.groups {
                // Where links are broken, one inbox has several groups in a segment, side by side.
                if last.replace(group.generation) != Some(group.generation) {
                    *counts.entry(group.generation).or_default() += 1;
                }
            }
        }
        counts
    }

    /// Oldest, newest, count; the first and the last are bounds while the oldest group is released in part.
    pub(crate) fn span(&self, inbox: InboxNo) -> Option<(Id, Id, u32)> {
        let entry = self.find(inbox)?;
        let (first, last) = (entry.groups.front()?, entry.groups.back()?);
        let count = entry.groups.iter().fold(0u32, |sum, group| sum.saturating_add(group.count));
        Some((first.first_id.max(Id(entry.floor.0 + 1)), last.last_id, count))
    }
}

impl Inbox {
    fn add(&mut self, group: Group, is_linked: bool, change: GroupCount<'_>) {
        match self.groups.back_mut() {
            Some(last) if last.generation == group.generation && is_linked => {
                last.last_offset = group.last_offset;
                last.last_id = group.last_id;
                last.count += group.count;
            }
            _ => {
                change(group.generation, 1);
                if self.groups.is_empty() {
                    // Most users' backlog lies in one segment.
                    self.groups.reserve_exact(1);
                }
                self.groups.push_back(group);
            }
        }
    }
}
