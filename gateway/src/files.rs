//! Which files of a shard stay open: those that were used last, so many and no more. A log has a file for each 64 MiB, and a
//! crowd of clients takes every descriptor that is not kept for something else.

use std::rc::Rc;

use storage::File;

/// Open files by name. One that is used while it leaves here is closed after its last use.
pub(crate) struct OpenFiles<T> {
    /// Those used last are last.
    entries: Vec<Entry<T>>,
    eviction_count: u64,
}

struct Entry<T> {
    name: File,
    file: Rc<T>,
    is_written: bool,
}

/// A point in the life of [`OpenFiles`]: before a file is opened.
#[derive(Clone, Copy)]
pub(crate) struct Before(u64);

impl<T> OpenFiles<T> {
    /// None yet.
    pub(crate) fn new() -> OpenFiles<T> {
        OpenFiles { entries: Vec::new(), eviction_count: 0 }
    }

    /// The file of that name, if it is open.
    pub(crate) fn get(&mut self, name: File, to_write: bool) -> Option<Rc<T>> {
        let index = self.entries.iter().position(|entry| entry.name == name)?;
        let mut entry = self.entries.remove(index);
        entry.is_written |= to_write;
        let file = Rc::clone(&entry.file);
        self.entries.push(entry);
        self.close_some();
        Some(file)
    }

    /// To be asked before a file is opened that [`OpenFiles::insert`] will get.
    pub(crate) fn before(&self) -> Before {
        Before(self.eviction_count)
    }

    /// Keeps a file that was opened under that name, unless some name has changed meanwhile: it may have been this one.
    pub(crate) fn insert(&mut self, name: File, file: Rc<T>, to_write: bool, before: Before) {
        if before.0 == self.eviction_count {
            // Two may have opened it at once.
            self.entries.retain(|entry| entry.name != name);
            self.entries.push(Entry { name, file, is_written: to_write });
            self.close_some();
        }
    }

    /// Forgets a name that is about to mean another file, or none.
    pub(crate) fn evict(&mut self, name: File) {
        self.eviction_count += 1;
        self.entries.retain(|entry| entry.name != name);
    }

    /// Of those written the last few stay whatever is read: the segment that is written must not need a descriptor to go on.
    fn close_some(&mut self) {
        let written = self.entries.iter().filter(|entry| entry.is_written).count();
        if written > WRITTEN_COUNT_MAX
            && let Some(oldest) = self.entries.iter_mut().find(|entry| entry.is_written && entry.name != File::Super)
        {
            oldest.is_written = false;
        }
        let is_only_read = |entry: &Entry<T>| !entry.is_written;
        if self.entries.iter().filter(|entry| is_only_read(entry)).count() > READ_COUNT_MAX
            && let Some(oldest) = self.entries.iter().position(is_only_read)
        {
            self.entries.remove(oldest);
        }
    }
}

/// The super file, the segment that is written, the one before it whose last batches are under way, and one more.
const WRITTEN_COUNT_MAX: usize = 4;
/// Opened again when needed, which is cheap beside a read from the disk.
const READ_COUNT_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use storage::Generation;

    use super::*;

    fn segment(number: u32) -> File {
        File::Segment(Generation(number))
    }

    fn open(files: &mut OpenFiles<()>, name: File, to_write: bool) {
        if files.get(name, to_write).is_none() {
            files.insert(name, Rc::new(()), to_write, files.before());
        }
    }

    #[test]
    fn what_is_written_stays_open_however_much_is_read() {
        let mut files = OpenFiles::new();
        open(&mut files, File::Super, true);
        for number in 0..20 {
            open(&mut files, segment(number), true);
        }
        for number in 100..200 {
            open(&mut files, segment(number), false);
        }
        assert_eq!(files.entries.len(), WRITTEN_COUNT_MAX + READ_COUNT_MAX);
        for name in [File::Super, segment(19), segment(18), segment(199), segment(192)] {
            assert!(files.get(name, false).is_some(), "{name:?}");
        }
        for name in [segment(0), segment(16), segment(191)] {
            assert!(files.get(name, false).is_none(), "{name:?}");
        }
    }

    #[test]
    fn a_file_whose_name_was_given_away_while_it_was_opened_is_not_kept() {
        let mut files = OpenFiles::new();
        let before = files.before();
        files.evict(segment(1));
        files.insert(segment(1), Rc::new(()), false, before);
        assert!(files.get(segment(1), false).is_none());
    }
}
