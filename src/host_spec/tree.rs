//! A small root directory for tests, removed when dropped.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::platform::host::Host;

static COUNT: AtomicU32 = AtomicU32::new(0);

pub(super) struct Tree(pub(super) PathBuf);

impl Tree {
    /// A root with these files.
    pub(super) fn new(files: &[(&str, &str)]) -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let tree = Self(std::env::temp_dir().join(format!("iwashi-spec-{}-{number}", std::process::id())));
        std::fs::create_dir_all(&tree.0).unwrap();
        for (path, text) in files {
            tree.write(path, text.as_bytes());
        }
        tree
    }

    pub(super) fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.0.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    pub(super) fn host(&self) -> Host {
        Host::new(&self.0)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}
