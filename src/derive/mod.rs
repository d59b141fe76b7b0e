//! From raw readings to points: percentages, rates and an upstream's own names.

pub mod mackerel;

use crate::frame::Frame;
use crate::series::SeriesTable;

/// One value of one metric at one time, as an upstream sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// The metric's name in the upstream's terms.
    pub name: String,
    /// Seconds since 1970.
    pub time: i64,
    /// The value; always finite.
    pub value: f64,
}

/// Makes points of frames.
pub trait Derive: Send + Sync {
    /// The points of `frame` at `time` (seconds since 1970); `before` is the frame before it, for rates.
    fn points(&self, before: Option<&Frame>, frame: &Frame, table: &SeriesTable, time: i64) -> Vec<Point>;
}
