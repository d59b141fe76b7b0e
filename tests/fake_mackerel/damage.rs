//! Answers that suffer from a fault.

use std::io;
use std::time::Duration;

use super::connection::Connection;
use super::faults::Fault;
use super::http::Response;

/// Header lines are sent up to about 4 GiB.
const ENDLESS_LINES: u64 = 1 << 25;

/// The answer of [`Fault::Status`].
pub fn status(status: u16, body: &Option<String>, retry_after: &Option<String>) -> Response {
    let mut response = Response::empty(status);
    if let Some(body) = body {
        response = response.with_header("Content-Type", "application/json");
        response.body = body.clone().into_bytes();
    }
    match retry_after {
        Some(value) => response.with_header("Retry-After", value),
        None => response,
    }
}

/// Whether the client can learn the status of an answer with that fault.
pub fn shows_status(fault: &Fault) -> bool {
    match fault {
        Fault::ResetAfterResponse(bytes) => *bytes >= "HTTP/1.1 200".len(),
        Fault::NotHttp | Fault::Silence => false,
        _ => true,
    }
}

/// Writes the answer in the way of the fault; whether another request may follow.
pub fn write(connection: &mut Connection<'_>, fault: &Fault, mut response: Response, now: i64) -> io::Result<bool> {
    match fault {
        Fault::EmptyBody => response.body.clear(),
        Fault::Garbage => response.body = b"<html>\0\xff\xfe not JSON".to_vec(),
        Fault::TruncatedJson => response.body.truncate(response.body.len() / 2),
        Fault::EmptyObject => response.body = b"{}".to_vec(),
        Fault::ResetAfterResponse(count) => {
            let bytes = response.bytes(now);
            connection.write(&bytes[..bytes.len().min(*count)])?;
            connection.reset();
            return Ok(false);
        }
        Fault::EndlessBody(total) => {
            connection.write(format!("{}Transfer-Encoding: chunked\r\n\r\n", response.head(now)).as_bytes())?;
            stream(connection, *total, true)?;
            connection.write(b"0\r\n\r\n")?;
            return Ok(false);
        }
        Fault::HugeLength(total) => {
            connection.write(format!("{}Content-Length: {total}\r\n\r\n", response.head(now)).as_bytes())?;
            stream(connection, *total, false)?;
            return Ok(false);
        }
        Fault::EndlessHeaders => {
            connection.write(response.head(now).as_bytes())?;
            for n in 0..ENDLESS_LINES {
                connection.write(format!("X-Filler-{n}: {:0128}\r\n", n).as_bytes())?;
            }
            return Ok(false);
        }
        Fault::SlowDrip(interval) => return drip(connection, &response.bytes(now), *interval),
        Fault::WrongLength(difference) => {
            let length = i64::try_from(response.body.len()).unwrap() + difference;
            connection.write(&response.bytes_with_length(now, &length.to_string()))?;
            return Ok(false);
        }
        Fault::ContinueFlood(count) => {
            for _ in 0..*count {
                connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            }
        }
        Fault::NotHttp => {
            connection.write(b"welcome to the captive portal\n")?;
            return Ok(false);
        }
        // The rest strikes before the answer, or is the answer.
        _ => {}
    }
    connection.write(&response.bytes(now))?;
    Ok(true)
}

/// A JSON string that does not end, in blocks of 64 KiB.
fn stream(connection: &mut Connection<'_>, total: u64, chunked: bool) -> io::Result<()> {
    let mut block = vec![b'a'; 64 * 1024];
    block[0] = b'"';
    let mut left = total;
    while left > 0 {
        let size = usize::try_from(left).map_or(block.len(), |left| left.min(block.len()));
        if chunked {
            connection.write(format!("{size:x}\r\n").as_bytes())?;
        }
        connection.write(&block[..size])?;
        if chunked {
            connection.write(b"\r\n")?;
        }
        block[0] = b'a';
        left -= size as u64;
    }
    Ok(())
}

fn drip(connection: &mut Connection<'_>, bytes: &[u8], interval: Duration) -> io::Result<bool> {
    for byte in bytes {
        connection.write(&[*byte])?;
        if connection.stopping().wait(interval) {
            return Ok(false);
        }
    }
    Ok(true)
}
