//! As much HTTP/1.1 as a server for one kind of client needs: requests, answers, dates.

use serde_json::{json, Value};

use super::service::refuse;

/// A request that was read whole.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The path, still percent-encoded, without the query.
    pub path: String,
    /// The query, without the question mark; mackerel-agent sends `?` with nothing after it.
    pub query: String,
    /// The headers; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, with the chunks put together.
    pub body: Vec<u8>,
}

impl Request {
    /// Reads a head, without the empty line; none if it is no HTTP/1.x.
    pub fn from_head(head: &[u8]) -> Option<Self> {
        let head = std::str::from_utf8(head).ok()?;
        let mut lines = head.split("\r\n");
        let mut words = lines.next()?.split(' ');
        let (method, target, version) = (words.next()?, words.next()?, words.next()?);
        if !version.starts_with("HTTP/1.") || !target.starts_with('/') {
            return None;
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        Some(Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: lines.map(header).collect::<Option<_>>()?,
            body: Vec::new(),
        })
    }

    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether a header that is a list holds the word.
    pub fn header_has(&self, name: &str, word: &str) -> bool {
        self.header(name).is_some_and(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(word)))
    }

    /// The body as JSON, or a 400; compressed bodies are not taken (no Mackerel page mentions them).
    pub fn json(&self) -> Result<Value, Response> {
        if self.header("content-encoding").is_some_and(|encoding| encoding != "identity") {
            return Err(refuse(400, "Content-Encoding is not supported."));
        }
        serde_json::from_slice(&self.body).map_err(|error| refuse(400, &format!("Invalid JSON: {error}")))
    }

    /// The decoded pairs of the query.
    pub fn query_pairs(&self) -> Vec<(String, String)> {
        let pair = |text: &str| {
            let (name, value) = text.split_once('=').unwrap_or((text, ""));
            (percent_decode(&name.replace('+', " ")), percent_decode(&value.replace('+', " ")))
        };
        self.query.split('&').filter(|text| !text.is_empty()).map(pair).collect()
    }

    /// The points in the body, if it is a POST to tsdb.
    pub fn points(&self) -> usize {
        if self.method != "POST" || self.path != "/api/v0/tsdb" {
            return 0;
        }
        serde_json::from_slice::<Value>(&self.body).ok().and_then(|v| v.as_array().map(Vec::len)).unwrap_or(0)
    }
}

/// An answer before it is written.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Headers beside Date and Content-Length.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// An answer without a body.
    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    /// An answer with a JSON body.
    pub fn json(status: u16, body: &Value) -> Self {
        Self { body: body.to_string().into_bytes(), ..Self::empty(status) }
            .with_header("Content-Type", "application/json")
    }

    /// Adds a header.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The status line and the headers given, without the empty line.
    pub fn head(&self, now: i64) -> String {
        let mut head = format!("HTTP/1.1 {} {}\r\nDate: {}\r\n", self.status, reason(self.status), http_date(now));
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head
    }

    /// All bytes of the answer, with a Content-Length.
    pub fn bytes(&self, now: i64) -> Vec<u8> {
        self.bytes_with_length(now, &self.body.len().to_string())
    }

    /// The same, with this Content-Length.
    pub fn bytes_with_length(&self, now: i64, length: &str) -> Vec<u8> {
        let mut bytes = format!("{}Content-Length: {length}\r\n\r\n", self.head(now)).into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        301 => "Moved Permanently",
        302 => "Found",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        408 => "Request Timeout",
        413 => "Payload Too Large",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Whatever",
    }
}

/// The answer to what is no HTTP.
pub fn not_understood() -> Response {
    Response::json(400, &json!({"error": "not understood"})).with_header("Connection", "close")
}

/// Undoes percent-encoding; what is no encoding stays.
pub fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = after.get(..2).filter(|_| first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match code.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Seconds since 1970 as HTTP writes them: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub fn http_date(time: i64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Jan", "Feb"];
    let pick = |names: &[&'static str], n: i64| names[usize::try_from(n).unwrap()];
    let (days, second) = (time.div_euclid(86_400), time.rem_euclid(86_400));
    // Days to a date of the Gregorian calendar, in years that begin in March and eras of 400 years.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let year = era * 400 + year_of_era + i64::from(month >= 10);
    format!(
        "{}, {:02} {} {year:04} {:02}:{:02}:{:02} GMT",
        pick(&DAYS, days.rem_euclid(7)),
        day_of_year - (153 * month + 2) / 5 + 1,
        pick(&MONTHS, month),
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}
