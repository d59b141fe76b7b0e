//! Fixture trees of hosts, and what their `statfs.txt` says about mount points.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use iwashi::config::Sensors;
use iwashi::frame::Frame;
use iwashi::platform::clock::Stamp;
use iwashi::platform::host::{Host, Mounts, Space};
use iwashi::sensor::Sampler;
use iwashi::series::{Kind, SeriesTable};
use nix::errno::Errno;

/// `statfs.txt`: a line for each mount point, with its device and its space or the error that asking for it gives.
pub struct Statfs {
    root: PathBuf,
    points: HashMap<String, (u64, Result<Space, Errno>)>,
}

impl Statfs {
    pub fn read(root: &Path) -> Self {
        let text = fs::read_to_string(root.join("statfs.txt")).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        Self { root: root.to_owned(), points: lines.map(Self::point).collect() }
    }

    fn point(line: &str) -> (String, (u64, Result<Space, Errno>)) {
        let words: Vec<_> = line.split(' ').collect();
        let number = |place: usize| words[place].parse::<u64>().unwrap();
        let space = match words[2] {
            "EIO" => Err(Errno::EIO),
            "EACCES" => Err(Errno::EACCES),
            _ => Ok(Space { fragment_bytes: number(2), total: number(3), free: number(4), available: number(5) }),
        };
        (words[0].replace("\\040", " "), (number(1), space))
    }

    fn ask(&self, path: &Path) -> io::Result<(u64, Result<Space, Errno>)> {
        let point = format!("/{}", path.strip_prefix(&self.root).unwrap().display());
        self.points.get(&point).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Mounts for Statfs {
    fn device(&self, path: &Path) -> io::Result<u64> {
        Ok(self.ask(path)?.0)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        Ok(self.ask(path)?.1?)
    }
}

pub fn hosts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hosts")
}

/// The machine of the tree `root`.
pub fn host_at(root: &Path) -> Host {
    Host::with_mounts(root, Box::new(Statfs::read(root)))
}

/// A sampler with its table and its frame.
pub struct Bench {
    pub sampler: Sampler,
    pub series: SeriesTable,
    pub frame: Frame,
}

impl Bench {
    pub fn new(host: Host, settings: &Sensors) -> Self {
        Self { sampler: Sampler::open(host, settings), series: SeriesTable::default(), frame: Frame::default() }
    }

    pub fn sample(&mut self) {
        self.sampler.sample(Stamp::default(), &mut self.series, &mut self.frame);
    }

    /// `series value`, a line for each reading.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for reading in self.frame.readings() {
            let series = self.series.series(reading.series).unwrap();
            match series.kind {
                Kind::Counter => writeln!(text, "{series} {}", reading.value.cast_unsigned()).unwrap(),
                Kind::Gauge => writeln!(text, "{series} {}", reading.value).unwrap(),
            }
        }
        text
    }
}
