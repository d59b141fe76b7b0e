//! One connection: requests are read, faults struck, answers written.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use nix::sys::socket::{setsockopt, sockopt::Linger};
use rustls::{ServerConnection, StreamOwned};

use super::damage;
use super::faults::{Fault, Moment, Seen, Struck};
use super::http::{not_understood, Request, Response};
use super::service::LoggedRequest;
use super::stopping::Stopping;
use super::Shared;

const HEAD_LIMIT: usize = 64 * 1024;
const BODY_LIMIT: usize = 64 * 1024 * 1024;

/// The socket, shared with whoever stops the server; the last owner closes it.
#[derive(Clone, Debug)]
struct Socket(Arc<TcpStream>);

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self.0).read(buffer)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// A connection and what was read from it but not yet used.
pub struct Connection<'a> {
    shared: &'a Shared,
    stopping: &'a Stopping,
    socket: Arc<TcpStream>,
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
    /// Bytes of the present request that were read.
    taken: usize,
    /// RST once so many were read.
    reset_at: Option<usize>,
}

/// Serves a connection until it ends, in one way or another.
pub fn serve(shared: &Shared, stopping: &Stopping, socket: Arc<TcpStream>) {
    match shared.strike(Moment::Accepted, &Seen::default()).fault {
        Some(Fault::PlainText) => {
            let text = "HTTP/1.0 400 Bad Request\r\n\r\nClient sent something else to a fake Mackerel.\n";
            let mut hello = [0; 16 * 1024];
            if (&*socket).read(&mut hello).is_ok() && (&*socket).write_all(text.as_bytes()).is_ok() {
                socket.shutdown(Shutdown::Write).ok();
                stopping.until_closed(&socket); // closing earlier could turn the text into RST
            }
            return;
        }
        Some(_) => return,
        None => {}
    }
    let stream: Box<dyn Stream> = match &shared.tls {
        None => Box::new(Socket(Arc::clone(&socket))),
        Some(config) => {
            let session = ServerConnection::new(Arc::clone(config)).unwrap();
            Box::new(StreamOwned::new(session, Socket(Arc::clone(&socket))))
        }
    };
    let mut connection = Connection { shared, stopping, socket, stream, buffer: Vec::new(), taken: 0, reset_at: None };
    while let Ok(true) = connection.exchange() {}
}

impl Connection<'_> {
    /// One request and its answer; whether another may follow.
    fn exchange(&mut self) -> io::Result<bool> {
        self.taken = self.buffer.len();
        self.reset_at = None;
        let request = match self.read_request() {
            Ok(Some(request)) => request,
            Ok(None) => {
                let bytes = not_understood().bytes(self.shared.now());
                self.write(&bytes)?;
                return Ok(false);
            }
            Err(error) => {
                if self.reset_at.is_some_and(|at| self.taken >= at) {
                    let fault = self.reset_at.map(Fault::ResetAfterRequest);
                    self.log(&Request::default(), None, fault.as_ref());
                }
                return Err(error);
            }
        };
        let seen = Seen { method: &request.method, path: &request.path, body: &request.body };
        let Struck { latency, fault } = self.shared.strike(Moment::RequestRead, &seen);
        let response = match &fault {
            Some(Fault::Status { status, body, retry_after }) => damage::status(*status, body, retry_after),
            Some(Fault::Redirect { status, location }) => Response::empty(*status).with_header("Location", location),
            Some(Fault::Silence) => {
                self.log(&request, None, fault.as_ref());
                self.stopping.until_closed(&self.socket);
                return Ok(false);
            }
            _ => self.shared.carry_out(&request),
        };
        let label = fault.clone().or_else(|| (!latency.is_zero()).then_some(Fault::Latency(latency)));
        let status = fault.as_ref().is_none_or(damage::shows_status).then_some(response.status);
        self.log(&request, status, label.as_ref());
        if self.stopping.wait(latency) {
            return Ok(false);
        }
        self.respond(&request, fault, response)
    }

    fn respond(&mut self, request: &Request, fault: Option<Fault>, response: Response) -> io::Result<bool> {
        let now = self.shared.now();
        let keep = !request.header_has("connection", "close");
        let response = if keep { response } else { response.with_header("Connection", "close") };
        match fault {
            Some(fault) => Ok(damage::write(self, &fault, response, now)? && keep),
            None => self.write(&response.bytes(now)).map(|()| keep),
        }
    }

    fn log(&self, request: &Request, status: Option<u16>, fault: Option<&Fault>) {
        self.shared.record(LoggedRequest {
            method: request.method.clone(),
            path: request.path.clone(),
            query: request.query.clone(),
            headers: request.headers.clone(),
            body_size: request.body.len(),
            points: request.points(),
            received: self.shared.now(),
            at: Instant::now(),
            status,
            fault: fault.map(|fault| format!("{fault:?}")),
        });
    }

    /// None if it is no HTTP; an error at the end of the connection.
    fn read_request(&mut self) -> io::Result<Option<Request>> {
        if self.buffer.is_empty() {
            self.fill()?;
        }
        self.arm(&Seen::default(), Moment::RequestBegun)?;
        let end = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end;
            }
            if self.buffer.len() > HEAD_LIMIT {
                return Ok(None);
            }
            self.fill()?;
        };
        let Some(mut request) = Request::from_head(&self.buffer[..end]) else { return Ok(None) };
        self.buffer.drain(..end + 4);
        self.arm(&Seen { method: &request.method, path: &request.path, body: b"" }, Moment::HeadRead)?;
        if request.header_has("expect", "100-continue") {
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        if request.header_has("transfer-encoding", "chunked") {
            return Ok(self.read_chunks()?.map(|body| Request { body, ..request }));
        }
        let length = request.header("content-length").map_or(Some(0), |text| text.parse::<usize>().ok());
        let Some(length) = length.filter(|length| *length <= BODY_LIMIT) else { return Ok(None) };
        request.body = self.take(length)?;
        Ok(Some(request))
    }

    fn read_chunks(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut body = Vec::new();
        loop {
            let end = loop {
                if let Some(end) = find(&self.buffer, b"\r\n") {
                    break end;
                }
                self.fill()?;
            };
            let line = self.take(end + 2)?;
            let digits = std::str::from_utf8(&line).ok().and_then(|line| line.trim_end().split(';').next());
            let Some(size) = digits.and_then(|digits| usize::from_str_radix(digits, 16).ok()) else { return Ok(None) };
            if size > BODY_LIMIT - body.len() {
                return Ok(None);
            }
            let mut chunk = self.take(size + 2)?; // trailers are not taken: no client of ours sends them
            chunk.truncate(size);
            body.append(&mut chunk);
            if size == 0 {
                return Ok(Some(body));
            }
        }
    }

    fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < length {
            self.fill()?;
        }
        Ok(self.buffer.drain(..length).collect())
    }

    fn fill(&mut self) -> io::Result<()> {
        self.check_reset()?;
        let mut block = [0; 16 * 1024];
        let most = self.reset_at.map_or(block.len(), |at| block.len().min(at - self.taken));
        let count = self.stream.read(&mut block[..most])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.taken += count;
        self.buffer.extend_from_slice(&block[..count]);
        self.check_reset()
    }

    /// Sets the number of bytes after which to reset, if a fault of that moment strikes.
    fn arm(&mut self, seen: &Seen<'_>, moment: Moment) -> io::Result<()> {
        if let Some(Fault::ResetAfterRequest(bytes)) = self.shared.strike(moment, seen).fault {
            self.reset_at = Some(bytes);
        }
        self.check_reset()
    }

    fn check_reset(&self) -> io::Result<()> {
        match self.reset_at {
            Some(at) if self.taken >= at => {
                self.reset();
                Err(io::ErrorKind::ConnectionReset.into())
            }
            _ => Ok(()),
        }
    }

    /// Lets the close that follows send RST in place of FIN.
    pub fn reset(&self) {
        setsockopt(&*self.socket, Linger, &nix::libc::linger { l_onoff: 1, l_linger: 0 }).unwrap();
    }

    /// Writes all bytes now.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// What is told when the server stops.
    pub fn stopping(&self) -> &Stopping {
        self.stopping
    }
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}
