//! A disk in memory that forgets what was not synced when its power is cut, and remembers what it was at each step.

#![allow(dead_code)] // each test uses a part of it

use std::collections::hash_map::DefaultHasher;
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use iwashi::platform::disk::{Disk, DiskFile};

const SECTOR: usize = 512;

/// A small generator of reproducible choices (xorshift64*).
#[derive(Debug, Clone)]
pub struct Choices(u64);

impl Choices {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % limit.max(1)
    }
}

#[derive(Debug, Default, Clone)]
struct Inode {
    durable: Vec<u8>,
    seen: Vec<u8>,
    unsynced: Vec<(usize, Vec<u8>)>,
}

#[derive(Debug, Clone)]
enum NameChange {
    Set(String, usize),
    Remove(String),
}

#[derive(Debug, Default, Clone)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    unsynced_names: Vec<NameChange>,
    /// Operations left until the disk fails; every one after that does.
    fuse: Option<u64>,
    /// What the disk was before each operation, if that is to be kept.
    moments: Option<Vec<State>>,
    /// Frames that must survive a power cut.
    promised: Range<u64>,
    full: bool,
    unreadable: bool,
    peak_bytes: u64,
}

impl State {
    fn step(&mut self) -> io::Result<()> {
        if let Some(mut moments) = self.moments.take() {
            moments.push(self.without_gone_files());
            self.moments = Some(moments);
        }
        match &mut self.fuse {
            Some(0) => Err(io::Error::other("broken")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// A copy; of files that no name leads to any more, not even after a cut, without their bytes.
    fn without_gone_files(&self) -> Self {
        let set = self.unsynced_names.iter().filter_map(|change| match change {
            NameChange::Set(_, inode) => Some(inode),
            NameChange::Remove(_) => None,
        });
        let named: Vec<_> = self.names.values().chain(self.durable_names.values()).chain(set).copied().collect();
        let keep = |(i, inode): (usize, &Inode)| if named.contains(&i) { inode.clone() } else { Inode::default() };
        Self {
            inodes: self.inodes.iter().enumerate().map(keep).collect(),
            names: self.names.clone(),
            durable_names: self.durable_names.clone(),
            unsynced_names: self.unsynced_names.clone(),
            promised: self.promised.clone(),
            ..Self::default()
        }
    }

    fn change_name(&mut self, change: NameChange) {
        apply(&mut self.names, &change);
        self.unsynced_names.push(change);
        let bytes = self.names.values().map(|inode| self.inodes[*inode].seen.len() as u64).sum();
        self.peak_bytes = self.peak_bytes.max(bytes);
    }
}

fn apply(names: &mut BTreeMap<String, usize>, change: &NameChange) {
    match change {
        NameChange::Set(name, inode) => {
            names.retain(|_, other| other != inode);
            names.insert(name.clone(), *inode);
        }
        NameChange::Remove(name) => {
            names.remove(name);
        }
    }
}

/// The disk. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct SimDisk(Arc<Mutex<State>>);

impl SimDisk {
    /// Every operation after the next `operations` fails, or none.
    pub fn fail_after(&self, operations: Option<u64>) {
        self.0.lock().unwrap().fuse = operations;
    }

    /// From now on, keeps what the disk is before each operation.
    pub fn keep_moments(&self) {
        self.0.lock().unwrap().moments = Some(Vec::new());
    }

    /// The disk before each operation since then.
    pub fn moments(&self) -> Vec<Self> {
        let moments = self.0.lock().unwrap().moments.take().unwrap_or_default();
        moments.into_iter().map(|state| Self(Arc::new(Mutex::new(state)))).collect()
    }

    /// Notes which frames must survive a power cut.
    pub fn promise(&self, frames: Range<u64>) {
        self.0.lock().unwrap().promised = frames;
    }

    pub fn promised(&self) -> Range<u64> {
        self.0.lock().unwrap().promised.clone()
    }

    /// A hash of all names and bytes.
    pub fn image(&self) -> u64 {
        let state = self.0.lock().unwrap();
        let mut hasher = DefaultHasher::new();
        for (name, inode) in &state.names {
            (name, &state.inodes[*inode].seen).hash(&mut hasher);
        }
        hasher.finish()
    }

    pub fn names(&self) -> Vec<String> {
        self.0.lock().unwrap().names.keys().cloned().collect()
    }

    pub fn is_full(&self) -> bool {
        self.0.lock().unwrap().full
    }

    /// Lets every write that takes new space fail with ENOSPC, or no more.
    pub fn set_full(&self, full: bool) {
        self.0.lock().unwrap().full = full;
    }

    /// Lets the directory be read, or no more.
    pub fn set_unreadable(&self, unreadable: bool) {
        self.0.lock().unwrap().unreadable = unreadable;
    }

    /// The most bytes that all files ever had together.
    pub fn peak_bytes(&self) -> u64 {
        self.0.lock().unwrap().peak_bytes
    }

    /// What is found when the power is back: of everything unsynced some sectors, names in order up to some point.
    pub fn after_power_cut(&self, choices: &mut Choices) -> Self {
        let state = self.0.lock().unwrap();
        let mut names = state.durable_names.clone();
        let kept = choices.below(state.unsynced_names.len() as u64 + 1) as usize;
        for change in &state.unsynced_names[..kept] {
            apply(&mut names, change);
        }
        let style = choices.below(4);
        let inodes = state.inodes.iter().map(|inode| {
            let mut bytes = inode.durable.clone();
            for (offset, data) in &inode.unsynced {
                for (i, sector) in data.chunks(SECTOR).enumerate() {
                    let keep = match style {
                        0 => false,
                        1 => true,
                        _ => choices.below(2) == 0,
                    };
                    if keep {
                        let at = offset + i * SECTOR;
                        bytes.resize(bytes.len().max(at + sector.len()), 0);
                        bytes[at..at + sector.len()].copy_from_slice(sector);
                    }
                }
            }
            // Lengths are metadata; data blocks that never came read as zeros.
            bytes.resize(inode.seen.len(), 0);
            Inode { durable: bytes.clone(), seen: bytes, unsynced: Vec::new() }
        });
        let inodes = inodes.collect();
        let peak_bytes = state.peak_bytes;
        Self(Arc::new(Mutex::new(State {
            inodes,
            durable_names: names.clone(),
            names,
            peak_bytes,
            ..State::default()
        })))
    }

    /// Flips one bit of one file whose name ends so.
    pub fn flip_bit_in(&self, choices: &mut Choices, ending: &str) {
        let names: Vec<_> = self.names().into_iter().filter(|name| name.ends_with(ending)).collect();
        let Some(name) = names.get(choices.below(names.len() as u64) as usize) else { return };
        let mut bytes = self.bytes_of(name);
        if !bytes.is_empty() {
            let bit = choices.below(bytes.len() as u64 * 8) as usize;
            bytes[bit / 8] ^= 1 << (bit % 8);
            self.put(name, bytes);
        }
    }

    /// Flips a bit of the byte at `offset`.
    pub fn flip(&self, name: &str, offset: usize) {
        let mut bytes = self.bytes_of(name);
        bytes[offset] ^= 4;
        self.put(name, bytes);
    }

    pub fn bytes_of(&self, name: &str) -> Vec<u8> {
        let state = self.0.lock().unwrap();
        state.inodes[state.names[name]].seen.clone()
    }

    /// Puts a file there, durably, in place of any other of that name.
    pub fn put(&self, name: &str, bytes: Vec<u8>) {
        let mut state = self.0.lock().unwrap();
        state.inodes.push(Inode { durable: bytes.clone(), seen: bytes, unsynced: Vec::new() });
        let inode = state.inodes.len() - 1;
        state.names.insert(name.to_owned(), inode);
        state.durable_names.insert(name.to_owned(), inode);
    }

    /// Overwrites every file with arbitrary bytes.
    pub fn scramble(&self, choices: &mut Choices) {
        let mut state = self.0.lock().unwrap();
        for inode in &mut state.inodes {
            let start = choices.below(inode.seen.len() as u64 + 1) as usize;
            for byte in &mut inode.seen[start..] {
                *byte = choices.below(256) as u8;
            }
            inode.durable = inode.seen.clone();
        }
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    inode: usize,
}

impl DiskFile for SimFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.0.lock().unwrap();
        let seen = &state.inodes[self.inode].seen;
        let start = (offset as usize).min(seen.len());
        let len = bytes.len().min(seen.len() - start);
        bytes[..len].copy_from_slice(&seen[start..start + len]);
        Ok(len)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.0.lock().unwrap();
        state.step()?;
        let inode = &mut state.inodes[self.inode];
        let at = offset as usize;
        assert!(at + bytes.len() <= inode.seen.len(), "nothing is written past what was preallocated");
        inode.seen[at..at + bytes.len()].copy_from_slice(bytes);
        inode.unsynced.push((at, bytes.to_vec()));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.0.lock().unwrap();
        state.step()?;
        let inode = &mut state.inodes[self.inode];
        inode.durable = inode.seen.clone();
        inode.unsynced.clear();
        Ok(())
    }
}

impl Disk for SimDisk {
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let state = self.0.lock().unwrap();
        if state.unreadable {
            return Err(io::Error::other("unreadable"));
        }
        Ok(state.names.iter().map(|(name, inode)| (name.clone(), state.inodes[*inode].seen.len() as u64)).collect())
    }

    fn create(&self, name: &str, len: u64) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.0.lock().unwrap();
        state.step()?;
        if state.full {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        assert!(!state.names.contains_key(name), "{name} exists");
        let zeros = vec![0; len as usize];
        state.inodes.push(Inode { durable: zeros.clone(), seen: zeros, unsynced: Vec::new() });
        let inode = state.inodes.len() - 1;
        state.change_name(NameChange::Set(name.to_owned(), inode));
        Ok(Box::new(SimFile { disk: self.clone(), inode }))
    }

    fn write_new(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.step()?;
        if state.full {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        assert!(!state.names.contains_key(name), "{name} exists");
        let inode = Inode { durable: Vec::new(), seen: bytes.to_vec(), unsynced: vec![(0, bytes.to_vec())] };
        state.inodes.push(inode);
        let inode = state.inodes.len() - 1;
        state.change_name(NameChange::Set(name.to_owned(), inode));
        // The power may go between the write and its sync.
        state.step()?;
        let inode = &mut state.inodes[inode];
        inode.durable = inode.seen.clone();
        inode.unsynced.clear();
        Ok(())
    }

    fn open(&self, name: &str, _write: bool) -> io::Result<Box<dyn DiskFile>> {
        let state = self.0.lock().unwrap();
        let inode = *state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(SimFile { disk: self.clone(), inode }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.step()?;
        let inode = *state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        state.change_name(NameChange::Set(to.to_owned(), inode));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.step()?;
        state.names.contains_key(name).then_some(()).ok_or(io::ErrorKind::NotFound)?;
        state.change_name(NameChange::Remove(name.to_owned()));
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.step()?;
        state.durable_names = state.names.clone();
        state.unsynced_names.clear();
        Ok(())
    }
}
