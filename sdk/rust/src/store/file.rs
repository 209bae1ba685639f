//! A store in one file: a magic, then records that are only ever appended, until a shorter file takes its place.
//!
//! `store/encoding.rs` has the format. What a crash left half-written at the end is cut when the file is opened. So is
//! everything behind damage elsewhere: the client then knows less than it did, which the gateway notices by its counters (a new
//! incarnation follows) and duplicates may be shown again.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use wire::{Device, Name};

use super::encoding::{self, Record};
use super::{Change, State, Store};
use crate::error::StoreError;

/// Keeps the state in one file, readable by its owner only, and locked (through a file beside it with `.lock` at the end of its
/// name) as long as the store lives.
#[derive(Debug)]
pub struct FileStore {
    path: PathBuf,
    file: File,
    sync: Sync,
    /// The owner's record, encoded: what a rewritten file begins with.
    head: Vec<u8>,
    state: State,
    /// Bytes of whole records in the file, and where the next one goes.
    len: u64,
    /// Its length when it was last rewritten or opened.
    rewritten_len: u64,
    /// A failed write or sync could not be undone: what the file holds is not known.
    is_broken: bool,
    scratch: Vec<u8>,
    _lock: File,
}

/// When a commit is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sync {
    /// A commit is in the system's memory. It outlives the process, however that ends. A power cut, or a crash of the system,
    /// may take the last seconds' commits back although the gateway was told of them: received messages that only this device
    /// had are lost with them; sent messages are not (those not yet accepted may be lost or, rarely, doubled, and the client
    /// takes a new incarnation).
    #[default]
    Lazy,
    /// Each commit is synced before it counts. Nothing is taken back; each message costs a wait for the disk or two.
    Each,
}

impl FileStore {
    /// Opens the store of this device of this user, or makes it, and the directories on its way, if there is none.
    ///
    /// # Errors
    /// [`StoreError::InUse`], [`StoreError::NotAStore`] (also when it is another user's or device's), [`StoreError::Io`].
    pub fn open(path: &Path, user: Name<'_>, device: Device<'_>, sync: Sync) -> Result<FileStore, StoreError> {
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            let mut builder = DirBuilder::new();
            builder.recursive(true).mode(0o700);
            map(parent, "making", builder.create(parent))?;
        }
        let lock = lock(path)?;
        let mut head = MAGIC.to_vec();
        encoding::write_owner(user, device, &mut head);
        match std::fs::read(path) {
            Ok(bytes) if !bytes.is_empty() => {
                let (state, len) = recover(path, &bytes, &head)?;
                let file = map(path, "opening", private().append(true).open(path))?;
                map(path, "cutting", file.set_len(len))?;
                Ok(FileStore::of(path, file, sync, head, state, len, lock))
            }
            Ok(_) => FileStore::create(path, sync, head, lock),
            Err(error) if error.kind() == io::ErrorKind::NotFound => FileStore::create(path, sync, head, lock),
            Err(error) => Err(StoreError::io("reading", path, &error)),
        }
    }

    /// Bytes in the file.
    pub fn file_len(&self) -> u64 {
        self.len
    }

    fn create(path: &Path, sync: Sync, head: Vec<u8>, lock: File) -> Result<FileStore, StoreError> {
        let (file, synced) = map(path, "making", replace(path, &head))?;
        map(path, "making", synced)?;
        let len = head.len() as u64;
        let state = State::default();
        Ok(FileStore::of(path, file, sync, head, state, len, lock))
    }

    fn of(path: &Path, file: File, sync: Sync, head: Vec<u8>, state: State, len: u64, lock: File) -> FileStore {
        FileStore {
            path: path.to_owned(),
            file,
            sync,
            head,
            state,
            len,
            rewritten_len: len,
            is_broken: false,
            scratch: Vec::new(),
            _lock: lock,
        }
    }

    /// All of `scratch`, or nothing of it.
    fn append(&mut self) -> io::Result<()> {
        let written = self.file.write_all(&self.scratch);
        if let Err(error) = written {
            self.is_broken = self.file.set_len(self.len).is_err();
            return Err(error);
        }
        if self.sync == Sync::Each
            && let Err(error) = self.file.sync_data()
        {
            // What a failed sync has left is not known, and asking again would not tell.
            self.is_broken = true;
            return Err(error);
        }
        self.len += self.scratch.len() as u64;
        Ok(())
    }

    /// Puts a file that says the same in as few bytes as it takes in this one's place.
    fn rewrite(&mut self) -> io::Result<()> {
        let mut bytes = self.head.clone();
        encoding::write_state(&self.state, &mut bytes);
        let (file, synced) = replace(&self.path, &bytes)?;
        self.is_broken = synced.is_err();
        self.file = file;
        self.len = bytes.len() as u64;
        self.rewritten_len = self.len;
        Ok(())
    }
}

impl Store for FileStore {
    fn load(&mut self) -> Result<State, StoreError> {
        Ok(self.state.clone())
    }

    fn commit(&mut self, change: &Change<'_>) -> Result<(), StoreError> {
        if self.is_broken {
            return Err(StoreError::Other(format!("{} failed before: open it again", self.path.display())));
        }
        self.scratch.clear();
        encoding::write_change(change, &mut self.scratch);
        let appended = self.append();
        map(&self.path, "writing", appended)?;
        self.state.apply(change);
        if self.len > REWRITE_LEN_MIN.max(self.rewritten_len.saturating_mul(REWRITE_FACTOR)) && self.rewrite().is_err()
        {
            // The change itself is kept; the next attempt waits until the file has grown as much again.
            self.rewritten_len = self.len;
        }
        Ok(())
    }
}

/// What the file says, and where its whole records end.
fn recover(path: &Path, bytes: &[u8], head: &[u8]) -> Result<(State, u64), StoreError> {
    let not_a_store = |what| StoreError::NotAStore { path: path.display().to_string(), what };
    let mut rest = bytes.strip_prefix(MAGIC).ok_or_else(|| not_a_store("it begins with something else"))?;
    match encoding::take_record(&mut rest) {
        Some(Record::Owner(..)) if bytes.starts_with(head) => {}
        Some(Record::Owner(..)) => {
            return Err(not_a_store("it belongs to another user or device"));
        }
        _ => return Err(not_a_store("its first record is damaged")),
    }
    let mut state = State::default();
    loop {
        let len = (bytes.len() - rest.len()) as u64;
        let is_whole = encoding::take_record(&mut rest).is_some_and(|record| record.apply(&mut state));
        if !is_whole {
            return Ok((state, len));
        }
    }
}

/// Takes the lock that keeps a second client from the file.
fn lock(path: &Path) -> Result<File, StoreError> {
    let path = beside(path, ".lock");
    let lock = map(&path, "opening", private().write(true).create(true).open(&path))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: path.with_extension("").display().to_string() }),
        Err(TryLockError::Error(error)) => Err(StoreError::io("locking", &path, &error)),
    }
}

/// Makes `bytes` the file's content at once: a crash leaves the old file or the new. The second value says whether the new
/// one is certain to be there after a power cut.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<(File, io::Result<()>)> {
    let temporary = beside(path, ".tmp");
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = private().append(true).create_new(true).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let synced = File::open(parent.unwrap_or(Path::new("."))).and_then(|parent| parent.sync_all());
    Ok((file, synced))
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(end);
    path.into()
}

fn map<T>(path: &Path, doing: &'static str, result: io::Result<T>) -> Result<T, StoreError> {
    result.map_err(|error| StoreError::io(doing, path, &error))
}

/// The beginning of every file of this version.
const MAGIC: &[u8; 8] = b"swsdk\x00\x001";
/// A file is not rewritten below this length.
const REWRITE_LEN_MIN: u64 = 64 * 1024;
/// A file is rewritten when it has grown by this since it last was.
const REWRITE_FACTOR: u64 = 4;
