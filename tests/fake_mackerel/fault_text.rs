//! Faults as a person writes them on a command line.

use std::str::FromStr;
use std::time::Duration;

use super::faults::{Fault, Rule};

/// The syntax, for `--help`.
pub const SYNTAX: &str = "\
A fault is its name, then conditions, separated by commas:
  status=503[,retry-after=30][,body={}]  answer so, without carrying out the request
  redirect=URL[,code=307]                answer so, without carrying out the request
  silence                                never answer
  latency=MS                             carry out, and answer late; adds to another fault
  drop, plain-text                       close, or answer in plain text, right after accept
  reset-request=N, reset-response=N      RST after N bytes of the request read, of the answer written
  empty, garbage, truncated, object      a body that is empty, no JSON, half of it, or {}
  endless-body=BYTES, huge-length=BYTES  a body of that size, chunked or with a Content-Length
  endless-headers, not-http              a head without end; bytes that are no HTTP
  drip=MS                                one byte each MS milliseconds
  wrong-length=N                         Content-Length off by N
  continue-flood=N                       N times 100 Continue before the answer
conditions:
  method=POST  path=/api/v0/tsdb  metric=NAME  skip=N  every=N  times=N
example:
  --fault status=503,retry-after=30,path=/api/v0/tsdb,times=3";

/// Reads one `--fault`.
pub fn parse(text: &str) -> Result<Rule, String> {
    let mut parts = text.split(',').map(|part| part.split_once('=').unwrap_or((part, "")));
    let (name, value) = parts.next().unwrap_or_default();
    let mut fault = fault(name, value)?;
    let mut conditions = Vec::new();
    for (key, value) in parts {
        match (&mut fault, key) {
            (Fault::Status { retry_after, .. }, "retry-after") => *retry_after = Some(value.to_owned()),
            (Fault::Status { body, .. }, "body") => *body = Some(value.to_owned()),
            (Fault::Redirect { status, .. }, "code") => *status = number(key, value)?,
            _ => conditions.push((key, value)),
        }
    }
    conditions.into_iter().try_fold(Rule::new(fault), |rule, (key, value)| {
        Ok(match key {
            "method" => rule.on_method(value),
            "path" => rule.on_path(value),
            "metric" => rule.on_metric(value),
            "skip" => rule.skip(number(key, value)?),
            "every" => rule.every(number(key, value)?),
            "times" => rule.times(number(key, value)?),
            _ => return Err(format!("{key}: no such condition")),
        })
    })
}

fn fault(name: &str, value: &str) -> Result<Fault, String> {
    let millis = || number(name, value).map(Duration::from_millis);
    Ok(match name {
        "status" => Fault::status(number(name, value)?),
        "redirect" => Fault::Redirect { status: 302, location: value.to_owned() },
        "silence" => Fault::Silence,
        "latency" => Fault::Latency(millis()?),
        "drop" => Fault::DropAfterAccept,
        "plain-text" => Fault::PlainText,
        "reset-request" => Fault::ResetAfterRequest(number(name, value)?),
        "reset-response" => Fault::ResetAfterResponse(number(name, value)?),
        "empty" => Fault::EmptyBody,
        "garbage" => Fault::Garbage,
        "truncated" => Fault::TruncatedJson,
        "object" => Fault::EmptyObject,
        "endless-body" => Fault::EndlessBody(number(name, value)?),
        "huge-length" => Fault::HugeLength(number(name, value)?),
        "endless-headers" => Fault::EndlessHeaders,
        "not-http" => Fault::NotHttp,
        "drip" => Fault::SlowDrip(millis()?),
        "wrong-length" => Fault::WrongLength(number(name, value)?),
        "continue-flood" => Fault::ContinueFlood(number(name, value)?),
        _ => return Err(format!("{name}: no such fault")),
    })
}

fn number<T: FromStr>(key: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{key}={value}: not a number that fits"))
}
