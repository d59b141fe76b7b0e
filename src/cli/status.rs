//! `iwashi status`.

use std::sync::Arc;

use serde_json::{json, Value};

use super::args::Arguments;
use super::terminal::{bytes, duration, Terminal};
use super::{Command, Outcome, Stop, FAILED};
use crate::config::Config;
use crate::frame::Frame;
use crate::platform::clock::{Clock, Stamp, SystemClock, Trust};
use crate::platform::date::Date;
use crate::platform::disk::{Disk, RealDisk};
use crate::sensor::Sampler;
use crate::series::SeriesTable;
use crate::spool::{Cursor, Reader, Trouble, MAX_STEP_MS};

pub(super) const COMMAND: Command = Command {
    name: "status",
    arguments: "",
    summary: "what is collected, kept, sent and lost",
    details: "Reads the spool beside the agent that writes it (nothing is locked) and each\n\
              sensor once. For every sink: collected = delivered + expired + timeless +\n\
              lost + waiting, in frames.",
    options: &["json"],
    run,
};

/// Everything that is told.
struct Status {
    config: Config,
    now: Stamp,
    host_id: Option<String>,
    spool_error: Option<String>,
    spool_bytes: u64,
    oldest: Option<(u64, Stamp)>,
    newest: Option<(u64, Stamp)>,
    own: Vec<(String, i64)>,
    collected: u64,
    cursors: Vec<Cursor>,
    troubles: Vec<Trouble>,
    failing: Vec<(String, String)>,
}

fn run(arguments: &Arguments, terminal: &mut Terminal) -> Outcome {
    let config = arguments.config()?;
    super::log::only_warnings();
    let status = gather(arguments, config);
    if arguments.is_given("json") {
        terminal.line(&as_json(&status).to_string());
    } else {
        print(&status, terminal);
    }
    match status.spool_error {
        Some(error) => Err(Stop::new(FAILED, error)),
        None => Ok(()),
    }
}

fn gather(arguments: &Arguments, config: Config) -> Status {
    let id = std::fs::read_to_string(config.root.join("id")).ok();
    let mut status = Status {
        now: SystemClock::new(&arguments.sysroot()).stamp(),
        host_id: id.map(|id| id.trim_end().to_owned()).filter(|id| !id.is_empty()),
        spool_error: None,
        spool_bytes: 0,
        oldest: None,
        newest: None,
        own: Vec::new(),
        collected: 0,
        cursors: Vec::new(),
        troubles: Vec::new(),
        failing: Vec::new(),
        config,
    };
    if let Err(error) = gather_spool(&mut status) {
        let path = status.config.spool_path();
        status.spool_error = Some(match error.kind() {
            std::io::ErrorKind::NotFound => {
                format!("there is no spool at {}: has `iwashi run` been started?", path.display())
            }
            _ => format!("read spool {}: {error}", path.display()),
        });
    }
    let mut sampler = Sampler::open(arguments.host(), &status.config.sensors);
    sampler.sample(status.now, &mut SeriesTable::default(), &mut Frame::default());
    let failing = sampler.health().filter(|(_, health)| health.failing > 0);
    status.failing = failing
        .map(|(name, health)| {
            (name.to_owned(), health.last_error.as_ref().map(ToString::to_string).unwrap_or_default())
        })
        .collect();
    status
}

fn gather_spool(status: &mut Status) -> std::io::Result<()> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(&status.config.spool_path()));
    status.spool_bytes = crate::spool::list(disk.as_ref())?.iter().map(|file| file.len).sum();
    (status.cursors, status.troubles) = {
        let (cursors, troubles) = Reader::sinks(disk.as_ref())?;
        (cursors.into_iter().collect(), troubles)
    };
    // A sink that never sent anything has no cursor, and most often a trouble that tells why.
    for trouble in &status.troubles {
        if !status.cursors.iter().any(|cursor| trouble.sink == cursor.sink.as_str()) {
            status.cursors.push(Cursor::new(&trouble.sink));
        }
    }
    let mut reader = Reader::new(disk);
    reader.frames(0, &mut |frame, _| {
        status.oldest = Some((frame.seq, frame.stamp));
        std::ops::ControlFlow::Break(())
    })?;
    if let Some((frame, table)) = reader.last_frame()? {
        status.newest = Some((frame.seq, frame.stamp));
        let readings = frame.readings().iter().filter_map(|r| Some((table.series(r.series)?, r.value)));
        status.own = readings
            .filter(|(series, _)| series.name.starts_with("iwashi."))
            .map(|(series, value)| (series.to_string(), value))
            .collect();
    }
    let seen = status.cursors.iter().map(|cursor| cursor.settled.max(cursor.ahead_to)).max().unwrap_or(1);
    status.collected = status.newest.map_or(0, |(seq, _)| seq).max(seen - 1);
    Ok(())
}

fn print(status: &Status, terminal: &mut Terminal) {
    let now = status.now.wall_ms;
    // What an agent dated by the server is compared with the server's time.
    let is_sure = status.now.trust == Trust::Synchronised;
    let told = told(status).filter(|_| !is_sure);
    let dated_now = told.map_or(status.now, |time| status.now.dated_by(&time, MAX_STEP_MS)).wall_ms;
    let ago = |then: i64| duration(u64::try_from(dated_now.saturating_sub(then)).unwrap_or(0));
    let config = &status.config;
    terminal.heading("Agent");
    terminal.line(&format!("  version      {}", env!("CARGO_PKG_VERSION")));
    let file = config.file.as_ref().map_or("none; defaults".to_owned(), |file| file.display().to_string());
    terminal.line(&format!("  config       {file}"));
    terminal.line(&format!("  clock        {} ({})", Date(now), clock_note(status)));
    terminal.heading("Spool");
    terminal.line(&format!("  path         {}", config.spool_path().display()));
    terminal.line(&format!("  size         {} of {}", bytes(status.spool_bytes), bytes(config.spool.max_size)));
    if let (Some((first, oldest)), Some((last, newest))) = (status.oldest, status.newest) {
        let since = match oldest.trust {
            Trust::Unknown => String::new(),
            _ => format!(", since {}", Date(oldest.wall_ms)),
        };
        terminal.line(&format!("  frames       {first} to {last}{since}"));
        let age = match newest.is_same_boot(&status.now) {
            true => duration(status.now.boottime_ms.saturating_sub(newest.boottime_ms)),
            false => ago(newest.wall_ms),
        };
        terminal.line(&format!("  last frame   {age} ago"));
    }
    // Those of sinks are told with each sink.
    let is_warning = |series: &str| !series.contains("bytes") && !series.starts_with("iwashi.sink.");
    for (series, value) in status.own.iter().filter(|(series, value)| *value != 0 && is_warning(series)) {
        terminal.line(&terminal.warning(&format!("  {series} {value}")));
    }
    if status.failing.is_empty() {
        terminal.line("  sensors      all well");
    }
    for (name, error) in &status.failing {
        terminal.line(&terminal.warning(&format!("  sensor {name}: {error}")));
    }
    for cursor in &status.cursors {
        terminal.heading(&format!("Sink {}", cursor.sink));
        terminal.line(&format!("  upstream     {}", config.api_base_shown()));
        terminal.line(&format!("  host id      {}", status.host_id.as_deref().unwrap_or("not registered yet")));
        let waiting = cursor.waiting(status.collected + 1);
        terminal.line(&format!("  frames       {} collected = {} delivered", status.collected, delivered(cursor)));
        terminal.line(&format!(
            "               + {} expired + {} timeless + {} lost + {waiting} waiting",
            cursor.expired, cursor.timeless, cursor.lost
        ));
        terminal.line(&format!("  points       {} sent, {} refused", cursor.points, cursor.rejected_points));
        match cursor.last_success_ms {
            0 => terminal.line("  last upload  never"),
            then => terminal.line(&format!("  last upload  {} ago", ago(then))),
        }
        for trouble in status.troubles.iter().filter(|trouble| trouble.sink == cursor.sink.as_str()) {
            terminal.line(&terminal.warning(&format!("  trouble      since {}:", Date(trouble.since_ms))));
            terminal.line(&terminal.warning(&format!("               {}", trouble.text)));
        }
    }
    if status.cursors.is_empty() {
        terminal.heading("Sinks");
        let note = if config.api_key.is_some() { "nothing sent yet" } else { "none: the config has no apikey" };
        terminal.line(&format!("  {note}"));
    }
}

/// What a server told of the time in this boot.
fn told(status: &Status) -> Option<Stamp> {
    status.cursors.iter().map(|cursor| cursor.server_time).find(|time| time.is_same_boot(&status.now))
}

/// What is known about the clock.
fn clock_note(status: &Status) -> String {
    let told = told(status).map(|time| time.wall_at(status.now.boottime_ms));
    match (status.now.trust, told) {
        (Trust::Synchronised, _) => "synchronised".to_owned(),
        (_, Some(told)) if told.abs_diff(status.now.wall_ms) > MAX_STEP_MS => {
            format!("wrong: the server says {}", Date(told))
        }
        (_, Some(_)) => "as the server's".to_owned(),
        (Trust::Hardware, None) => "set by a battery-backed clock".to_owned(),
        (Trust::Unknown, None) => "not known to be right: uploads wait".to_owned(),
    }
}

/// Frames ahead of the backlog are delivered, though the cursor counts them only later.
fn delivered(cursor: &Cursor) -> u64 {
    cursor.delivered + (cursor.ahead_to - cursor.ahead_from)
}

fn as_json(status: &Status) -> Value {
    let frame = |frame: Option<(u64, Stamp)>| {
        frame.map(|(seq, stamp)| json!({ "seq": seq, "time": Date(stamp.wall_ms).to_string() }))
    };
    let sinks: Vec<Value> = status
        .cursors
        .iter()
        .map(|cursor| {
            let trouble = status.troubles.iter().find(|trouble| trouble.sink == cursor.sink.as_str());
            json!({
                "name": cursor.sink.as_str(),
                "upstream": status.config.api_base_shown(),
                "host_id": status.host_id,
                "frames": {
                    "collected": status.collected,
                    "delivered": delivered(cursor),
                    "expired": cursor.expired,
                    "timeless": cursor.timeless,
                    "lost": cursor.lost,
                    "waiting": cursor.waiting(status.collected + 1),
                },
                "points": { "sent": cursor.points, "refused": cursor.rejected_points },
                "last_success": (cursor.last_success_ms > 0).then(|| Date(cursor.last_success_ms).to_string()),
                "trouble": trouble.map(|trouble| json!({
                    "since": Date(trouble.since_ms).to_string(), "text": trouble.text,
                })),
            })
        })
        .collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "config": status.config.file.as_ref().map(|file| file.display().to_string()),
        "clock": { "time": Date(status.now.wall_ms).to_string(), "state": clock_note(status) },
        "spool": {
            "path": status.config.spool_path().display().to_string(),
            "bytes": status.spool_bytes,
            "max_bytes": status.config.spool.max_size,
            "oldest": frame(status.oldest),
            "newest": frame(status.newest),
            "error": status.spool_error,
        },
        "counters": status.own.iter().map(|(s, v)| (s.clone(), json!(v))).collect::<serde_json::Map<_, _>>(),
        "failing_sensors": status.failing.iter().map(|(s, e)| (s.clone(), json!(e))).collect::<serde_json::Map<_, _>>(),
        "sinks": sinks,
    })
}
