//! `iwashi spool export`: CSV, JSON lines, OpenMetrics.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::super::args::Arguments;
use super::super::sensors::number;
use super::super::terminal::Terminal;
use super::super::{Outcome, Stop, USAGE};
use super::select::Selection;
use crate::frame::Frame;
use crate::platform::date::Date;
use crate::platform::decimal::Decimal;
use crate::platform::disk::Disk;
use crate::series::{Kind, Series, SeriesTable};
use crate::spool::{Reader, Time, Timeline};

/// How much text is gathered before it is written.
const CHUNK_BYTES: usize = 16 * 1024;

pub(super) fn run(directory: &Path, arguments: &Arguments, terminal: &mut Terminal) -> Outcome {
    let format = arguments.text("format").unwrap_or_else(|| "csv".to_owned());
    let disk = super::disk(directory)?;
    let selection = Selection::of(arguments)?;
    let timeline = Reader::new(Arc::clone(&disk)).timeline(0).map_err(super::failed(directory))?;
    let mut export = Export { disk, selection, timeline, out: String::new(), terminal };
    match format.as_str() {
        "csv" => {
            export.out.push_str("time,certainty,seq,boot_id,boottime_seconds,series,unit,value\n");
            export.frames(None, &mut csv)
        }
        "jsonl" => export.frames(None, &mut json_line),
        "openmetrics" => export.open_metrics(),
        other => return Err(Stop::new(USAGE, format!("--format takes csv, jsonl or openmetrics, not {other:?}"))),
    }
    .map_err(super::failed(directory))?;
    export.write(0);
    Ok(())
}

struct Export<'t> {
    disk: Arc<dyn Disk>,
    selection: Selection,
    timeline: Timeline,
    out: String,
    terminal: &'t mut Terminal,
}

/// What shows one frame.
type Show<'a> = dyn FnMut(&Frame, Time, &SeriesTable, &mut String) + 'a;

impl Export<'_> {
    /// Shows every frame that is asked for, with the series that are, or with those of one name.
    fn frames(&mut self, name: Option<&str>, show: &mut Show<'_>) -> std::io::Result<()> {
        let (selection, name) = (self.selection.clone(), name.map(str::to_owned));
        let is_wanted = move |series: &Series| match &name {
            Some(name) => series.name.as_ref() == name,
            None => selection.has_series(series),
        };
        let mut reader = Reader::new(Arc::clone(&self.disk)).only(is_wanted);
        reader.frames(0, &mut |frame, table| {
            let time = self.timeline.time(&frame.stamp);
            if self.selection.has_time(time) {
                show(frame, time, table, &mut self.out);
                self.write(CHUNK_BYTES);
            }
            ControlFlow::Continue(())
        })
    }

    /// Writes what has gathered, once it is more than `enough`.
    fn write(&mut self, enough: usize) {
        if self.out.len() > enough {
            self.terminal.raw(&self.out);
            self.out.clear();
        }
    }

    /// OpenMetrics text wants each family in one piece, so the spool is read once for each.
    fn open_metrics(&mut self) -> std::io::Result<()> {
        let mut families: BTreeMap<String, (Kind, String)> = BTreeMap::new();
        self.frames(None, &mut |frame, _, table, _| {
            for reading in frame.readings() {
                let Some(series) = table.series(reading.series) else { continue };
                if !families.contains_key(series.name.as_ref()) {
                    families.insert(series.name.to_string(), (series.kind, series.unit.to_string()));
                }
            }
        })?;
        for (name, (kind, unit)) in &families {
            let family: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
            let (kind, suffix) = match kind {
                Kind::Counter => ("counter", "_total"),
                Kind::Gauge => ("gauge", ""),
            };
            self.out.push_str(&format!("# TYPE {family} {kind}\n# HELP {family} raw value in {unit}\n"));
            self.frames(Some(name), &mut |frame, time, table, out| {
                for (series, value) in readings(frame, table) {
                    let text = series.to_string();
                    let labels = text.strip_prefix(series.name.as_ref()).unwrap_or_default();
                    out.push_str(&format!("{family}{suffix}{labels} {}", number(series, value)));
                    // A sample whose time nobody knows has none.
                    match time {
                        Time::Known(ms) | Time::Estimated(ms) => {
                            out.push_str(&format!(" {}\n", Decimal { units: ms, places: 3 }));
                        }
                        Time::Unknown => out.push('\n'),
                    }
                }
            })?;
        }
        self.out.push_str("# EOF\n");
        Ok(())
    }
}

fn readings<'a>(frame: &'a Frame, table: &'a SeriesTable) -> impl Iterator<Item = (&'a Series, i64)> {
    frame.readings().iter().filter_map(|r| Some((table.series(r.series)?.as_ref(), r.value)))
}

/// The time, if any is known or estimated, and how sure it is.
fn in_words(time: Time) -> (Option<Date>, &'static str) {
    match time {
        Time::Known(wall_ms) => (Some(Date(wall_ms)), "known"),
        Time::Estimated(wall_ms) => (Some(Date(wall_ms)), "estimated"),
        Time::Unknown => (None, "unknown"),
    }
}

/// One row a reading; quoted as RFC 4180 says. Writing to a string does not fail.
fn csv(frame: &Frame, time: Time, table: &SeriesTable, out: &mut String) {
    let stamp = &frame.stamp;
    let boottime = Decimal { units: stamp.boottime_ms.cast_signed(), places: 3 };
    for (series, value) in readings(frame, table) {
        let (date, certainty) = in_words(time);
        date.map(|date| write!(out, "{date}").ok());
        write!(out, ",{certainty},{},{},{boottime},\"", frame.seq, stamp.boot_id).ok();
        write!(Quoted(out), "{series}").ok();
        writeln!(out, "\",{},{}", series.unit, number(series, value)).ok();
    }
}

/// Doubles quotation marks.
struct Quoted<'o>(&'o mut String);

impl std::fmt::Write for Quoted<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for (i, part) in text.split('"').enumerate() {
            self.0.push_str(if i == 0 { "" } else { "\"\"" });
            self.0.push_str(part);
        }
        Ok(())
    }
}

/// One object a frame.
fn json_line(frame: &Frame, time: Time, table: &SeriesTable, out: &mut String) {
    let values: serde_json::Map<_, _> = readings(frame, table)
        .map(|(series, value)| match series.kind {
            Kind::Counter => (series.to_string(), json!(value.cast_unsigned())),
            Kind::Gauge => (series.to_string(), json!(value)),
        })
        .collect();
    let stamp = &frame.stamp;
    let (date, certainty) = in_words(time);
    let line = json!({
        "seq": frame.seq, "time": date.map(|date| date.to_string()), "certainty": certainty, "boot_id": stamp.boot_id.to_string(),
        "boottime_ms": stamp.boottime_ms, "wall_ms": stamp.wall_ms, "values": values,
    });
    writeln!(out, "{line}").ok();
}
