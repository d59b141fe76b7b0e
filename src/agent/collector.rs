//! From sensors to the spool, one frame at a time.

use std::sync::Arc;
use std::time::Duration;

use super::own::Own;
use crate::config::Config;
use crate::frame::Frame;
use crate::platform::clock::{Stamp, Trust};
use crate::platform::host::Host;
use crate::sensor::{Readings, Sampler};
use crate::series::SeriesTable;
use crate::spool::{HeldFrame, Limits, OpenError, Spool, MAX_STEP_MS};

/// Samples frames and keeps them.
#[derive(Debug)]
pub struct Collector {
    sampler: Sampler,
    table: SeriesTable,
    /// The spool.
    pub spool: Spool,
    frame: Box<Frame>,
    before: Box<Frame>,
    own: Own,
    dropped_readings: u64,
    /// A moment of this boot when the time was known.
    anchor: Option<Stamp>,
}

impl Collector {
    /// Opens the sensors of `host` and the spool that `config` names.
    ///
    /// # Errors
    /// When the spool is somebody else's.
    pub fn open(config: &Config, host: Host, patience: Duration) -> Result<Self, OpenError> {
        let limits = Limits { max_bytes: config.spool.max_size, sync_interval: config.spool.sync_interval };
        let mut table = SeriesTable::default();
        let spool = Spool::open(&config.spool_path(), limits, patience, &mut table)?;
        let anchor = spool.server_time().filter(|time| time.trust > Trust::Unknown);
        Ok(Self {
            anchor,
            sampler: Sampler::open(host, &config.sensors),
            table,
            spool,
            frame: Box::default(),
            before: Box::default(),
            own: Own::default(),
            dropped_readings: 0,
        })
    }

    /// Takes one frame and appends it. Allocates nothing once warm.
    pub fn collect(&mut self, stamp: Stamp) {
        if Spool::wants_new_table(&self.table) {
            self.renew_table();
        }
        self.note_time(&stamp);
        let stamp = self.believed(stamp);
        std::mem::swap(&mut self.frame, &mut self.before);
        self.sampler.sample(stamp, &mut self.table, &mut self.frame);
        let mut readings = Readings::new(&mut self.frame, &mut self.table, &mut self.dropped_readings);
        self.own.push(&self.spool, &mut readings);
        self.spool.append(&mut self.frame, &mut self.table);
    }

    /// The stamp, with a better wall time where one is known.
    #[must_use]
    pub fn believed(&self, stamp: Stamp) -> Stamp {
        let anchor = self.anchor.filter(|anchor| anchor.is_same_boot(&stamp) && stamp.trust < Trust::Synchronised);
        match anchor.map(|anchor| stamp.dated_by(&anchor, MAX_STEP_MS)) {
            None => stamp,
            Some(dated) if dated.trust == Trust::Synchronised || dated.wall_ms == stamp.wall_ms => dated,
            // Somebody set a battery-backed clock by hand, and nobody can tell which of the two times was right.
            Some(_) => Stamp { trust: Trust::Unknown, ..stamp },
        }
    }

    /// A moment that something vouches for serves all later ones of its boot.
    pub fn note_time(&mut self, stamp: &Stamp) {
        let has_one = self.anchor.is_some_and(|anchor| anchor.is_same_boot(stamp));
        if stamp.trust == Trust::Synchronised || (stamp.trust == Trust::Hardware && !has_one) {
            self.anchor = Some(*stamp);
        }
    }

    /// Takes over frames that only memory held before a reload.
    pub fn adopt(&mut self, held: &[Arc<HeldFrame>]) {
        for held in held {
            if held.seq >= self.spool.next_seq() {
                self.spool.append(&mut held.frame(&mut self.table), &mut self.table);
            }
        }
    }

    /// Numbers series anew: devices came and went until the numbers ran out.
    fn renew_table(&mut self) {
        if let Err(error) = self.spool.renew() {
            crate::verbose!("spool: end the segment: {error}");
            return;
        }
        log::info!("series: {} numbers were given out; starting anew", self.table.len());
        self.table = SeriesTable::next(&self.table);
        self.sampler.reset_series();
        self.own = Own::default();
        self.before.restart(Stamp::default());
        self.frame.restart(Stamp::default());
    }

    /// The last frame, and the one right before it in this process.
    #[must_use]
    pub fn last(&self) -> (&Frame, Option<&Frame>) {
        let before = self.before.as_ref();
        (&self.frame, Some(before).filter(|before| before.seq != 0 && before.seq + 1 == self.frame.seq))
    }

    /// See [`Spool::held`].
    #[must_use]
    pub fn held(&self) -> Vec<Arc<HeldFrame>> {
        self.spool.held(&self.table)
    }

    /// What the numbers of series in [`Collector::last`] stand for.
    #[must_use]
    pub fn table(&self) -> &SeriesTable {
        &self.table
    }

    /// The sensors.
    #[must_use]
    pub fn sampler(&self) -> &Sampler {
        &self.sampler
    }
}
