//! `iwashi spool`.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::args::Arguments;
use super::sensors::number;
use super::terminal::{bytes, Terminal};
use super::{Command, Outcome, Stop, FAILED, USAGE};
use crate::frame::Frame;
use crate::platform::date::Date;
use crate::platform::disk::{Disk, RealDisk};
use crate::series::{Kind, Series, SeriesTable};
use crate::spool::{Damage, Reader, SegmentSummary};

pub(super) const COMMAND: Command = Command {
    name: "spool",
    arguments: "ls|verify|export",
    summary: "look into the spool: ls, verify, export",
    details: "  ls       one line for each segment\n\
              \x20 verify   reads everything; exits 1 if anything is damaged or missing\n\
              \x20 export   every reading, as CSV, JSON lines or OpenMetrics\n\n\
              Works beside a running agent, and on a card of another machine (--path).",
    options: &["path", "format", "series"],
    run,
};

fn run(arguments: &Arguments, terminal: &mut Terminal) -> Outcome {
    let directory = match arguments.path("path") {
        Some(path) => path,
        None => arguments.config()?.spool_path(),
    };
    super::log::only_warnings();
    let words: Vec<&str> = arguments.words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["ls"] => ls(&directory, terminal),
        ["verify"] => verify(&directory, terminal),
        ["export"] => export(&directory, arguments, terminal),
        [] => Err(Stop::new(USAGE, "spool: which of ls, verify, export?")),
        _ => Err(Stop::new(USAGE, format!("spool: unknown {:?}; there are ls, verify, export", words.join(" ")))),
    }
}

fn disk(directory: &Path) -> Result<Arc<dyn Disk>, Stop> {
    if !directory.is_dir() {
        return Err(Stop::new(FAILED, format!("there is no spool at {}", directory.display())));
    }
    Ok(Arc::new(RealDisk::new(directory)))
}

fn failed(directory: &Path) -> impl Fn(std::io::Error) -> Stop + '_ {
    move |error| Stop::new(FAILED, format!("read spool {}: {error}", directory.display()))
}

fn summaries(directory: &Path) -> Result<Vec<SegmentSummary>, Stop> {
    let disk = disk(directory)?;
    let files = crate::spool::list(disk.as_ref()).map_err(failed(directory))?;
    files.iter().map(|file| Reader::summary(disk.as_ref(), file).map_err(failed(directory))).collect()
}

fn ls(directory: &Path, terminal: &mut Terminal) -> Outcome {
    terminal.heading("segment                bytes frames from                 to");
    for segment in summaries(directory)? {
        let date = |at: Option<(u64, crate::platform::clock::Stamp)>| {
            at.map_or("-".to_owned(), |(_, stamp)| Date(stamp.wall_ms).to_string())
        };
        let mut line = format!(
            "{} {:>7} {:>6} {:<20} {}",
            segment.file.name(),
            bytes(segment.file.len),
            segment.frames,
            date(segment.first),
            date(segment.last)
        );
        if let Some(version) = segment.foreign_version {
            line.push_str(&terminal.warning(&format!("  format version {version}: left alone")));
        } else if !segment.damage.is_none() {
            line.push_str(&terminal.warning("  damaged"));
        }
        terminal.line(&line);
    }
    Ok(())
}

fn verify(directory: &Path, terminal: &mut Terminal) -> Outcome {
    let summaries = summaries(directory)?;
    for segment in summaries.iter().filter(|segment| !segment.damage.is_none()) {
        terminal.line(&terminal.warning(&format!("{}: {}", segment.file.name(), in_words(&segment.damage))));
    }
    let mut reader = Reader::new(disk(directory)?);
    let (mut frames, mut readings) = (0u64, 0u64);
    reader
        .frames(0, &mut |frame, _| {
            frames += 1;
            readings += frame.readings().len() as u64;
            ControlFlow::Continue(())
        })
        .map_err(failed(directory))?;
    let used: u64 = summaries.iter().map(|segment| segment.used_bytes).sum();
    terminal.line(&format!(
        "{} segment{}, {frames} frames, {readings} readings, {} used{}",
        summaries.len(),
        if summaries.len() == 1 { "" } else { "s" },
        bytes(used),
        if readings > 0 { format!(", {:.2} bytes a reading", used as f64 / readings as f64) } else { String::new() }
    ));
    if reader.damage.is_none() {
        terminal.line("all well");
        return Ok(());
    }
    Err(Stop::new(FAILED, in_words(&reader.damage)))
}

fn in_words(damage: &Damage) -> String {
    let counts = [
        (damage.bad_segments, "segments cannot be read or have a damaged header"),
        (damage.foreign_segments, "segments of another format version"),
        (damage.bad_pages, "damaged pages"),
        (damage.bad_blocks, "damaged columns"),
        (damage.stretches, "damaged places"),
        (damage.rows_without_key, "rows whose key is damaged"),
        (damage.readings_without_series, "readings whose series is not known any more"),
        (damage.unknown_records, "records of a newer version"),
        (damage.missing_frames, "frames missing"),
    ];
    let told: Vec<String> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    told.join(", ")
}

fn export(directory: &Path, arguments: &Arguments, terminal: &mut Terminal) -> Outcome {
    let format = arguments.text("format").unwrap_or_else(|| "csv".to_owned());
    let disk = disk(directory)?;
    let globs = arguments.texts("series");
    let is_wanted = |series: &Series| globs.is_empty() || globs.iter().any(|glob| matches(glob, &series.name));
    let mut reader = Reader::new(Arc::clone(&disk));
    match format.as_str() {
        "csv" => {
            terminal.line("time,seq,boot_id,boottime_seconds,series,unit,value");
            reader.frames(0, &mut |frame, table| {
                csv(frame, table, &is_wanted, terminal);
                ControlFlow::Continue(())
            })
        }
        "jsonl" => reader.frames(0, &mut |frame, table| {
            json_line(frame, table, &is_wanted, terminal);
            ControlFlow::Continue(())
        }),
        "openmetrics" => open_metrics(&disk, &is_wanted, terminal),
        other => {
            return Err(Stop::new(USAGE, format!("--format takes csv, jsonl or openmetrics, not {other:?}")));
        }
    }
    .map_err(failed(directory))
}

fn wanted<'a>(
    frame: &'a Frame,
    table: &'a SeriesTable,
    is_wanted: &'a dyn Fn(&Series) -> bool,
) -> impl Iterator<Item = (&'a Series, i64)> {
    let readings = frame.readings().iter().filter_map(|r| Some((table.series(r.series)?.as_ref(), r.value)));
    readings.filter(move |(series, _)| is_wanted(series))
}

/// One row a reading; quoted as RFC 4180 says.
fn csv(frame: &Frame, table: &SeriesTable, is_wanted: &dyn Fn(&Series) -> bool, terminal: &mut Terminal) {
    let stamp = &frame.stamp;
    let boottime = stamp.boottime_ms as f64 / 1000.0;
    let start = format!("{},{},{},{boottime:.3}", Date(stamp.wall_ms), frame.seq, stamp.boot_id);
    let mut rows = String::new();
    for (series, value) in wanted(frame, table, is_wanted) {
        let name = series.to_string().replace('"', "\"\"");
        rows.push_str(&format!("{start},\"{name}\",{},{}\n", series.unit, number(series, value)));
    }
    terminal.raw(&rows);
}

/// One object a frame.
fn json_line(frame: &Frame, table: &SeriesTable, is_wanted: &dyn Fn(&Series) -> bool, terminal: &mut Terminal) {
    let values: serde_json::Map<_, _> = wanted(frame, table, is_wanted)
        .map(|(series, value)| match series.kind {
            Kind::Counter => (series.to_string(), json!(value.cast_unsigned())),
            Kind::Gauge => (series.to_string(), json!(value)),
        })
        .collect();
    let stamp = &frame.stamp;
    let line = json!({
        "seq": frame.seq, "time": Date(stamp.wall_ms).to_string(), "boot_id": stamp.boot_id.to_string(),
        "boottime_ms": stamp.boottime_ms, "wall_ms": stamp.wall_ms, "values": values,
    });
    terminal.line(&line.to_string());
}

/// OpenMetrics text wants each family in one piece, so the spool is read once for each.
fn open_metrics(
    disk: &Arc<dyn Disk>,
    is_wanted: &dyn Fn(&Series) -> bool,
    terminal: &mut Terminal,
) -> std::io::Result<()> {
    let mut families: BTreeMap<String, (Kind, String)> = BTreeMap::new();
    Reader::new(Arc::clone(disk)).frames(0, &mut |frame, table| {
        for (series, _) in wanted(frame, table, is_wanted) {
            if !families.contains_key(series.name.as_ref()) {
                families.insert(series.name.to_string(), (series.kind, series.unit.to_string()));
            }
        }
        ControlFlow::Continue(())
    })?;
    for (name, (kind, unit)) in &families {
        let family: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let (kind, suffix) = match kind {
            Kind::Counter => ("counter", "_total"),
            Kind::Gauge => ("gauge", ""),
        };
        terminal.line(&format!("# TYPE {family} {kind}\n# HELP {family} raw value in {unit}"));
        Reader::new(Arc::clone(disk)).frames(0, &mut |frame, table| {
            for (series, value) in wanted(frame, table, &|series| series.name.as_ref() == name) {
                let text = series.to_string();
                let labels = text.strip_prefix(series.name.as_ref()).unwrap_or_default();
                let seconds = frame.stamp.wall_ms as f64 / 1000.0;
                terminal.line(&format!("{family}{suffix}{labels} {} {seconds:.3}", number(series, value)));
            }
            ControlFlow::Continue(())
        })?;
    }
    terminal.line("# EOF");
    Ok(())
}

/// `*` stands for anything, `?` for one character.
fn matches(glob: &str, name: &str) -> bool {
    let mut rest = glob.chars();
    match rest.next() {
        None => name.is_empty(),
        Some('*') => (0..=name.len()).filter_map(|start| name.get(start..)).any(|name| matches(rest.as_str(), name)),
        Some(wanted) => {
            let mut name = name.chars();
            name.next().is_some_and(|c| (wanted == '?' || wanted == c) && matches(rest.as_str(), name.as_str()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_names() {
        assert!(matches("cpu.*", "cpu.user") && matches("*", "uptime") && matches("loadavg.?", "loadavg.5"));
        assert!(!matches("cpu.*", "memory.MemFree") && !matches("loadavg.?", "loadavg.15"));
    }
}
