//! The simplest client, for tests of the fake itself and for a look at its answers.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use super::FakeMackerel;

/// Sends the text; all bytes that come until the server closes.
pub fn raw(fake: &FakeMackerel, text: &str) -> std::io::Result<Vec<u8>> {
    let mut socket = TcpStream::connect(fake.address())?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    socket.write_all(text.as_bytes())?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer)?;
    Ok(answer)
}

/// One request with that key; the status and the body.
pub fn exchange(fake: &FakeMackerel, key: &str, method: &str, target: &str, body: &str) -> (u16, String) {
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: x\r\nX-Api-Key: {key}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = String::from_utf8(raw(fake, &request).unwrap()).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}

/// One request with the right key and a JSON body; the status and the JSON.
pub fn call(fake: &FakeMackerel, method: &str, target: &str, body: &Value) -> (u16, Value) {
    let body = if method == "GET" { String::new() } else { body.to_string() };
    let (status, body) = exchange(fake, fake.key(), method, target, &body);
    (status, serde_json::from_str(&body).unwrap())
}
