//! A log, its disk, and an owner that does everything an owner may do, at random.

use std::collections::BTreeMap;

use gateway_tests::sim::disk::SimDisk;
use gateway_tests::sim::rng::Rng;
use storage::{
    AppendError, DiskOp, Fault, File, InboxNo, Log, LogConfig, LogEvent, LogState, Lsn, Message, Record, StoreId,
    StoredMessage,
};
use wire::frame::SendFlags;
use wire::{Device, DeviceNo, Id, Incarnation, Mid, Name};

use crate::model::{Entry, Fate, Found, Inbox, Model, Version, ensure};
use crate::surveyor::{self, Seen};

const INBOX_COUNT: usize = 5;
const SEGMENT_LEN: u32 = 64 * 1024;

/// How often things happened, so that a run shows what it covered.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tally(pub(crate) BTreeMap<&'static str, u64>);

impl Tally {
    pub(crate) fn count(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }
}

struct Reading {
    inbox: usize,
    after: Id,
    count_max: u32,
    /// Durable when it was asked.
    expected: Vec<Id>,
    is_bounded_by_len: bool,
}

/// One seed's run.
pub(crate) struct Driver<'a> {
    pub(crate) rng: Rng,
    pub(crate) disk: SimDisk,
    pub(crate) log: Log,
    pub(crate) model: Model,
    tally: &'a mut Tally,
    fault: Option<Fault>,
    ops: Vec<DiskOp>,
    events: Vec<LogEvent>,
    mono_us: u64,
    wall_us: u64,
    reserved_below: Id,
    is_ready: bool,
    /// Why the last recovery failed.
    unusable: Option<String>,
    found: Found,
    reads: BTreeMap<u64, Reading>,
    next_token: u64,
    next_version: u64,
    reclaiming: Option<Lsn>,
    /// What reads gave since this was last cleared.
    seen: Vec<Id>,
    /// What somebody saw who looked before the last start.
    surveyed: Seen,
    /// A bit was turned over: damage may be reported.
    is_damaged: bool,
    /// Nothing was under way when the last run ended.
    is_orderly: bool,
}

fn config() -> LogConfig {
    LogConfig {
        store: StoreId([7; 16]),
        shard: 1,
        shard_count: 4,
        segment_len: SEGMENT_LEN,
        queue_len_max: 32 * 1024,
        reserve_us: 5_000,
    }
}

fn user_name(inbox: usize) -> String {
    format!("user-{inbox}")
}

impl<'a> Driver<'a> {
    pub(crate) fn new(seed: u64, fault: Option<Fault>, tally: &'a mut Tally) -> Driver<'a> {
        let model = Model { inboxes: vec![Inbox::default(); INBOX_COUNT], ..Model::default() };
        Driver {
            rng: Rng::new(seed),
            disk: SimDisk::new(),
            log: Log::new(config()),
            model,
            tally,
            fault,
            ops: Vec::new(),
            events: Vec::new(),
            mono_us: 0,
            wall_us: 1_000_000,
            reserved_below: Id::NONE,
            is_ready: false,
            unusable: None,
            found: Found::default(),
            reads: BTreeMap::new(),
            next_token: 0,
            next_version: 0,
            reclaiming: None,
            seen: Vec::new(),
            surveyed: Seen::default(),
            is_damaged: false,
            is_orderly: false,
        }
    }

    /// Starts a log on what is there, until it is ready; it may be cut while it recovers, and start again.
    pub(crate) fn open(&mut self) -> Result<(), String> {
        loop {
            // A planted fault makes a log that is worth nothing to look at.
            if self.fault.is_none() {
                self.surveyed = surveyor::look(&self.disk, &config(), self.is_damaged)?;
            }
            self.begin();
            let patience = if self.rng.chance(1, 4) { self.rng.below(20) } else { u64::MAX };
            let mut step_count = 0;
            while !self.is_ready && self.unusable.is_none() && step_count < patience {
                ensure!(self.disk.pending() + self.ops.len() > 0, "recovery stands still");
                self.turn(1)?;
                step_count += 1;
            }
            if self.is_ready {
                return Ok(());
            }
            if let Some(reason) = self.unusable.take() {
                self.tally.count("unusable");
                ensure!(reason.contains("error"), "unusable: {reason}");
            } else {
                self.tally.count("crash in recovery");
            }
            self.disk.crash(&mut self.rng);
            self.is_orderly = false;
        }
    }

    fn begin(&mut self) {
        self.log = Log::new(config());
        self.fault.into_iter().for_each(|fault| self.log.plant(fault));
        self.ops.clear();
        self.events.clear();
        self.reads.clear();
        self.is_ready = false;
        self.found = Found::default();
        self.reclaiming = None;
        // The clock may be set back.
        self.wall_us = (self.wall_us + self.rng.below(20_000)).saturating_sub(self.rng.below(20_000));
        self.log.start(self.wall_us, &mut self.ops);
    }

    /// Hands operations to the disk and takes up to `count` completions.
    pub(crate) fn turn(&mut self, count: u64) -> Result<(), String> {
        self.ops.drain(..).for_each(|op| self.disk.submit(op));
        for _ in 0..count {
            self.mono_us += self.rng.below(300);
            self.wall_us += self.rng.below(300);
            let Some(done) = self.disk.complete_one(&mut self.rng) else { break };
            self.log.on_done(self.mono_us, done, &mut self.ops, &mut self.events);
            self.take_events()?;
        }
        if self.is_ready {
            self.go_on_reclaiming();
            self.log.commit(self.mono_us, &mut self.ops);
        }
        self.ops.drain(..).for_each(|op| self.disk.submit(op));
        self.take_events()
    }

    /// Everything that was begun ends, deadlines included.
    pub(crate) fn settle(&mut self) -> Result<(), String> {
        for _ in 0..10_000 {
            self.append_refused();
            self.turn(4)?;
            if self.disk.pending() == 0 && self.ops.is_empty() {
                match self.log.next_deadline() {
                    Some(at) => {
                        self.mono_us = self.mono_us.max(at);
                        self.log.on_tick(self.mono_us, &mut self.ops);
                    }
                    None if self.log.is_idle() => return self.check_status(),
                    None => {}
                }
            }
        }
        Err("the log never comes to rest".to_owned())
    }

    /// No more files wait to become segments than should, and the log counts what there is.
    fn check_status(&self) -> Result<(), String> {
        let is_spare = |(file, _): &&(File, u64)| matches!(file, File::Spare(_));
        let spare_count = self.disk.files().iter().filter(is_spare).count();
        ensure!(spare_count <= 2, "{spare_count} spares");
        let status = self.log.status();
        ensure!(status.queue_len == 0, "{} bytes wait in a log at rest", status.queue_len);
        let kept_count = self.model.inboxes.iter().filter(|inbox| inbox.is_kept()).count() as u64;
        ensure!(
            status.inbox_count == kept_count || self.is_damaged,
            "{} inboxes are counted, {kept_count} are kept",
            status.inbox_count
        );
        Ok(())
    }

    /// One thing that an owner, or fate, does.
    pub(crate) fn step(&mut self) -> Result<(), String> {
        if self.log.state() == LogState::ReadOnly && self.rng.chance(1, 10) {
            return self.crash();
        }
        match self.rng.below(100) {
            0..=34 => self.append_message(),
            35..=39 => self.append_state(),
            40..=44 => self.append_cursor(),
            45..=52 => self.read(),
            53..=58 => self.release(),
            59..=61 => self.pass_time(),
            62 => self.trouble(),
            63 if self.rng.chance(1, 3) => return self.crash(),
            64 if self.rng.chance(1, 6) => return self.restart(),
            _ => {
                let count = self.rng.below(4);
                return self.turn(count);
            }
        }
        self.take_events()
    }

    /// The process or the machine dies, and comes back.
    pub(crate) fn crash(&mut self) -> Result<(), String> {
        self.tally.count("crash");
        self.ops.drain(..).for_each(|op| self.disk.submit(op));
        self.disk.crash(&mut self.rng);
        self.open()
    }

    /// Comes to rest, ends, and starts again: nothing is torn.
    fn restart(&mut self) -> Result<(), String> {
        self.disk.faults = Default::default();
        self.settle()?;
        if self.log.state() == LogState::ReadOnly {
            return Ok(());
        }
        self.tally.count("restart");
        self.disk.kill(&mut self.rng);
        self.is_orderly = true;
        self.open()
    }

    /// Stops in good order, has one bit turned over, and starts again: what is missing must be said to be.
    pub(crate) fn rot(&mut self) -> Result<(), String> {
        self.disk.faults = Default::default();
        if self.log.state() == LogState::ReadOnly {
            self.crash()?;
        }
        self.settle()?;
        let files = self.disk.files();
        let (file, len) = files[self.rng.index(files.len())];
        if len == 0 {
            return Ok(());
        }
        // Mostly where something is written.
        let content = self.disk.content(file).expect("it is listed");
        let used_len = content.len() - content.iter().rev().take_while(|byte| **byte == 0).count();
        let byte = self.rng.index(if used_len > 0 { used_len } else { content.len() });
        let bit = u8::try_from(self.rng.below(8)).expect("a bit");
        self.disk.flip(file, byte, bit);
        self.is_damaged = matches!(file, File::Segment(_));
        self.tally.count(if self.is_damaged { "flip in a segment" } else { "flip elsewhere" });
        if self.rng.chance(1, 2) {
            self.read_everything()?;
        }
        self.disk.kill(&mut self.rng);
        self.open()
    }

    /// Everything kept is read, but for what the log says is damaged.
    fn read_everything(&mut self) -> Result<(), String> {
        self.found.lost.clear();
        for inbox in 0..INBOX_COUNT {
            self.seen.clear();
            let mut after = Id::NONE;
            loop {
                self.read_from(inbox, after, 7, u32::MAX);
                while !self.reads.is_empty() {
                    self.turn(1)?;
                }
                match self.seen.last() {
                    Some(last) if *last > after => after = *last,
                    _ => break,
                }
            }
            let Inbox { entries, floor } = &mut self.model.inboxes[inbox];
            for entry in entries.iter_mut().filter(|entry| entry.id > *floor && entry.fate == Fate::Durable) {
                let is_lost = self.found.lost.iter().any(|(first, end)| (*first..*end).contains(&entry.lsn));
                ensure!(is_lost || self.seen.contains(&entry.id), "{} ({:?}) is not read", entry.id, entry.lsn);
                if is_lost {
                    self.tally.count("lost while running");
                    // The segment may go without it.
                    entry.fate = Fate::Withdrawn;
                }
            }
        }
        Ok(())
    }

    fn given_id(&mut self) -> Option<Id> {
        let id = Id((self.model.last_given.0 + 1 + self.rng.below(3)).max(self.wall_us));
        if id >= self.reserved_below {
            self.log.reserve(Id(id.0 + 5_000), &mut self.ops);
        }
        // Beyond the reservation, ids go on at the last one plus one.
        let id = if id < self.reserved_below { id } else { Id(self.model.last_given.0 + 1) };
        (id < self.reserved_below).then_some(id)
    }

    fn append_message(&mut self) {
        let inbox = self.rng.index(INBOX_COUNT);
        self.append_refused();
        if self.model.refused_entry(inbox).is_some() {
            return;
        }
        let Some(id) = self.given_id() else { return };
        let len = match self.rng.below(20) {
            0 => self.rng.below(20_000),
            1..=5 => self.rng.below(2_000),
            _ => self.rng.below(200),
        };
        let fill = u8::try_from(self.rng.below(256)).expect("a byte");
        let body = vec![fill; usize::try_from(len).expect("a length")];
        let names_len = 3 * user_name(inbox).len();
        let expected = self.log.can_append(names_len + body.len());
        let taken = append(&mut self.log, inbox, id, &body);
        assert_eq!(taken.map(|_| ()), expected, "can_append says what append does");
        match taken {
            Ok(lsn) => {
                self.model.last_given = id;
                self.model.inboxes[inbox].entries.push(Entry { id, body, lsn, fate: Fate::Queued });
            }
            Err(error) => self.tally.count(refusal(error)),
        }
    }

    /// What was refused goes first, in its order.
    fn append_refused(&mut self) {
        for inbox in 0..INBOX_COUNT {
            while let Some(entry) = self.model.refused_entry(inbox) {
                let Ok(lsn) = append(&mut self.log, inbox, entry.id, &entry.body) else { return };
                (entry.lsn, entry.fate) = (lsn, Fate::Queued);
            }
        }
    }

    fn append_state(&mut self) {
        let key = self.any_key();
        self.next_version += 1;
        let version = self.rng.chance(3, 4).then_some(self.next_version);
        self.append_version(key, version);
    }

    fn append_version(&mut self, key: (usize, u16), version: Version) {
        let name = user_name(key.0);
        let user = Name::parse_user(name.as_bytes()).expect("a name");
        let device_no = DeviceNo(key.1);
        let record = match version {
            Some(version) => Record::Device {
                user,
                device_no,
                device: Device::parse(b"phone").expect("a name"),
                incarnation: Incarnation(version),
                cursor: Id(version),
                highest: DeviceNo(3),
                valid_from_us: version,
            },
            None => Record::Purge {
                user,
                device_no,
                highest: DeviceNo(3),
                is_all: false,
                confirmed: Id::NONE,
                valid_from_us: 0,
            },
        };
        match self.log.append(InboxNo(u32::MAX), &record) {
            Ok(lsn) => self.model.states.entry(key).or_default().records.push((lsn, version, Fate::Queued)),
            Err(error) => self.tally.count(refusal(error)),
        }
    }

    fn append_cursor(&mut self) {
        let key = self.any_key();
        let last = self.model.states.entry(key).or_default().cursors.last().map_or(Id::NONE, |(_, id, _)| *id);
        let id = Id(last.0 + self.rng.below(3));
        self.append_cursor_at(key, id);
    }

    fn append_cursor_at(&mut self, key: (usize, u16), id: Id) {
        let name = user_name(key.0);
        let user = Name::parse_user(name.as_bytes()).expect("a name");
        let record = Record::Cursor { user, device_no: DeviceNo(key.1), id };
        if let Ok(lsn) = self.log.append(InboxNo(u32::MAX), &record) {
            self.model.states.entry(key).or_default().cursors.push((lsn, id, Fate::Queued));
        }
    }

    fn any_key(&mut self) -> (usize, u16) {
        (self.rng.index(INBOX_COUNT), u16::try_from(self.rng.range(1, 3)).expect("a number"))
    }

    fn read(&mut self) {
        let inbox = self.rng.index(INBOX_COUNT);
        let entries = &self.model.inboxes[inbox].entries;
        let after = match self.rng.below(3) {
            0 => Id::NONE,
            1 => self.model.inboxes[inbox].floor,
            _ if entries.is_empty() => Id(1),
            _ => entries[self.rng.index(entries.len())].id,
        };
        let count_max = u32::try_from(self.rng.range(1, 40)).expect("a count");
        let is_bounded_by_len = self.rng.chance(1, 3);
        let len_max =
            if is_bounded_by_len { u32::try_from(self.rng.below(3_000)).expect("a length") } else { u32::MAX };
        self.read_from(inbox, after, count_max, len_max);
    }

    fn read_from(&mut self, inbox: usize, after: Id, count_max: u32, len_max: u32) {
        let model = &self.model.inboxes[inbox];
        let durable = model.entries.iter().filter(|entry| entry.fate == Fate::Durable);
        let expected =
            durable.map(|entry| entry.id).filter(|id| *id > after.max(model.floor)).take(count_max as usize).collect();
        let token = self.next_token;
        self.next_token += 1;
        let is_bounded_by_len = len_max < u32::MAX;
        self.reads.insert(token, Reading { inbox, after, count_max, expected, is_bounded_by_len });
        let number = InboxNo(u32::try_from(inbox).expect("a number"));
        self.log.read(number, after, count_max, len_max, token, &mut self.ops, &mut self.events);
    }

    fn release(&mut self) {
        let number = self.rng.index(INBOX_COUNT);
        let inbox = &mut self.model.inboxes[number];
        if inbox.entries.is_empty() {
            return;
        }
        let last = inbox.entries.len() - 1;
        let index = if self.rng.chance(1, 3) { last } else { self.rng.index(last + 1) };
        // What was refused and is confirmed meanwhile is not appended again.
        inbox.floor = inbox.floor.max(inbox.entries[index].id);
        let floor = inbox.floor;
        let released = inbox.entries.iter_mut().filter(|entry| entry.id <= floor && entry.fate == Fate::Refused);
        released.for_each(|entry| entry.fate = Fate::Withdrawn);
        let inbox_no = InboxNo(u32::try_from(number).expect("a number"));
        self.log.release(inbox_no, floor, &mut self.ops, &mut self.events);
        if let Some((oldest, newest, count)) = self.log.span(inbox_no) {
            assert!(oldest > floor && newest >= oldest && count > 0, "{oldest} to {newest}, released {floor}");
        }
    }

    fn pass_time(&mut self) {
        self.mono_us += self.rng.below(20_000);
        self.wall_us += self.rng.below(20_000);
        if self.log.next_deadline().is_some_and(|at| at <= self.mono_us) {
            self.log.on_tick(self.mono_us, &mut self.ops);
        }
    }

    fn trouble(&mut self) {
        match self.rng.below(8) {
            0 => self.disk.faults.sync_failure_count = 1,
            1 if self.rng.chance(1, 4) => self.disk.faults.sync_failure_count = 2,
            2 => self.disk.faults.read_failure_count = 1,
            3 | 4 => {
                let used: u64 = self.disk.files().iter().map(|(_, len)| len).sum();
                self.disk.faults.space = Some(used + self.rng.below(2) * 65_536);
            }
            _ => self.disk.faults.space = None,
        }
    }

    fn take_events(&mut self) -> Result<(), String> {
        while !self.events.is_empty() {
            for event in std::mem::take(&mut self.events) {
                self.on_event(event)?;
            }
        }
        Ok(())
    }

    fn on_event(&mut self, event: LogEvent) -> Result<(), String> {
        match event {
            LogEvent::Durable { up_to } => self.model.on_durable(up_to)?,
            LogEvent::Refused { first, last, .. } => {
                self.tally.count("refused");
                self.model.on_refused(first, last)?;
            }
            LogEvent::Read { token, entries, error } => self.on_read(token, &entries, error.is_some())?,
            LogEvent::Reserved { below } => self.reserved_below = below,
            LogEvent::Reclaimable { below } => {
                ensure!(self.reclaiming.is_none_or(|last| last < below), "reclaimable below {below:?} again");
                self.tally.count("reclaimable");
                self.reclaiming = Some(below);
            }
            LogEvent::State(LogState::Full) => self.tally.count("full"),
            LogEvent::State(LogState::ReadOnly) => {
                self.tally.count("read-only");
                self.reclaiming = None;
            }
            LogEvent::State(_) => {}
            LogEvent::TornTail { file, offset } => {
                ensure!(!self.is_orderly, "{file} is torn at {offset}, and nothing was under way");
                self.tally.count("torn tail");
                self.surveyed.told_torn.push((file, offset));
            }
            LogEvent::Damage { file, offset, lost } => {
                ensure!(self.is_damaged, "damage of {file} at {offset}, and nothing was damaged");
                self.tally.count("damage");
                self.found.lost.push(lost);
                if !self.is_ready {
                    self.surveyed.told.push((file, offset));
                }
            }
            LogEvent::Unusable { reason } => self.unusable = Some(reason),
            LogEvent::Ready { boot, first_free, reserved_below } => self.on_ready(boot, first_free, reserved_below)?,
            found => self.on_found(found)?,
        }
        Ok(())
    }

    fn on_found(&mut self, event: LogEvent) -> Result<(), String> {
        let number = |user: &str| user["user-".len()..].parse::<usize>().expect("a user of ours");
        let lsn = match event {
            LogEvent::FoundMessage { user, message, place, lsn } => {
                let inbox = number(&user);
                self.log.place(InboxNo(u32::try_from(inbox).expect("a number")), place);
                self.found.inboxes.entry(inbox).or_default().push((message, lsn));
                lsn
            }
            LogEvent::FoundCursor { user, device_no, id, lsn } => {
                let cursor = self.found.cursors.entry((number(&user), device_no.0)).or_default();
                if id >= cursor.1 {
                    *cursor = (lsn, id);
                }
                lsn
            }
            LogEvent::FoundDevice { user, device_no, incarnation, lsn, .. } => {
                self.found.states.insert((number(&user), device_no.0), (lsn, Some(incarnation.0)));
                lsn
            }
            LogEvent::FoundPurge { user, device_no, lsn, .. } => {
                self.found.states.insert((number(&user), device_no.0), (lsn, None));
                lsn
            }
            other => return Err(format!("{other:?} is not expected")),
        };
        ensure!(lsn > self.found.last_lsn, "{lsn:?} is found after {:?}", self.found.last_lsn);
        self.found.last_lsn = lsn;
        Ok(())
    }

    fn on_ready(&mut self, boot: u64, first_free: Id, reserved_below: Id) -> Result<(), String> {
        ensure!(boot > self.model.boot, "boot {boot} after {}", self.model.boot);
        ensure!(first_free > self.model.last_given, "ids from {first_free}, given to {}", self.model.last_given);
        self.model.boot = boot;
        self.model.last_given = Id(first_free.0 - 1);
        self.reserved_below = reserved_below;
        self.is_ready = true;
        if self.fault.is_none() {
            self.surveyed.check()?;
        }
        self.model.on_recovered(&self.found)?;
        self.is_damaged = false;
        self.is_orderly = false;
        for (number, inbox) in self.model.inboxes.iter().enumerate() {
            let inbox_no = InboxNo(u32::try_from(number).expect("a number"));
            self.log.release(inbox_no, inbox.floor, &mut self.ops, &mut self.events);
        }
        Ok(())
    }

    fn on_read(&mut self, token: u64, entries: &[StoredMessage], has_failed: bool) -> Result<(), String> {
        let reading = self.reads.remove(&token).ok_or_else(|| format!("no read {token}"))?;
        let inbox = &self.model.inboxes[reading.inbox];
        let (after, floor) = (reading.after, inbox.floor);
        let mut known = inbox.entries.iter().filter(|entry| entry.fate == Fate::Durable && entry.id > after);
        for message in entries {
            // What is released meanwhile may be left out, and what is damaged.
            let entry = known.find(|entry| entry.id == message.id || (entry.id > floor && !self.is_damaged));
            let Some(entry) = entry.filter(|entry| entry.id == message.id) else {
                return Err(format!("inbox {}: read {}, not {entry:?}", reading.inbox, message.id));
            };
            let names_len = usize::from(message.from_len) + usize::from(message.to_len);
            ensure!(message.bytes[names_len..] == entry.body, "{} is read with another body", message.id);
        }
        ensure!(entries.len() <= reading.count_max as usize, "more entries than asked for");
        let missing = reading.expected.iter().find(|id| **id > floor && !entries.iter().any(|entry| entry.id == **id));
        self.seen.extend(entries.iter().map(|message| message.id));
        let may_end = has_failed || self.is_damaged || (reading.is_bounded_by_len && !entries.is_empty());
        ensure!(may_end || missing.is_none(), "inbox {}: {missing:?} is not read", reading.inbox);
        self.tally.count(if has_failed { "read failed" } else { "read" });
        Ok(())
    }

    /// Writes again what would go with the oldest segment, and lets it go.
    fn go_on_reclaiming(&mut self) {
        let Some(below) = self.reclaiming else { return };
        let keys: Vec<(usize, u16)> = self.model.states.keys().copied().collect();
        let mut is_done = true;
        for key in keys {
            let state = &self.model.states[&key];
            if let Some(&(lsn, version, fate)) = state.records.last() {
                is_done &= lsn >= below && fate == Fate::Durable;
                if lsn < below || fate == Fate::Refused {
                    self.append_version(key, version);
                }
            }
            let state = &self.model.states[&key];
            if let Some(&(lsn, id, fate)) = state.cursors.last() {
                is_done &= lsn >= below && fate == Fate::Durable;
                if lsn < below || fate == Fate::Refused {
                    self.append_cursor_at(key, id);
                }
            }
        }
        if is_done {
            self.reclaiming = None;
            self.model.forget_below(below);
            self.log.reclaim(below, &mut self.ops, &mut self.events);
        }
    }
}

fn append(log: &mut Log, inbox: usize, id: Id, body: &[u8]) -> Result<Lsn, AppendError> {
    let name = user_name(inbox);
    let user = Name::parse_user(name.as_bytes()).expect("a name");
    let message = Message { user, id, from: user, to: user, mid: Mid(id.0), flags: SendFlags(0), kind: 0, body };
    log.append(InboxNo(u32::try_from(inbox).expect("a number")), &Record::Message(message))
}

fn refusal(error: AppendError) -> &'static str {
    match error {
        AppendError::QueueFull => "queue full",
        AppendError::NoSpace => "no space",
        AppendError::ReadOnly => "cannot be written",
    }
}
