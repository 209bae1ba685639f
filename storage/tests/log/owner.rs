//! A log with a disk that does as it is told, and an owner who knows his inboxes.

use std::collections::{BTreeMap, VecDeque};

use storage::{
    AppendError, DiskData, DiskDone, DiskError, DiskOp, DiskOpKind, File, Generation, InboxNo, Log, LogConfig,
    LogEvent, Lsn, Message, Record, StoreId, StoredMessage,
};
use wire::frame::SendFlags;
use wire::{DeviceNo, Id, Mid, Name};

pub(crate) const SEGMENT_LEN: u32 = 64 * 1024;

pub(crate) fn config() -> LogConfig {
    LogConfig {
        store: StoreId(*b"0123456789abcdef"),
        shard: 1,
        shard_count: 4,
        segment_len: SEGMENT_LEN,
        queue_len_max: 256 * 1024,
        reserve_us: 1_000_000,
    }
}

/// Which operations fail, and how.
pub(crate) struct Failing(Box<Judge>);

type Judge = dyn Fn(&DiskOpKind) -> Option<DiskError>;

impl Default for Failing {
    fn default() -> Failing {
        Failing(Box::new(|_| None))
    }
}

/// Files in memory; everything works at once and in order, unless `fails` says otherwise.
#[derive(Default)]
pub(crate) struct Disk {
    pub(crate) files: BTreeMap<File, Vec<u8>>,
    pub(crate) fails: Failing,
    pub(crate) done: Vec<DiskOpKind>,
}

impl Disk {
    pub(crate) fn perform(&mut self, kind: &DiskOpKind) -> Result<DiskData, DiskError> {
        self.done.push(kind.clone());
        if let Some(error) = (self.fails.0)(kind) {
            return Err(error);
        }
        match kind {
            DiskOpKind::List => {
                return Ok(DiskData::Files(
                    self.files.iter().map(|(file, bytes)| (*file, bytes.len() as u64)).collect(),
                ));
            }
            DiskOpKind::Read { file, offset, len } => {
                let bytes = self.files.get(file).ok_or(DiskError::NotFound)?;
                let start = usize::try_from(*offset).unwrap().min(bytes.len());
                let end = (start + *len as usize).min(bytes.len());
                return Ok(DiskData::Bytes(bytes[start..end].to_vec()));
            }
            DiskOpKind::Write { file, offset, bytes, .. } => {
                let start = usize::try_from(*offset).unwrap();
                let content = self.files.get_mut(file).ok_or(DiskError::NotFound)?;
                content[start..start + bytes.len()].copy_from_slice(bytes);
            }
            DiskOpKind::Sync { .. } => {}
            DiskOpKind::Create { file, len } => {
                self.files.insert(*file, vec![0; usize::try_from(*len).unwrap()]);
            }
            DiskOpKind::Rename { from, to } => {
                let content = self.files.remove(from).ok_or(DiskError::NotFound)?;
                assert!(self.files.insert(*to, content).is_none(), "{to} is taken");
            }
            DiskOpKind::Remove { file } => {
                self.files.remove(file).ok_or(DiskError::NotFound)?;
            }
        }
        Ok(DiskData::Done)
    }

    pub(crate) fn fail(&mut self, failing: impl Fn(&DiskOpKind) -> Option<DiskError> + 'static) {
        self.fails = Failing(Box::new(failing));
    }

    pub(crate) fn segment(&self, generation: u32) -> &[u8] {
        &self.files[&File::Segment(Generation(generation))]
    }

    pub(crate) fn segment_mut(&mut self, generation: u32) -> &mut Vec<u8> {
        self.files.get_mut(&File::Segment(Generation(generation))).unwrap()
    }

    /// Bytes that were read from segments since this was last asked.
    pub(crate) fn take_read_len(&mut self) -> u64 {
        let reads = self.done.drain(..).map(|kind| match kind {
            DiskOpKind::Read { file: File::Segment(_), len, .. } => u64::from(len),
            _ => 0,
        });
        reads.sum()
    }
}

/// The owner of one log.
pub(crate) struct Owner {
    pub(crate) log: Log,
    pub(crate) disk: Disk,
    pub(crate) ops: VecDeque<DiskOp>,
    pub(crate) events: Vec<LogEvent>,
    pub(crate) mono_us: u64,
}

impl Owner {
    pub(crate) fn new(config: LogConfig, disk: Disk) -> Owner {
        let mut owner = Owner { log: Log::new(config), disk, ops: VecDeque::new(), events: Vec::new(), mono_us: 1_000 };
        owner.ask(|log, ops, _| log.start(5_000_000, ops));
        owner
    }

    /// A log that is ready.
    pub(crate) fn open(disk: Disk) -> Owner {
        let mut owner = Owner::new(config(), disk);
        owner.settle();
        assert!(owner.events.iter().any(|event| matches!(event, LogEvent::Ready { .. })), "{:?}", owner.events);
        owner
    }

    /// Ends this log and starts another on what is there.
    pub(crate) fn reopen(self) -> Owner {
        Owner::open(Disk { done: Vec::new(), ..self.disk })
    }

    /// Calls the log and takes its operations.
    pub(crate) fn ask<R>(&mut self, call: impl FnOnce(&mut Log, &mut Vec<DiskOp>, &mut Vec<LogEvent>) -> R) -> R {
        let mut ops = Vec::new();
        let answer = call(&mut self.log, &mut ops, &mut self.events);
        self.ops.extend(ops);
        answer
    }

    /// The oldest operation under way is done.
    pub(crate) fn complete_one(&mut self) -> bool {
        let Some(op) = self.ops.pop_front() else { return false };
        let result = self.disk.perform(&op.kind);
        let (mono_us, done) = (self.mono_us, DiskDone { id: op.id, result });
        let first = self.events.len();
        self.ask(|log, ops, events| log.on_done(mono_us, done, ops, events));
        for event in &self.events[first..] {
            if let LogEvent::FoundMessage { user, place, .. } = event {
                self.log.place(inbox_of(user), *place);
            }
        }
        true
    }

    /// Everything queued is written, and everything under way done.
    pub(crate) fn settle(&mut self) {
        loop {
            let mono_us = self.mono_us;
            self.ask(|log, ops, _| log.commit(mono_us, ops));
            if !self.complete_one() {
                return;
            }
        }
    }

    /// Lets time pass, and everything happen that is due by then.
    pub(crate) fn pass(&mut self, us: u64) {
        let end = self.mono_us + us;
        while let Some(at) = self.log.next_deadline().filter(|at| *at <= end) {
            self.mono_us = self.mono_us.max(at);
            let mono_us = self.mono_us;
            self.ask(|log, ops, _| log.on_tick(mono_us, ops));
            self.settle();
        }
        self.mono_us = end;
    }

    pub(crate) fn append(&mut self, inbox: u32, id: u64, body: &[u8]) -> Result<Lsn, AppendError> {
        let (user, from) = (user_name(inbox), Name::parse_user(b"sender").unwrap());
        let user = Name::parse_user(user.as_bytes()).unwrap();
        let (flags, mid) = (SendFlags(SendFlags::URGENT), Mid(1 << 48 | id));
        let message = Message { user, id: Id(id), from, to: user, mid, flags, kind: 7, body };
        self.log.append(InboxNo(inbox), &Record::Message(message))
    }

    pub(crate) fn append_cursor(&mut self, inbox: u32, id: u64) -> Result<Lsn, AppendError> {
        let user = user_name(inbox);
        let user = Name::parse_user(user.as_bytes()).unwrap();
        self.log.append(InboxNo(inbox), &Record::Cursor { user, device_no: DeviceNo(1), id: Id(id) })
    }

    /// Appends `count` messages with ids from `first` on, each durable before the next.
    pub(crate) fn store(&mut self, inbox: u32, first: u64, count: u64, body_len: usize) {
        for id in first..first + count {
            self.append(inbox, id, &vec![id.to_le_bytes()[0]; body_len]).unwrap();
            self.settle();
        }
    }

    /// Reads an inbox to its end in steps.
    pub(crate) fn read_all(&mut self, inbox: u32, count_max: u32) -> Vec<u64> {
        let mut ids = Vec::new();
        loop {
            let after = Id(ids.last().copied().unwrap_or(0));
            let (entries, error) = self.read(inbox, after, count_max, u32::MAX);
            assert_eq!(error, None);
            if entries.is_empty() {
                return ids;
            }
            ids.extend(entries.iter().map(|message| message.id.0));
        }
    }

    pub(crate) fn read(
        &mut self,
        inbox: u32,
        after: Id,
        count_max: u32,
        len_max: u32,
    ) -> (Vec<StoredMessage>, Option<DiskError>) {
        self.ask(|log, ops, events| log.read(InboxNo(inbox), after, count_max, len_max, 9, ops, events));
        self.settle();
        let at = self.events.iter().position(|event| matches!(event, LogEvent::Read { token: 9, .. }));
        match self.events.remove(at.expect("each read is answered")) {
            LogEvent::Read { entries, error, .. } => (entries, error),
            _ => unreachable!(),
        }
    }

    pub(crate) fn release(&mut self, inbox: u32, up_to: u64) {
        self.ask(|log, ops, events| log.release(InboxNo(inbox), Id(up_to), ops, events));
        self.settle();
    }

    pub(crate) fn take_events(&mut self) -> Vec<LogEvent> {
        std::mem::take(&mut self.events)
    }

    /// Ids of the messages that recovery found, in order.
    pub(crate) fn found(&self) -> Vec<u64> {
        let ids = self.events.iter().filter_map(|event| match event {
            LogEvent::FoundMessage { message, .. } => Some(message.id.0),
            _ => None,
        });
        ids.collect()
    }

    pub(crate) fn durable(&self) -> Option<Lsn> {
        self.events.iter().rev().find_map(|event| match event {
            LogEvent::Durable { up_to } => Some(*up_to),
            _ => None,
        })
    }
}

pub(crate) fn user_name(inbox: u32) -> String {
    format!("user{inbox}")
}

fn inbox_of(user: &str) -> InboxNo {
    InboxNo(user["user".len()..].parse().expect("a user of ours"))
}

/// What the operations under way are, in short.
pub(crate) fn is_write(op: &DiskOp) -> bool {
    matches!(op.kind, DiskOpKind::Write { .. })
}
