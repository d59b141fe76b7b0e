//! The fake Mackerel as a program: `cargo run --example fake-mackerel -- --help`.

#[path = "mod.rs"]
mod fake_mackerel;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use fake_mackerel::{fault_text, FakeMackerel, Keys, Leaf, LoggedRequest, Options, Rule};
use lexopt::prelude::*;

const HELP: &str = "\
A fake Mackerel on 127.0.0.1, to try an agent by hand. It keeps everything in memory.

usage: fake-mackerel [--port N] [--tls DIR] [--leaf good|expired|wrong-name] [--key KEY] [--fault FAULT]...

  --port N        the port (8080)
  --tls DIR       HTTPS; the private CA is kept in DIR
  --leaf KIND     the certificate to show (good)
  --key KEY       the API key that may read and write (fake-key)
  --read-key KEY  an API key that may only read
  --fault FAULT   let something go wrong; may be repeated, the first that applies wins
";

struct Arguments {
    options: Options,
    faults: Vec<Rule>,
}

/// None: help was asked for.
fn parse() -> Result<Option<Arguments>, lexopt::Error> {
    let mut options = Options { port: 8080, ..Options::default() };
    let mut leaf = Leaf::Good;
    let mut faults = Vec::new();
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") | Short('h') => return Ok(None),
            Long("port") => options.port = parser.value()?.parse()?,
            Long("tls") => options.ca_directory = Some(PathBuf::from(parser.value()?)),
            Long("leaf") => leaf = parser.value()?.parse_with(parse_leaf)?,
            Long("key") => options.keys = Keys { full: parser.value()?.string()?, ..options.keys },
            Long("read-key") => options.keys.read_only = Some(parser.value()?.string()?),
            Long("fault") => faults.push(parser.value()?.parse_with(fault_text::parse)?),
            _ => return Err(argument.unexpected()),
        }
    }
    options.tls = options.ca_directory.as_ref().map(|_| leaf);
    Ok(Some(Arguments { options, faults }))
}

fn parse_leaf(text: &str) -> Result<Leaf, &'static str> {
    match text {
        "good" => Ok(Leaf::Good),
        "expired" => Ok(Leaf::Expired),
        "wrong-name" => Ok(Leaf::WrongName),
        _ => Err("not good, expired or wrong-name"),
    }
}

fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// `08:49:37 POST /api/v0/tsdb 200, 12 points, 640 bytes`, by the service's clock, in UTC.
fn line(request: &LoggedRequest) -> String {
    let second = request.received.rem_euclid(86_400);
    let mut line = format!(
        "{:02}:{:02}:{:02} {} {}{}{} {}",
        second / 3600,
        second / 60 % 60,
        second % 60,
        request.method,
        request.path,
        if request.query.is_empty() { "" } else { "?" },
        request.query,
        request.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string()),
    );
    if request.points > 0 {
        line.push_str(&format!(", {} points", request.points));
    }
    if request.body_size > 0 {
        line.push_str(&format!(", {} bytes", request.body_size));
    }
    if let Some(fault) = &request.fault {
        line.push_str(&format!(" [{fault}]"));
    }
    line
}

fn serve(arguments: Arguments) -> io::Result<()> {
    let options = Options { on_request: Some(Box::new(|request| drop(print(&line(request))))), ..arguments.options };
    let is_tls = options.tls.is_some();
    let fake = FakeMackerel::start(options);
    arguments.faults.into_iter().for_each(|rule| fake.add_fault(rule));
    print(&format!("fake Mackerel at {}; Ctrl-C ends it. A configuration for an agent:\n", fake.url()))?;
    print(&format!("    apibase = \"{}\"\n    apikey = \"{}\"\n", fake.url(), fake.key()))?;
    if is_tls {
        print(&format!("The CA's certificate: SSL_CERT_FILE={}\n", fake.ca_file().display()))?;
    }
    loop {
        std::thread::park();
    }
}

fn main() -> ExitCode {
    let result = match parse() {
        Ok(Some(arguments)) => serve(arguments).map_err(|error| error.to_string()),
        Ok(None) => print(&format!("{HELP}\n{}", fault_text::SYNTAX)).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let Err(message) = result else { return ExitCode::SUCCESS };
    writeln!(io::stderr(), "fake-mackerel: {message}").ok();
    ExitCode::from(2)
}
