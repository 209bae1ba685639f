//! A disk in memory that has done everything before it was asked.

use std::collections::BTreeMap;

use storage::{DiskData, DiskDone, DiskError, DiskOp, DiskOpKind, File};

/// Files and their bytes. A write costs a copy, a sync nothing.
#[derive(Debug, Default)]
pub struct InstantDisk {
    files: BTreeMap<File, Vec<u8>>,
}

impl InstantDisk {
    /// Carries out one operation.
    ///
    /// # Panics
    /// When a file that must exist does not: the log broke its border.
    pub fn perform(&mut self, op: DiskOp) -> DiskDone {
        let result = match op.kind {
            DiskOpKind::List => {
                let files = self.files.iter().map(|(file, bytes)| (*file, bytes.len() as u64));
                Ok(DiskData::Files(files.collect()))
            }
            DiskOpKind::Read { file, offset, len } => match self.files.get(&file) {
                Some(bytes) => {
                    let rest = bytes.get(index(offset)..).unwrap_or_default();
                    let found = rest.get(..len as usize).unwrap_or(rest);
                    Ok(DiskData::Bytes(found.to_vec()))
                }
                None => Err(DiskError::NotFound),
            },
            DiskOpKind::Write { file, offset, bytes, .. } => {
                let content = self.files.get_mut(&file).expect("written files exist");
                let place = content.get_mut(index(offset)..).and_then(|rest| rest.get_mut(..bytes.len()));
                place.expect("written files are long enough").copy_from_slice(&bytes);
                Ok(DiskData::Done)
            }
            DiskOpKind::Sync { .. } => Ok(DiskData::Done),
            DiskOpKind::Create { file, len } => {
                self.files.insert(file, vec![0; index(len)]);
                Ok(DiskData::Done)
            }
            DiskOpKind::Rename { from, to } => {
                let content = self.files.remove(&from).expect("renamed files exist");
                self.files.insert(to, content);
                Ok(DiskData::Done)
            }
            DiskOpKind::Remove { file } => {
                self.files.remove(&file);
                Ok(DiskData::Done)
            }
        };
        DiskDone { id: op.id, result }
    }
}

fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("a file in memory has an index for each byte")
}
