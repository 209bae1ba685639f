//! The files of one shard: carries out what the log asks for. Step 7b of the walk.
//!
//! Reads, writes and syncs go through the shard's monoio ring; for a buffered write and for a sync the kernel uses threads of
//! its own, so the shard's loop never waits for the disk. (Since Linux 6.2 those threads have no other CPU than the one the shard
//! is pinned to, whatever IORING_REGISTER_IOWQ_AFF is told; they sleep most of the time.) What that driver cannot do without blocking (list, rename, remove) is
//! done by a helper thread. An operation that has begun is never dropped or given up: its completion is what says that the
//! kernel is done with the buffer, and the only thing that may be believed about the disk.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use crossbeam::channel::{Receiver, Sender, unbounded};
use monoio::buf::IoBufMut;
use storage::{DiskData, DiskDone, DiskError, DiskOp, DiskOpKind, File, Generation, OpId};

use crate::bell::Bell;
use crate::cpu;
use crate::error::Error;
use crate::files::OpenFiles;
use crate::mesh::{Letter, Mesh};

/// A shard's files, on its thread, inside its monoio runtime.
#[derive(Clone)]
pub(crate) struct Disk {
    inner: Rc<Inner>,
}

struct Inner {
    dir: PathBuf,
    /// Rung when an operation is done.
    bell: Rc<Bell>,
    files: RefCell<OpenFiles<monoio::fs::File>>,
    /// Reads begun and waiting for their turn, oldest first.
    waiting_reads: RefCell<VecDeque<DiskOp>>,
    /// `reads_under_way <= READS_UNDER_WAY_MAX`: each may hold a descriptor.
    reads_under_way: Cell<usize>,
    done: RefCell<VecDeque<DiskDone>>,
    in_flight: Cell<usize>,
    helper: Sender<DiskOp>,
}

impl Disk {
    /// For the files in `dir`. What the helper thread did comes back as [`Letter::Disk`]; hand it to [`Disk::on_helped`]. That
    /// thread may use all of `cpus`: it must not wait for the shard.
    ///
    /// # Errors
    /// When the helper thread cannot be started.
    pub(crate) fn new(
        shard: u16,
        dir: PathBuf,
        cpus: Arc<[usize]>,
        bell: Rc<Bell>,
        mesh: Arc<Mesh>,
    ) -> Result<Disk, Error> {
        let (helper, jobs) = unbounded();
        let helper_dir = dir.clone();
        std::thread::Builder::new()
            .name(format!("disk-{shard:02}"))
            .spawn(move || {
                // If not, it shares the shard's CPU, and is only slower.
                let _ = cpu::pin(&cpus);
                help(&jobs, &helper_dir, |done| mesh.send_letter(shard, Letter::Disk(done)));
            })
            .map_err(Error::system("start a thread for the disk"))?;
        let inner = Inner {
            dir,
            bell,
            files: RefCell::new(OpenFiles::new()),
            waiting_reads: RefCell::default(),
            reads_under_way: Cell::new(0),
            done: RefCell::default(),
            in_flight: Cell::new(0),
            helper,
        };
        Ok(Disk { inner: Rc::new(inner) })
    }

    /// Begins an operation. It runs when the runtime's other tasks do; [`Disk::next_done`] gives the result at some later time.
    pub(crate) fn start(&self, op: DiskOp) {
        let inner = Rc::clone(&self.inner);
        inner.in_flight.set(inner.in_flight.get() + 1);
        match &op.kind {
            DiskOpKind::List => inner.send_to_helper(op),
            DiskOpKind::Rename { from, to } => {
                // An open file keeps its inode, not its name.
                inner.files.borrow_mut().evict(*from);
                inner.files.borrow_mut().evict(*to);
                inner.send_to_helper(op);
            }
            DiskOpKind::Remove { file } => {
                inner.files.borrow_mut().evict(*file);
                inner.send_to_helper(op);
            }
            DiskOpKind::Read { .. } => inner.start_read(op),
            _ => drop(monoio::spawn(inner.perform(op))),
        }
    }

    /// The helper thread has done one.
    pub(crate) fn on_helped(&self, done: DiskDone) {
        self.inner.finish(done);
    }

    /// The next result, in the order in which the operations ended.
    pub(crate) fn next_done(&self) -> Option<DiskDone> {
        self.inner.done.borrow_mut().pop_front()
    }

    /// Operations begun and not ended.
    pub(crate) fn in_flight(&self) -> usize {
        self.inner.in_flight.get()
    }
}

impl Inner {
    fn send_to_helper(&self, op: DiskOp) {
        self.helper.send(op).expect("the helper lives as long as this end of its channel");
    }

    fn start_read(self: Rc<Inner>, op: DiskOp) {
        if self.reads_under_way.get() == READS_UNDER_WAY_MAX {
            self.waiting_reads.borrow_mut().push_back(op);
            return;
        }
        self.reads_under_way.set(self.reads_under_way.get() + 1);
        drop(monoio::spawn(async move {
            let mut next = Some(op);
            while let Some(op) = next {
                Rc::clone(&self).perform(op).await;
                next = self.waiting_reads.borrow_mut().pop_front();
            }
            self.reads_under_way.set(self.reads_under_way.get() - 1);
        }));
    }

    async fn perform(self: Rc<Inner>, op: DiskOp) {
        let result = match op.kind {
            DiskOpKind::Read { file, offset, len } => self.read(file, offset, len).await.map(DiskData::Bytes),
            DiskOpKind::Write { file, offset, bytes, sync } => {
                self.write(file, offset, bytes, sync).await.map(|()| DiskData::Done)
            }
            DiskOpKind::Sync { file } => self.sync(file).await.map(|()| DiskData::Done),
            DiskOpKind::Create { file, len } => self.create(file, len).await.map(|()| DiskData::Done),
            DiskOpKind::List | DiskOpKind::Rename { .. } | DiskOpKind::Remove { .. } => {
                unreachable!("done by the helper")
            }
        };
        self.finish(done(op.id, result));
    }

    fn finish(&self, done: DiskDone) {
        self.in_flight.set(self.in_flight.get() - 1);
        self.done.borrow_mut().push_back(done);
        self.bell.ring();
    }

    async fn read(&self, file: File, offset: u64, len: u32) -> io::Result<Vec<u8>> {
        let file = self.open(file, false).await?;
        let len = len as usize;
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            let read = bytes.len();
            let (result, slice) = file.read_at(bytes.slice_mut(read..len), offset + read as u64).await;
            bytes = slice.into_inner();
            match result {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(bytes)
    }

    async fn write(&self, file: File, offset: u64, bytes: Vec<u8>, sync: bool) -> io::Result<()> {
        let file = self.open(file, true).await?;
        file.write_all_at(bytes, offset).await.0?;
        if sync {
            file.sync_data().await?;
        }
        Ok(())
    }

    async fn sync(&self, file: File) -> io::Result<()> {
        self.open(file, true).await?.sync_data().await
    }

    /// Zeroes are written, not only allocated: a sync of a file that has extents but no data yet must also write what says so.
    /// Synced piece by piece, so that a commit meanwhile waits for one piece at most.
    async fn create(&self, name: File, len: u64) -> io::Result<()> {
        self.files.borrow_mut().evict(name);
        let path = self.dir.join(file_name(name));
        let file = monoio::fs::OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path).await?;
        let mut zeroes = vec![0; CREATE_WRITE_LEN];
        let mut written: u64 = 0;
        while written < len {
            let piece = usize::try_from(len - written).map_or(CREATE_WRITE_LEN, |left| left.min(CREATE_WRITE_LEN));
            zeroes.truncate(piece);
            let (result, buffer) = file.write_all_at(zeroes, written).await;
            result?;
            zeroes = buffer;
            written += piece as u64;
            if written.is_multiple_of(CREATE_SYNC_LEN) {
                file.sync_data().await?;
            }
        }
        file.sync_all().await?;
        let dir = monoio::fs::File::open(&self.dir).await?;
        // Not kept open: it gets another name before it is used.
        dir.sync_all().await
    }

    async fn open(&self, name: File, to_write: bool) -> io::Result<Rc<monoio::fs::File>> {
        if let Some(file) = self.files.borrow_mut().get(name, to_write) {
            return Ok(file);
        }
        let before = self.files.borrow().before();
        let path = self.dir.join(file_name(name));
        let file = Rc::new(monoio::fs::OpenOptions::new().read(true).write(true).open(path).await?);
        self.files.borrow_mut().insert(name, Rc::clone(&file), to_write, before);
        Ok(file)
    }
}

/// The helper thread. Ends when the shard does.
fn help(jobs: &Receiver<DiskOp>, dir: &Path, tell: impl Fn(DiskDone)) {
    for op in jobs {
        let result = match op.kind {
            DiskOpKind::List => list(dir).map(DiskData::Files),
            DiskOpKind::Rename { from, to } => fs::rename(dir.join(file_name(from)), dir.join(file_name(to)))
                .and_then(|()| sync_dir(dir))
                .map(|()| DiskData::Done),
            DiskOpKind::Remove { file } => {
                fs::remove_file(dir.join(file_name(file))).and_then(|()| sync_dir(dir)).map(|()| DiskData::Done)
            }
            _ => unreachable!("done through the ring"),
        };
        tell(done(op.id, result));
    }
}

/// What is no file of the log is not told: it cannot be anything the log knows.
pub(crate) fn list(dir: &Path) -> io::Result<Vec<(File, u64)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if let Some(file) = entry.file_name().to_str().and_then(parse_file_name) {
            files.push((file, entry.metadata()?.len()));
        }
    }
    Ok(files)
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    fs::File::open(dir)?.sync_all()
}

fn done(id: OpId, result: io::Result<DiskData>) -> DiskDone {
    DiskDone { id, result: result.map_err(|error| disk_error(&error)) }
}

/// As the log counts errors.
pub(crate) fn disk_error(error: &io::Error) -> DiskError {
    match (error.raw_os_error(), error.kind()) {
        (Some(ENOSPC | EDQUOT), _) => DiskError::NoSpace,
        (_, io::ErrorKind::NotFound) => DiskError::NotFound,
        (Some(errno), _) => DiskError::Io(errno),
        // Without an errno: a write that took nothing.
        (None, _) => DiskError::Io(EIO),
    }
}

/// The name of a file inside its shard's directory.
pub(crate) fn file_name(file: File) -> String {
    match file {
        File::Super => "super".to_owned(),
        File::Segment(Generation(generation)) => format!("segment-{generation:08x}"),
        File::Spare(number) => format!("spare-{number:08x}"),
    }
}

fn parse_file_name(name: &str) -> Option<File> {
    let number = |digits| u32::from_str_radix(digits, 16).ok();
    let file = if name == "super" {
        File::Super
    } else if let Some(digits) = name.strip_prefix("segment-") {
        File::Segment(Generation(number(digits)?))
    } else {
        File::Spare(number(name.strip_prefix("spare-")?)?)
    };
    // The one spelling only.
    (file_name(file) == name).then_some(file)
}

/// Enough to keep a disk busy.
const READS_UNDER_WAY_MAX: usize = 8;
const CREATE_WRITE_LEN: usize = 256 * 1024;
const CREATE_SYNC_LEN: u64 = 4 * 1024 * 1024;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const EDQUOT: i32 = 122;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Runs operations one after the other in a runtime of their own and gives their results.
    fn run(dir: &Path, ops: Vec<DiskOpKind>) -> Vec<Result<DiskData, DiskError>> {
        run_at_once(dir, ops.into_iter().map(|op| vec![op]).collect())
    }

    /// As `run`, but with the operations of a group begun together; they may end in any order.
    fn run_at_once(dir: &Path, groups: Vec<Vec<DiskOpKind>>) -> Vec<Result<DiskData, DiskError>> {
        let mut runtime =
            monoio::RuntimeBuilder::<monoio::IoUringDriver>::new().build().expect("a runtime for the test");
        runtime.block_on(async {
            let bell = Bell::new();
            let mesh = Mesh::new(1);
            let mut end = mesh.end(0);
            let eventfd = rustix::event::eventfd(0, rustix::event::EventfdFlags::empty()).unwrap();
            let doorbell = monoio::fs::File::from_std(eventfd.try_clone().unwrap().into()).unwrap();
            end.open(0, eventfd);
            let rung = Rc::clone(&bell);
            monoio::spawn(async move {
                while doorbell.read_at(vec![0; 8], 0).await.0.is_ok() {
                    rung.ring();
                }
            });
            let disk = Disk::new(0, dir.to_owned(), Arc::new([0]), Rc::clone(&bell), mesh).unwrap();
            let mut results = BTreeMap::new();
            let mut ids = (0..).map(OpId);
            for group in groups {
                for (kind, id) in group.into_iter().zip(&mut ids) {
                    disk.start(DiskOp { id, kind });
                }
                while disk.in_flight() > 0 {
                    bell.wait().await;
                    assert!(open_count(dir) <= OPEN_COUNT_MAX, "{} files are open", open_count(dir));
                    while let Some(Letter::Disk(done)) = end.next_letter() {
                        disk.on_helped(done);
                    }
                }
                while let Some(done) = disk.next_done() {
                    assert_eq!(results.insert(done.id.0, done.result), None, "each is done once");
                }
            }
            results.into_values().collect()
        })
    }

    /// What a shard may have open of its log, those included whose closing is under way.
    const OPEN_COUNT_MAX: usize = 32;

    /// Descriptors of this process for files in `dir`.
    fn open_count(dir: &Path) -> usize {
        let descriptors = fs::read_dir("/proc/self/fd").unwrap();
        descriptors
            .filter(|entry| fs::read_link(entry.as_ref().unwrap().path()).is_ok_and(|to| to.starts_with(dir)))
            .count()
    }

    fn write(file: File, offset: u64, bytes: &[u8]) -> DiskOpKind {
        DiskOpKind::Write { file, offset, bytes: bytes.to_vec(), sync: true }
    }

    fn read(file: File, offset: u64, len: u32) -> DiskOpKind {
        DiskOpKind::Read { file, offset, len }
    }

    #[test]
    fn a_file_is_made_written_read_renamed_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let (spare, segment) = (File::Spare(7), File::Segment(Generation(0xab)));
        let results = run(
            dir.path(),
            vec![
                DiskOpKind::Create { file: spare, len: 600_000 },
                write(spare, 300_000, b"hello"),
                DiskOpKind::Rename { from: spare, to: segment },
                read(segment, 299_999, 7),
                DiskOpKind::Sync { file: segment },
                DiskOpKind::List,
                read(segment, 599_998, 10),
                DiskOpKind::Remove { file: segment },
                DiskOpKind::List,
                read(segment, 0, 1),
            ],
        );
        let done = || Ok(DiskData::Done);
        let expected = [
            done(),
            done(),
            done(),
            Ok(DiskData::Bytes(b"\0hello\0".to_vec())),
            done(),
            Ok(DiskData::Files(vec![(segment, 600_000)])),
            Ok(DiskData::Bytes(vec![0, 0])),
            done(),
            Ok(DiskData::Files(vec![])),
            Err(DiskError::NotFound),
        ];
        assert_eq!(results, expected);
    }

    #[test]
    fn a_log_of_many_files_takes_few_descriptors() {
        let dir = tempfile::tempdir().unwrap();
        let segments = (0..100).map(|number| File::Segment(Generation(number)));
        for segment in segments.clone() {
            fs::write(dir.path().join(file_name(segment)), "x").unwrap();
        }
        let one_by_one = segments.clone().map(|segment| vec![read(segment, 0, 1)]);
        let at_once = (0..10).flat_map(|_| segments.clone()).map(|segment| read(segment, 0, 1)).collect();
        let results = run_at_once(dir.path(), one_by_one.chain([at_once]).collect());
        assert_eq!(results.len(), 1100);
        assert!(results.iter().all(|result| *result == Ok(DiskData::Bytes(b"x".to_vec()))));
    }

    #[test]
    fn what_a_crash_left_under_a_name_is_replaced_by_zeroes() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("spare-00000001"), vec![1; 5000]).unwrap();
        let file = File::Spare(1);
        let results =
            run(dir.path(), vec![read(file, 0, 1), DiskOpKind::Create { file, len: 4096 }, read(file, 0, 10_000)]);
        assert_eq!(results[2], Ok(DiskData::Bytes(vec![0; 4096])));
    }

    #[test]
    fn a_disk_without_room_is_told_as_that() {
        for (errno, expected) in [(28, DiskError::NoSpace), (122, DiskError::NoSpace), (2, DiskError::NotFound)] {
            assert_eq!(disk_error(&io::Error::from_raw_os_error(errno)), expected);
        }
        assert_eq!(disk_error(&io::Error::from_raw_os_error(5)), DiskError::Io(5));
        assert_eq!(disk_error(&io::ErrorKind::WriteZero.into()), DiskError::Io(5));
    }

    #[test]
    fn only_the_log_s_own_names_are_told() {
        for file in [File::Super, File::Segment(Generation(u32::MAX)), File::Spare(0)] {
            assert_eq!(parse_file_name(&file_name(file)), Some(file));
        }
        for name in ["", "Super", "segment-1", "segment-0000000G", "segment-0000000A", "spare-+0000001", "core"] {
            assert_eq!(parse_file_name(name), None, "{name}");
        }
    }
}
