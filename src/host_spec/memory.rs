//! Sizes of memory, as `24684096kB`.
//!
//! Reads `/proc/meminfo` (kernel doc filesystems/proc), lines such as `MemTotal:       24684096 kB`.

use std::io;

use super::{garbage, read_text, Fields};
use crate::platform::host::Host;

const MEMINFO: &str = "/proc/meminfo";

/// The lines that are shown, and under which name. `MemAvailable` is not among them.
const SHOWN: [(&str, &str); 28] = [
    ("MemTotal", "total"),
    ("MemFree", "free"),
    ("Buffers", "buffers"),
    ("Cached", "cached"),
    ("Active", "active"),
    ("Inactive", "inactive"),
    ("HighTotal", "high_total"),
    ("HighFree", "high_free"),
    ("LowTotal", "low_total"),
    ("LowFree", "low_free"),
    ("Dirty", "dirty"),
    ("Writeback", "writeback"),
    ("AnonPages", "anon_pages"),
    ("Mapped", "mapped"),
    ("Slab", "slab"),
    ("SReclaimable", "slab_reclaimable"),
    ("SUnreclaim", "slab_unreclaim"),
    ("PageTables", "page_tables"),
    ("NFS_Unstable", "nfs_unstable"),
    ("Bounce", "bounce"),
    ("CommitLimit", "commit_limit"),
    ("Committed_AS", "committed_as"),
    ("VmallocTotal", "vmalloc_total"),
    ("VmallocUsed", "vmalloc_used"),
    ("VmallocChunk", "vmalloc_chunk"),
    ("SwapCached", "swap_cached"),
    ("SwapTotal", "swap_total"),
    ("SwapFree", "swap_free"),
];

/// Reads the sizes; lines that the kernel does not have, or that are no size, are left out.
///
/// # Errors
/// When the file cannot be read, or has none of the lines.
pub(super) fn read(host: &Host) -> io::Result<Fields> {
    let sizes: Fields = read_text(host, MEMINFO)?.lines().filter_map(parse).collect();
    if sizes.is_empty() {
        return Err(garbage(MEMINFO, "no known line"));
    }
    Ok(sizes)
}

fn parse(line: &str) -> Option<(&'static str, String)> {
    let (key, size) = line.split_once(':')?;
    let (_, name) = SHOWN.iter().find(|(known, _)| *known == key)?;
    let mut words = size.split_ascii_whitespace();
    let value: u64 = words.next()?.parse().ok()?;
    (words.next() == Some("kB")).then(|| (*name, format!("{value}kB")))
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::*;

    #[test]
    fn value_and_unit_are_joined_and_unknown_lines_left_out() {
        let tree = Tree::new(&[(
            "proc/meminfo",
            "MemTotal:       24684096 kB\nMemAvailable:   23980528 kB\nSUnreclaim:        47324 kB\n\
             Active(anon):       1576 kB\nHugePages_Total:       0\nCached: lots kB\nDirty: 5\nMapped\n\
             LowFree:  7 kB\n",
        )]);
        let found: Vec<(&str, String)> = read(&tree.host()).unwrap().into_iter().collect();
        let expected = [("low_free", "7kB"), ("slab_unreclaim", "47324kB"), ("total", "24684096kB")];
        assert_eq!(found, expected.map(|(name, size)| (name, size.to_owned())));
    }

    #[test]
    fn a_file_without_a_known_line_is_an_error() {
        let tree = Tree::new(&[("proc/meminfo", "\0\0garbage: 1 kB\n")]);
        assert_eq!(read(&tree.host()).unwrap_err().to_string(), "/proc/meminfo: no known line");
    }
}
