//! Looks on while recovery reads: counts what is there, and checks what recovery itself has no need to.

use std::collections::{BTreeMap, VecDeque};

use wire::{DeviceBuf, DeviceNo, Id, NameBuf};

use crate::batch::{BatchHeader, BatchKind};
use crate::chain::Link;
use crate::codec::to_u32;
use crate::disk::{File, Generation};
use crate::finding::{Finding, FindingKind};
use crate::layout::Decoded;
use crate::record::{InboxNo, Lsn, Record};
use crate::recovery::Unusable;
use crate::salvage;
use crate::segment::{BLOCK_LEN, BadBlock, HEADER_LEN, Header};
use crate::superblock::Superblock;
use crate::survey::{
    BatchCounts, BatchSight, Cause, Conclusion, Detail, FINDING_COUNT_MAX, RecordCounts, RecordSight, SegmentRole,
    SegmentView, Sight, SuperblockView, SurveyReport,
};

/// Who looks on.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) only: Option<Generation>,
    detail: Option<Detail>,
    pub(crate) report: SurveyReport,
    pub(crate) sights: Vec<Sight>,
    /// Every file with a segment's name, and its length.
    files: BTreeMap<Generation, u64>,
    /// Sound headers under a name that is not theirs: where, and whose.
    strangers: Vec<(Generation, Header)>,
    users: BTreeMap<NameBuf, User>,
    /// Messages of the segment being read, by offset: whose, and which.
    messages: Vec<(u32, InboxNo, Id)>,
    /// Where batches or records of the segment being read are damaged, a link may lead to none.
    pub(crate) is_damaged: bool,
    newest_id: Id,
    /// The number after the last record of the segment read last, if it is known for sure.
    end_lsn: Option<(Generation, Lsn)>,
}

/// What the log says of a user.
#[derive(Debug)]
struct User {
    inbox: InboxNo,
    newest: Id,
    /// The segment with a message of his that was read last.
    seen_in: Generation,
    devices: BTreeMap<DeviceNo, (DeviceBuf, Id)>,
    /// Up to here his inbox was deleted.
    deleted: Id,
}

impl Watch {
    pub(crate) fn new(only: Option<Generation>, detail: Option<Detail>) -> Watch {
        Watch {
            only,
            detail,
            report: SurveyReport::default(),
            sights: Vec::new(),
            files: BTreeMap::new(),
            strangers: Vec::new(),
            users: BTreeMap::new(),
            messages: Vec::new(),
            is_damaged: false,
            newest_id: Id::NONE,
            end_lsn: None,
        }
    }

    pub(crate) fn add(&mut self, finding: Finding) {
        if finding.kind == FindingKind::Damage {
            self.is_damaged = true;
            self.end_lsn = None;
        }
        if self.report.findings.len() < FINDING_COUNT_MAX {
            self.report.findings.push(finding);
        } else {
            self.report.findings_left_out += 1;
        }
    }

    fn note(&mut self, file: File, offset: u64, kind: FindingKind, text: impl Into<String>) {
        self.add(Finding { file, offset, kind, lost: None, text: text.into() });
    }

    pub(crate) fn on_refusal(&mut self, cause: Cause, reason: &str) {
        let has_finding = self.report.findings.iter().any(|finding| finding.kind.is_damage());
        if matches!(cause, Cause::Damaged | Cause::Foreign) && !has_finding {
            let kind = if cause == Cause::Foreign { FindingKind::Foreign } else { FindingKind::Superblock };
            self.note(File::Super, 0, kind, reason);
        }
        self.report.conclusion.get_or_insert(Conclusion::Refused { cause, reason: reason.to_owned() });
    }

    /// A segment file for which a start would refuse.
    pub(crate) fn on_unusable(&mut self, generation: Generation, offset: u32, unusable: Unusable) {
        let Unusable { cause, reason } = unusable;
        let kind = if cause == Cause::Misplaced { FindingKind::Misplaced } else { FindingKind::Foreign };
        self.note(File::Segment(generation), offset.into(), kind, reason.as_str());
        self.report.conclusion.get_or_insert(Conclusion::Refused { cause, reason });
    }

    /// Every write of a superblock raises the sequence by one and goes to the other block; all that it says lies in one sector,
    /// so that a power cut leaves it whole or not at all.
    pub(crate) fn on_superblocks(&mut self, bytes: &[u8], segment_count: usize) {
        let mut found = [None, None];
        let (mut is_zero, mut is_newer) = ([true; 2], false);
        for (at, block) in bytes.chunks(BLOCK_LEN).take(2).enumerate() {
            let decoded = Superblock::decode(block);
            is_newer |= decoded == Err(BadBlock::Newer);
            found[at] = decoded.ok();
            is_zero[at] = block.iter().all(|byte| *byte == 0);
        }
        self.report.superblocks = found.map(|block| block.map(|block| superblock_view(&block)));
        if is_newer || (found == [None, None] && segment_count == 0 && is_zero == [true; 2]) {
            return;
        }
        for at in [0, 1] {
            let (other, offset) = (found[1 - at], (at * BLOCK_LEN) as u64);
            match found[at] {
                Some(block) if block.offset() != offset => {
                    self.note(
                        File::Super,
                        offset,
                        FindingKind::Superblock,
                        "a superblock stands in the place of the other",
                    );
                }
                Some(block) if other.is_some_and(|other| other.sequence > block.sequence + 1) => {
                    let text = "a superblock is older than the one before the newest: a write to it was lost";
                    self.note(File::Super, offset, FindingKind::Superblock, text);
                }
                Some(_) => {}
                // The first of all is the one with sequence 1, and then the other one is still zero.
                None if is_zero[at] && other.is_some_and(|other| other.sequence == 1) => {}
                None if other.is_some() => {
                    let text = "a superblock is damaged; the other one stands, and a start writes this one anew";
                    self.note(File::Super, offset, FindingKind::Superblock, text);
                }
                None => {
                    let text = "a superblock is damaged, and so is the other one: the log cannot be used";
                    self.note(File::Super, offset, FindingKind::Superblock, text);
                }
            }
        }
    }

    pub(crate) fn on_header(&mut self, generation: Generation, file_len: u64, bytes: &[u8]) {
        self.files.insert(generation, file_len);
        let (mut own, mut other): (Option<Header>, Option<Header>) = (None, None);
        for (offset, block) in (0..).step_by(BLOCK_LEN).zip(bytes.chunks(BLOCK_LEN)) {
            let Ok(header) = Header::decode(block) else { continue };
            // A first write that was cut off leaves one block of an earlier use: recovery says when that is damage.
            if header.generation != generation {
                other = Some(header);
                continue;
            }
            if own.is_some_and(|own| own != header) {
                let text = "the two copies of the header say different things";
                self.note(File::Segment(generation), offset, FindingKind::Content, text);
            }
            own = Some(header);
        }
        if let (None, Some(other)) = (own, other) {
            self.strangers.push((generation, other));
        }
    }

    pub(crate) fn on_not_begun(&mut self, generation: Generation, len: u64) {
        let file = File::Segment(generation);
        self.report.spares.push((file, len));
        self.note(
            file,
            0,
            FindingKind::NotBegun,
            "this segment was never begun: it holds nothing, and will be used as a spare",
        );
    }

    pub(crate) fn on_spare(&mut self, file: File, len: u64) {
        self.report.spares.push((file, len));
    }

    /// Which files the log is.
    pub(crate) fn on_chain(&mut self, links: &mut VecDeque<Link>, surplus: &[File]) {
        for (generation, header) in std::mem::take(&mut self.strangers) {
            // A file is used again under a higher number, and its old name is gone by then. A lower one was told.
            if header.generation < generation && self.files.contains_key(&header.generation) {
                let own = File::Segment(header.generation);
                let text = format!("this file is {own}: it stands under another's name, or was copied there");
                self.note(File::Segment(generation), 0, FindingKind::Misplaced, text);
            }
        }
        for file in surplus {
            let is_told = self.report.spares.iter().any(|(spare, _)| spare == file);
            if let (File::Segment(generation), false) = (file, is_told) {
                let len = self.files.get(generation).copied().unwrap_or(0);
                self.report.spares.push((*file, len));
            }
        }
        let role = SegmentRole::Unread;
        self.report.segments = links.iter().map(|link| segment_view(link, role)).collect();
        if let Some(only) = self.only {
            links.retain(|link| link.generation == only);
        }
    }

    pub(crate) fn on_begin(&mut self, link: &Link, superblock: &Superblock) {
        self.messages.clear();
        self.is_damaged = false;
        let file = File::Segment(link.generation);
        if let Some(header) = link.header {
            if header.segment_len != link.len {
                let text = format!("the file has {} bytes, and was made with {}", link.len, header.segment_len);
                self.note(file, u64::from(link.len.min(header.segment_len)), FindingKind::Length, text);
            }
            if header.boot > superblock.boot {
                let text = format!(
                    "{file} was begun under boot {}, and the superblock knows {}",
                    header.boot, superblock.boot
                );
                self.note(File::Super, 0, FindingKind::StaleSuperblock, text);
            }
            match (header.previous, self.end_lsn) {
                (Some(previous), Some((generation, end_lsn)))
                    if previous.generation == generation && previous.end_lsn != end_lsn =>
                {
                    let said = previous.end_lsn.0;
                    let text = format!(
                        "it says that {} ends before LSN {said}: that one ends before {}",
                        File::Segment(generation),
                        end_lsn.0
                    );
                    self.note(file, 72, FindingKind::Chain, text);
                }
                _ => {}
            }
        }
        let of_superblock = (superblock.synced_generation == link.generation).then_some(superblock.synced_end);
        let synced = link.end.map(|end| end.end).into_iter().chain(of_superblock).max();
        if let Some(view) = self.view(link.generation) {
            view.synced = synced.unwrap_or(0).max(view.synced);
            view.end = HEADER_LEN;
            view.role = SegmentRole::Closed;
        }
    }

    pub(crate) fn on_batch(
        &mut self,
        link: &Link,
        header: &BatchHeader,
        offset: u32,
        batch: &[u8],
        is_sound: bool,
        seed: u32,
    ) {
        let generation = link.generation;
        let file = File::Segment(generation);
        if header.synced > offset {
            let text = format!("a batch says that {} bytes of the segment were durable before it", header.synced);
            self.note(file, offset.into(), FindingKind::Content, text);
        }
        let is_told = self.detail.is_some_and(|detail| offset >= detail.from && detail.batch_count_max > 0);
        if is_told {
            self.tell_batch(generation, header, offset, is_sound);
        }
        if let Some(view) = self.view(generation) {
            view.end = offset + header.len;
            view.synced = view.synced.max(header.synced);
            match header.kind {
                BatchKind::Data => view.batches.data += 1,
                BatchKind::Seal => view.batches.seal += 1,
                BatchKind::Attest => view.batches.attest += 1,
            }
        }
        // A type that this version does not know was refused before.
        let _ = salvage::records(batch, header.count, seed, |at, record| match record {
            Ok(found) => {
                let lsn = Lsn(header.first.0 + u64::from(found.index));
                self.on_record(generation, offset + to_u32(at), lsn, found, is_told);
            }
            Err(_) => self.is_damaged = true,
        });
    }

    fn tell_batch(&mut self, generation: Generation, header: &BatchHeader, offset: u32, is_sound: bool) {
        if let Some(detail) = &mut self.detail {
            detail.batch_count_max -= 1;
        }
        let kind = match header.kind {
            BatchKind::Data => "data",
            BatchKind::Seal => "seal",
            BatchKind::Attest => "attest",
        };
        let BatchHeader { len, count, synced, first, .. } = *header;
        self.sights.push(Sight::Batch(BatchSight { generation, offset, len, kind, count, synced, first, is_sound }));
    }

    fn on_record(&mut self, generation: Generation, offset: u32, lsn: Lsn, found: &Decoded<'_>, is_told: bool) {
        if is_told {
            let has_bodies = self.detail.is_some_and(|detail| detail.has_bodies);
            self.sights.push(Sight::Record(record_sight(offset, lsn, found, has_bodies)));
        }
        if let Some(view) = self.view(generation) {
            let first = view.lsns.map_or(lsn, |(first, _)| first);
            view.lsns = Some((first, lsn));
            match found.record {
                Record::Message(_) => view.records.message += 1,
                Record::Cursor { .. } => view.records.cursor += 1,
                Record::Device { .. } => view.records.device += 1,
                Record::Purge { .. } => view.records.purge += 1,
            }
        }
        match found.record {
            Record::Message(message) => {
                self.on_message(generation, offset, &message.user.into(), message.id, found.back);
            }
            Record::Cursor { user, device_no, id } => {
                if let Some((_, cursor)) = self.user(&user.into()).devices.get_mut(&device_no) {
                    *cursor = id.max(*cursor);
                }
            }
            Record::Device { user, device_no, device, cursor, .. } => {
                self.on_device(&user.into(), device_no, device.into(), cursor);
            }
            Record::Purge { user, device_no, is_all, confirmed, .. } => {
                let user = self.user(&user.into());
                user.devices.retain(|no, _| *no != device_no && !(is_all && *no < device_no));
                if is_all {
                    user.deleted = confirmed.max(user.deleted);
                }
            }
        }
    }

    fn on_message(&mut self, generation: Generation, offset: u32, user: &NameBuf, id: Id, back: u32) {
        let user = self.user(user);
        let (inbox, newest) = (user.inbox, user.newest);
        let is_first_here = user.seen_in != generation;
        (user.newest, user.seen_in) = (newest.max(id), generation);
        self.newest_id = self.newest_id.max(id);
        if is_first_here && let Some(view) = self.view(generation) {
            view.inbox_count += 1;
        }
        let file = File::Segment(generation);
        if id <= newest {
            let text = format!("message {id} stands behind message {newest} of the same inbox: it is never read");
            self.note(file, offset.into(), FindingKind::Order, text);
        }
        let target = self.messages.binary_search_by_key(&back, |(offset, ..)| *offset);
        let is_right = match target.ok().and_then(|at| self.messages.get(at)) {
            Some((_, owner, older)) => *owner == inbox && *older < id,
            // What it leads to may be what is damaged.
            None => back == 0 || (self.is_damaged && back < offset),
        };
        if !is_right {
            let text = format!("the link of message {id} leads to byte {back}, where no older message of its inbox is");
            self.note(file, offset.into(), FindingKind::Link, text);
        }
        self.messages.push((offset, inbox, id));
    }

    /// As the owner of the log takes it: a device written again keeps its higher cursor, one of the same name replaces it.
    fn on_device(&mut self, user: &NameBuf, device_no: DeviceNo, name: DeviceBuf, cursor: Id) {
        let devices = &mut self.user(user).devices;
        if let Some((_, known)) = devices.get_mut(&device_no) {
            *known = cursor.max(*known);
        } else if !devices.iter().any(|(no, (other, _))| *other == name && *no > device_no) {
            devices.retain(|_, (other, _)| *other != name);
            devices.insert(device_no, (name, cursor));
        }
    }

    pub(crate) fn on_end(&mut self, link: &Link, is_open: bool, is_sealed: bool, expected: Lsn) {
        let is_whole = !self.is_damaged;
        let is_closed = link.end.is_some_and(|end| end.poisoned);
        if let Some(view) = self.view(link.generation) {
            view.role = match (is_open, is_closed, is_sealed || view.batches.seal > 0) {
                (true, ..) => SegmentRole::Open,
                (false, false, true) => SegmentRole::Sealed,
                _ => SegmentRole::Closed,
            };
        }
        self.end_lsn = is_whole.then_some((link.generation, expected));
    }

    /// Ids come from below the reservation.
    pub(crate) fn check_reservation(&mut self, superblock: &Superblock) {
        if self.newest_id >= superblock.reserved_below && self.newest_id != Id::NONE {
            let text = format!(
                "message {} is in the log, and the superblock says that no id from {} on was given: it was put back from a copy, \
                 and ids could repeat",
                self.newest_id, superblock.reserved_below
            );
            self.note(File::Super, superblock.offset(), FindingKind::StaleSuperblock, text);
        }
    }

    /// What nobody wants any more of each inbox.
    pub(crate) fn floors(&self) -> Vec<(InboxNo, Id)> {
        let lowest = |user: &User| user.devices.values().map(|(_, cursor)| *cursor).min().unwrap_or(Id::NONE);
        let floor = |user: &User| lowest(user).max(user.deleted);
        self.users.values().map(|user| (user.inbox, floor(user))).collect()
    }

    pub(crate) fn inbox(&mut self, user: &NameBuf) -> InboxNo {
        self.user(user).inbox
    }

    fn user(&mut self, name: &NameBuf) -> &mut User {
        let next = InboxNo(to_u32(self.users.len()));
        if !self.users.contains_key(name) {
            let (newest, seen_in, devices, deleted) = (Id::NONE, Generation(0), BTreeMap::new(), Id::NONE);
            let user = User { inbox: next, newest, seen_in, devices, deleted };
            self.users.insert(name.clone(), user);
        }
        self.users.get_mut(name).expect("it was just made")
    }

    fn view(&mut self, generation: Generation) -> Option<&mut SegmentView> {
        let at = self.report.segments.binary_search_by_key(&generation, |view| view.generation).ok()?;
        self.report.segments.get_mut(at)
    }
}

fn superblock_view(block: &Superblock) -> SuperblockView {
    SuperblockView {
        sequence: block.sequence,
        boot: block.boot,
        reserved_below: block.reserved_below,
        synced_lsn: block.synced_lsn,
        synced_generation: block.synced_generation,
        synced_end: block.synced_end,
    }
}

fn segment_view(link: &Link, role: SegmentRole) -> SegmentView {
    SegmentView {
        generation: link.generation,
        file_len: link.len.into(),
        role,
        base: link.header.map(|header| header.base),
        boot: link.header.map(|header| header.boot),
        end: link.end.map_or(0, |end| end.end),
        synced: link.end.map_or(0, |end| end.end),
        lsns: None,
        batches: BatchCounts::default(),
        records: RecordCounts::default(),
        inbox_count: 0,
        live_inbox_count: None,
    }
}

fn record_sight(offset: u32, lsn: Lsn, found: &Decoded<'_>, has_bodies: bool) -> RecordSight {
    let (kind, user, fields, body) = match found.record {
        Record::Message(message) => {
            let fields = vec![
                ("id", message.id.0.into()),
                ("from", message.from.to_string().into()),
                ("to", message.to.to_string().into()),
                ("mid", message.mid.to_string().into()),
                ("flags", u64::from(message.flags.0).into()),
                ("kind", u64::from(message.kind).into()),
                ("link", u64::from(found.back).into()),
                ("body_len", (message.body.len() as u64).into()),
            ];
            ("message", message.user, fields, Some(message.body))
        }
        Record::Cursor { user, device_no, id } => {
            ("cursor", user, vec![("device_no", u64::from(device_no.0).into()), ("id", id.0.into())], None)
        }
        Record::Device { user, device_no, device, incarnation, cursor, highest, valid_from_us } => {
            let fields = vec![
                ("device_no", u64::from(device_no.0).into()),
                ("device", device.to_string().into()),
                ("incarnation", format!("{:016x}", incarnation.0).into()),
                ("cursor", cursor.0.into()),
                ("highest", u64::from(highest.0).into()),
                ("valid_from_us", valid_from_us.into()),
            ];
            ("device", user, fields, None)
        }
        Record::Purge { user, device_no, highest, is_all, confirmed, valid_from_us } => {
            let fields = vec![
                ("device_no", u64::from(device_no.0).into()),
                ("highest", u64::from(highest.0).into()),
                ("all", u64::from(is_all).into()),
                ("confirmed", confirmed.0.into()),
                ("valid_from_us", valid_from_us.into()),
            ];
            ("purge", user, fields, None)
        }
    };
    let body = body.filter(|_| has_bodies).map(Box::from);
    RecordSight { offset, len: found.len, lsn, kind, user: user.into(), fields, body }
}

#[cfg(test)]
mod tests {
    use wire::frame::SendFlags;
    use wire::{Mid, Name};

    use super::*;
    use crate::batch::BATCH_HEADER_LEN;
    use crate::layout;
    use crate::record::Message;

    const SEED: u32 = 5;
    const GENERATION: Generation = Generation(3);

    /// Watches a segment with one batch of these messages: whose, id, link. Gives kinds and offsets of what is said.
    fn findings(messages: &[(&str, u64, u32)], synced: u32) -> Vec<(FindingKind, u64)> {
        let mut batch = vec![0; BATCH_HEADER_LEN];
        for (index, (user, id, back)) in (0..).zip(messages) {
            let (start, user) = (batch.len(), Name::parse(user.as_bytes()).unwrap());
            let (mid, flags) = (Mid(*id), SendFlags(0));
            let message =
                Message { user, id: Id(*id), from: user, to: user, mid, flags, kind: 0, body: b"twelve bytes" };
            layout::encode(&Record::Message(message), &mut batch);
            layout::link(&mut batch[start..], *back);
            layout::finish(&mut batch[start..], index, SEED);
        }
        let count = u16::try_from(messages.len()).unwrap();
        let (kind, first) = (BatchKind::Data, Lsn(1));
        let header = BatchHeader { len: to_u32(batch.len()), generation: GENERATION, kind, count, synced, first };
        let link =
            Link { generation: GENERATION, header: None, bad_copy: None, len: 65_536, end: None, is_newest: true };
        let mut watch = Watch::new(None, None);
        watch.on_chain(&mut VecDeque::from([link]), &[]);
        watch.on_batch(&link, &header, HEADER_LEN, &batch, true, SEED);
        watch.report.findings.iter().map(|finding| (finding.kind, finding.offset)).collect()
    }

    /// Where the first three messages of a user with a name of three letters lie.
    const PLACES: [u32; 3] = [8_224, 8_296, 8_368];

    #[test]
    fn links_to_the_message_before_and_to_none_are_right() {
        let [a, b, _] = PLACES;
        assert_eq!(findings(&[("bob", 1, 0), ("bob", 2, a), ("bob", 3, b)], 0), []);
        assert_eq!(findings(&[("bob", 1, 0), ("bob", 2, 0), ("ann", 1, 0)], 0), []);
    }

    #[test]
    fn a_link_that_leads_elsewhere_is_said_at_its_message() {
        let [a, b, c] = PLACES.map(u64::from);
        let said = |at| [(FindingKind::Link, at)];
        assert_eq!(findings(&[("bob", 1, 0), ("ann", 2, PLACES[0])], 0), said(b), "to another inbox");
        assert_eq!(findings(&[("bob", 1, 0), ("bob", 2, PLACES[0] + 8)], 0), said(b), "to no message");
        assert_eq!(findings(&[("bob", 1, 0), ("bob", 2, 0), ("bob", 3, PLACES[2])], 0), said(c), "to itself");
        assert_eq!(findings(&[("bob", 1, PLACES[1]), ("bob", 2, 0)], 0), said(a), "forward");
    }

    #[test]
    fn ids_that_do_not_go_up_are_said() {
        let found = findings(&[("bob", 7, 0), ("bob", 7, 0), ("ann", 1, 0)], 0);
        assert_eq!(found, [(FindingKind::Order, PLACES[1].into())]);
    }

    #[test]
    fn a_batch_that_knows_of_what_comes_after_it_is_said() {
        assert_eq!(findings(&[("bob", 1, 0)], HEADER_LEN), []);
        assert_eq!(findings(&[("bob", 1, 0)], HEADER_LEN + 8), [(FindingKind::Content, HEADER_LEN.into())]);
    }
}
