//! A disk that loses what was not synced, as badly as a real one may.
//!
//! Each file has what the process sees (the page cache) and what a power cut would leave (the durable image); sectors that
//! differ are dirty. A sync makes all of a file's dirty sectors durable, or, when it fails, forgets that they were dirty.

use std::collections::{BTreeMap, BTreeSet};

use storage::{DiskData, DiskDone, DiskError, DiskOp, DiskOpKind, File};

use super::rng::Rng;

const SECTOR_LEN: usize = 512;
const EIO: i32 = 5;

#[derive(Debug, Clone, Default)]
struct Content {
    cache: Vec<u8>,
    durable: Vec<u8>,
    dirty: BTreeSet<usize>,
}

/// What goes wrong, when a test wants it to.
#[derive(Debug, Clone, Default)]
pub struct DiskFaults {
    /// The next so many syncs fail: the pages are lost, and marked clean.
    pub sync_failure_count: u32,
    /// The next so many reads of a segment fail.
    pub read_failure_count: u32,
    /// Bytes that files may have altogether; none is no bound.
    pub space: Option<u64>,
}

/// The directory of one shard.
#[derive(Debug, Clone, Default)]
pub struct SimDisk {
    files: BTreeMap<File, Content>,
    under_way: Vec<DiskOp>,
    /// See [`DiskFaults`].
    pub faults: DiskFaults,
}

impl SimDisk {
    /// An empty directory.
    pub fn new() -> SimDisk {
        SimDisk::default()
    }

    /// Begins an operation.
    pub fn submit(&mut self, op: DiskOp) {
        self.under_way.push(op);
    }

    /// How many operations are under way.
    pub fn pending(&self) -> usize {
        self.under_way.len()
    }

    /// Ends one of the operations under way, any of them, except that writes to one file keep their order.
    pub fn complete_one(&mut self, rng: &mut Rng) -> Option<DiskDone> {
        if self.under_way.is_empty() {
            return None;
        }
        let mut index = rng.index(self.under_way.len());
        if let Some(file) = written_file(&self.under_way[index]) {
            let first = self.under_way.iter().position(|op| written_file(op) == Some(file));
            index = first.expect("at least the one chosen");
        }
        let op = self.under_way.remove(index);
        Some(DiskDone { id: op.id, result: self.perform(op.kind, rng) })
    }

    /// Either of the two below.
    pub fn crash(&mut self, rng: &mut Rng) {
        if rng.chance(1, 2) {
            self.kill(rng);
        } else {
            self.cut_power(rng);
        }
    }

    /// The power fails: of what was not synced any part is lost, and of what was under way any part happened.
    pub fn cut_power(&mut self, rng: &mut Rng) {
        self.kill(rng);
        for content in self.files.values_mut() {
            content.lose_dirty(rng);
        }
    }

    /// The process dies and the machine goes on: what was written is still to be read, synced or not.
    pub fn kill(&mut self, rng: &mut Rng) {
        for op in std::mem::take(&mut self.under_way) {
            self.perform_partly(op.kind, rng);
        }
    }

    /// Turns over one bit, in the cache and for good.
    pub fn flip(&mut self, file: File, byte: usize, bit: u8) {
        let content = self.files.get_mut(&file).expect("the caller has looked");
        for image in [&mut content.cache, &mut content.durable] {
            image[byte] ^= 1 << bit;
        }
    }

    /// Files and their lengths.
    pub fn files(&self) -> Vec<(File, u64)> {
        self.files.iter().map(|(file, content)| (*file, content.cache.len() as u64)).collect()
    }

    /// What a process sees in a file.
    pub fn content(&self, file: File) -> Option<&[u8]> {
        self.files.get(&file).map(|content| content.cache.as_slice())
    }

    /// Puts a file there, durable.
    pub fn put(&mut self, file: File, bytes: Vec<u8>) {
        self.files.insert(file, Content { cache: bytes.clone(), durable: bytes, dirty: BTreeSet::new() });
    }

    fn perform(&mut self, kind: DiskOpKind, rng: &mut Rng) -> Result<DiskData, DiskError> {
        match kind {
            DiskOpKind::List => return Ok(DiskData::Files(self.files())),
            DiskOpKind::Read { file, offset, len } => return self.read(file, offset, len),
            DiskOpKind::Write { file, offset, bytes, sync } => {
                self.file(file)?.write(offset, &bytes);
                if sync {
                    self.sync(file)?;
                }
            }
            DiskOpKind::Sync { file } => self.sync(file)?,
            DiskOpKind::Create { file, len } => self.create(file, len, rng)?,
            DiskOpKind::Rename { from, to } => {
                assert!(!self.files.contains_key(&to), "{to} is taken");
                let content = self.files.remove(&from).ok_or(DiskError::NotFound)?;
                self.files.insert(to, content);
            }
            DiskOpKind::Remove { file } => drop(self.files.remove(&file).ok_or(DiskError::NotFound)?),
        }
        Ok(DiskData::Done)
    }

    /// What may be left of an operation that was under way when the process died.
    fn perform_partly(&mut self, kind: DiskOpKind, rng: &mut Rng) {
        match kind {
            DiskOpKind::List | DiskOpKind::Read { .. } | DiskOpKind::Sync { .. } => {}
            DiskOpKind::Write { file, offset, bytes, .. } => {
                let kept_len = if rng.chance(1, 3) { rng.index(bytes.len() + 1) } else { bytes.len() };
                if let (true, Some(content)) = (rng.chance(2, 3), self.files.get_mut(&file)) {
                    content.write(offset, &bytes[..kept_len]);
                }
            }
            DiskOpKind::Create { file, len } if rng.chance(1, 2) => {
                let len = if rng.chance(1, 2) { rng.below(len + 1) } else { len };
                self.put(file, vec![0; usize::try_from(len).expect("a small file")]);
            }
            DiskOpKind::Rename { .. } | DiskOpKind::Remove { .. } if rng.chance(1, 2) => {
                // It is the caller's last moment: nobody asks how it went.
                let _ = self.perform(kind, rng);
            }
            DiskOpKind::Create { .. } | DiskOpKind::Rename { .. } | DiskOpKind::Remove { .. } => {}
        }
    }

    fn file(&mut self, file: File) -> Result<&mut Content, DiskError> {
        self.files.get_mut(&file).ok_or(DiskError::NotFound)
    }

    fn read(&mut self, file: File, offset: u64, len: u32) -> Result<DiskData, DiskError> {
        if matches!(file, File::Segment(_)) && self.faults.read_failure_count > 0 {
            self.faults.read_failure_count -= 1;
            return Err(DiskError::Io(EIO));
        }
        let cache = &self.file(file)?.cache;
        let start = usize::try_from(offset).expect("a small file").min(cache.len());
        let end = (start + len as usize).min(cache.len());
        Ok(DiskData::Bytes(cache[start..end].to_vec()))
    }

    fn sync(&mut self, file: File) -> Result<(), DiskError> {
        let fails = self.faults.sync_failure_count > 0;
        self.faults.sync_failure_count = self.faults.sync_failure_count.saturating_sub(1);
        let content = self.file(file)?;
        let dirty = std::mem::take(&mut content.dirty);
        if fails {
            return Err(DiskError::Io(EIO));
        }
        for sector in dirty {
            let range = content.sector(sector);
            content.durable[range.clone()].copy_from_slice(&content.cache[range]);
        }
        Ok(())
    }

    fn create(&mut self, file: File, len: u64, rng: &mut Rng) -> Result<(), DiskError> {
        let used: u64 = self.files.values().map(|content| content.cache.len() as u64).sum();
        let left = self.faults.space.map_or(u64::MAX, |space| space.saturating_sub(used));
        let has_room = len <= left;
        if has_room || rng.chance(1, 2) {
            self.put(file, vec![0; usize::try_from(len.min(left)).expect("a small file")]);
        }
        if has_room { Ok(()) } else { Err(DiskError::NoSpace) }
    }
}

impl Content {
    fn sector(&self, sector: usize) -> std::ops::Range<usize> {
        let start = sector * SECTOR_LEN;
        start..(start + SECTOR_LEN).min(self.cache.len())
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) {
        let start = usize::try_from(offset).expect("a small file");
        let end = start + bytes.len();
        assert!(end <= self.cache.len(), "files are made as long as they will ever be");
        if !bytes.is_empty() {
            self.cache[start..end].copy_from_slice(bytes);
            self.dirty.extend(start / SECTOR_LEN..=(end - 1) / SECTOR_LEN);
        }
    }

    /// Each dirty sector comes through, or not, or in part.
    fn lose_dirty(&mut self, rng: &mut Rng) {
        for sector in std::mem::take(&mut self.dirty) {
            let range = self.sector(sector);
            let kept = match rng.below(3) {
                0 => range.start..range.start,
                1 => range,
                _ => {
                    let cut = range.start + rng.index(range.len());
                    if rng.chance(1, 2) { range.start..cut } else { cut..range.end }
                }
            };
            self.durable[kept.clone()].copy_from_slice(&self.cache[kept]);
        }
        self.cache.copy_from_slice(&self.durable);
    }
}

fn written_file(op: &DiskOp) -> Option<File> {
    match &op.kind {
        DiskOpKind::Write { file, .. } => Some(*file),
        _ => None,
    }
}
