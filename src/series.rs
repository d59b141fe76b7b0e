//! What is measured: a series is a name with labels, a kind and a unit.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// How a series' values follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// Counts up from boot; only differences mean something. Its values are unsigned 64-bit.
    Counter,
    /// Stands for itself. Its values are signed 64-bit.
    Gauge,
}

/// One thing that a sensor can measure, without the device it is measured on. Sensors declare these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// The name of the series on disk and in exports, e.g. `disk.reads_completed`.
    pub name: &'static str,
    /// Counter or gauge.
    pub kind: Kind,
    /// The unit of the raw value, in the kernel's terms: `jiffies`, `kB`, `bytes`, `millidegree Celsius` …
    pub unit: &'static str,
    /// The kernel file it comes from, e.g. `/proc/stat`.
    pub source: &'static str,
    /// One line that says what it is.
    pub help: &'static str,
}

/// A label: what the series is measured on.
pub type Label = (Box<str>, Box<str>);

/// The identity of a series.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Series {
    /// See [`Metric::name`].
    pub name: Box<str>,
    /// Label pairs, in the order the sensor gives them.
    pub labels: Box<[Label]>,
    /// Counter or gauge.
    pub kind: Kind,
    /// See [`Metric::unit`].
    pub unit: Box<str>,
}

impl Series {
    /// The series of `metric` on the device that `labels` name.
    #[must_use]
    pub fn new(metric: &Metric, labels: &[(&str, &str)]) -> Self {
        Self {
            name: metric.name.into(),
            labels: labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
            kind: metric.kind,
            unit: metric.unit.into(),
        }
    }

    /// The value of label `key`.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.iter().find(|(k, _)| k.as_ref() == key).map(|(_, value)| value.as_ref())
    }

    fn bytes(&self) -> usize {
        self.name.len() + self.unit.len() + self.labels.iter().map(|(k, v)| k.len() + v.len()).sum::<usize>()
    }
}

/// `name{key="value",…}`, as Prometheus and OpenMetrics write it.
impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for (i, (key, value)) in self.labels.iter().enumerate() {
            write!(f, "{}{key}={value:?}", if i == 0 { '{' } else { ',' })?;
        }
        if self.labels.is_empty() {
            Ok(())
        } else {
            f.write_str("}")
        }
    }
}

/// The number of a series within one [`SeriesTable`].
pub type SeriesId = u16;

/// The most series one table holds; further ones are refused and counted.
pub const MAX_SERIES: usize = 2048;

/// The most bytes that the name, unit and labels of one series may take.
pub const MAX_SERIES_BYTES: usize = 1024;

/// All series known to one process, numbered in the order they were met.
#[derive(Debug, Default)]
pub struct SeriesTable {
    by_id: Vec<Option<Arc<Series>>>,
    by_series: HashMap<Arc<Series>, SeriesId>,
    refused: u64,
    generation: u64,
}

impl SeriesTable {
    /// An empty table to take the place of `old`, whose numbers mean nothing any more.
    #[must_use]
    pub fn next(old: &Self) -> Self {
        Self { generation: old.generation + 1, ..Self::default() }
    }

    /// Tables of different generations number series differently.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The number of `series`, new or known. `None`, counted, when the table is full or the series is too long.
    pub fn intern(&mut self, series: Series) -> Option<SeriesId> {
        if let Some(id) = self.by_series.get(&series) {
            return Some(*id);
        }
        let id = SeriesId::try_from(self.by_id.len()).ok();
        let Some(id) = id.filter(|id| usize::from(*id) < MAX_SERIES && series.bytes() <= MAX_SERIES_BYTES) else {
            self.refused += 1;
            return None;
        };
        let series = Arc::new(series);
        self.by_id.push(Some(Arc::clone(&series)));
        self.by_series.insert(series, id);
        Some(id)
    }

    /// Gives `series` the number `id` that an earlier process gave it; where the number is taken, nothing happens.
    pub fn restore(&mut self, id: SeriesId, series: &Series) {
        let index = usize::from(id);
        if index >= MAX_SERIES || series.bytes() > MAX_SERIES_BYTES {
            return;
        }
        if self.by_id.len() <= index {
            self.by_id.resize(index + 1, None);
        }
        if let Some(place @ None) = self.by_id.get_mut(index) {
            let series = Arc::new(series.clone());
            *place = Some(Arc::clone(&series));
            self.by_series.entry(series).or_insert(id);
        }
    }

    /// The series of number `id`.
    #[must_use]
    pub fn series(&self, id: SeriesId) -> Option<&Arc<Series>> {
        self.by_id.get(usize::from(id))?.as_ref()
    }

    /// How many numbers are given out.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// How often [`SeriesTable::intern`] refused.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READS: Metric = Metric {
        name: "disk.reads_completed",
        kind: Kind::Counter,
        unit: "operations",
        source: "/proc/diskstats",
        help: "",
    };

    #[test]
    fn a_series_keeps_its_number() {
        let mut table = SeriesTable::default();
        let sda = table.intern(Series::new(&READS, &[("device", "sda")])).unwrap();
        let sdb = table.intern(Series::new(&READS, &[("device", "sdb")])).unwrap();
        assert_ne!(sda, sdb);
        assert_eq!(table.intern(Series::new(&READS, &[("device", "sda")])), Some(sda));
        assert_eq!(table.series(sdb).unwrap().label("device"), Some("sdb"));
        assert_eq!(table.series(sda).unwrap().to_string(), r#"disk.reads_completed{device="sda"}"#);
    }

    #[test]
    fn a_full_table_refuses_and_counts() {
        let mut table = SeriesTable::default();
        for i in 0..MAX_SERIES {
            assert!(table.intern(Series::new(&READS, &[("device", &i.to_string())])).is_some());
        }
        assert_eq!(table.intern(Series::new(&READS, &[("device", "one more")])), None);
        let long = "x".repeat(MAX_SERIES_BYTES);
        assert_eq!(SeriesTable::default().intern(Series::new(&READS, &[("device", &long)])), None);
        assert_eq!((table.len(), table.refused()), (MAX_SERIES, 1));
    }
}
