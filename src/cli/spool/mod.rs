//! `iwashi spool`.

mod export;
mod select;

use std::path::Path;
use std::sync::Arc;

use super::args::Arguments;
use super::terminal::{bytes, Terminal};
use super::{Command, Outcome, Stop, FAILED, USAGE};
use crate::platform::clock::Stamp;
use crate::platform::date::Date;
use crate::platform::decimal::Decimal;
use crate::platform::disk::{Disk, RealDisk};
use crate::spool::{list, Damage, Form, Reader, Time};

pub(super) const COMMAND: Command = Command {
    name: "spool",
    arguments: "ls|verify|export",
    summary: "look into the spool: ls, verify, export",
    details: "  ls       one line for each segment\n\
              \x20 verify   reads everything; exits 1 if anything is damaged or missing\n\
              \x20 export   every reading, as CSV, JSON lines or OpenMetrics\n\n\
              Works beside a running agent, and on a card of another machine (--path).\n\
              Frames taken before the clock was known to be right have the time that was\n\
              found out later; what could not be found out is estimated, and says so.",
    options: &["path", "format", "series", "since", "until"],
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
        ["export"] => export::run(&directory, arguments, terminal),
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

fn ls(directory: &Path, terminal: &mut Terminal) -> Outcome {
    let disk = disk(directory)?;
    let timeline = Reader::new(Arc::clone(&disk)).timeline(0).map_err(failed(directory))?;
    let date = |at: Option<(u64, Stamp)>| at.map_or("-".to_owned(), |(_, stamp)| in_short(timeline.time(&stamp)));
    terminal.heading("segment          form      bytes frames from                  to");
    for file in list(disk.as_ref()).map_err(failed(directory))? {
        let Some(segment) = Reader::glance(disk.as_ref(), &file).map_err(failed(directory))? else { continue };
        let form = match segment.file.form {
            Form::Pages => "pages",
            Form::Sealed => "sealed",
        };
        let mut line = format!(
            "{:016x} {form:<6} {:>8} {:>6} {:<21} {}",
            segment.file.number,
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

/// A time for a column: an estimate has a tilde before it.
fn in_short(time: Time) -> String {
    match time {
        Time::Known(wall_ms) => Date(wall_ms).to_string(),
        Time::Estimated(wall_ms) => format!("~{}", Date(wall_ms)),
        Time::Unknown => "unknown".to_owned(),
    }
}

fn verify(directory: &Path, terminal: &mut Terminal) -> Outcome {
    let disk = disk(directory)?;
    let (mut segments, mut frames, mut readings, mut used) = (0u64, 0, 0, 0);
    let mut damage = Damage::default();
    let mut last: Option<u64> = None;
    for file in list(disk.as_ref()).map_err(failed(directory))? {
        let Some(segment) = Reader::summary(disk.as_ref(), &file).map_err(failed(directory))? else { continue };
        if !segment.damage.is_none() {
            terminal.line(&terminal.warning(&format!("{}: {}", file.name(), in_words(&segment.damage))));
        }
        damage += segment.damage;
        segments += 1;
        (readings, used) = (readings + segment.readings, used + segment.used_bytes);
        let (first, next) = (segment.first.map(|(seq, _)| seq), segment.last.map(|(seq, _)| seq));
        // The last frame of a segment may go on in the next.
        let is_shared = first.is_some() && first == last;
        frames += segment.frames - u64::from(is_shared);
        if let (Some(last), Some(first)) = (last, first) {
            let missing = first.saturating_sub(last).saturating_sub(1);
            damage.missing_frames = damage.missing_frames.saturating_add(missing);
        }
        last = next.or(last);
    }
    terminal.line(&format!(
        "{segments} segment{}, {frames} frames, {readings} readings, {} used{}",
        if segments == 1 { "" } else { "s" },
        bytes(used),
        if readings > 0 { format!(", {} bytes a reading", Decimal::ratio(used, readings, 2)) } else { String::new() }
    ));
    if damage.is_none() {
        terminal.line("all well: nothing damaged, nothing missing");
        return Ok(());
    }
    Err(Stop::new(FAILED, in_words(&damage)))
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
