//! Faults on demand: what goes wrong, for which requests, and how often.

use std::time::Duration;

/// What goes wrong with one connection or one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    // Before any request is read; no condition on path, method or metric can hold.
    /// The connection is accepted and closed at once (FIN).
    DropAfterAccept,
    /// The server answers in plain text where the client starts TLS (on an HTTP port: whatever it was asked).
    PlainText,

    // While the request is read; a condition on the metric cannot hold.
    /// RST as soon as this many bytes of the request (head and body) were read; the service does not see it.
    ResetAfterRequest(usize),

    // Instead of the service: the request is read whole, and not carried out.
    /// This status, with or without a body and a Retry-After.
    Status {
        /// The status code.
        status: u16,
        /// The body, sent as JSON; none sends `Content-Length: 0`.
        body: Option<String>,
        /// The value of the Retry-After header.
        retry_after: Option<String>,
    },
    /// A redirect (301, 302, 307…) to the URL.
    Redirect {
        /// The status code.
        status: u16,
        /// The Location header.
        location: String,
    },
    /// Nothing at all is answered, until the client gives up or the server stops.
    Silence,

    // The request IS carried out, and its answer suffers.
    /// The right answer comes this late. It adds to any other fault of the same request.
    Latency(Duration),
    /// RST after this many bytes of the answer; 0: carried out, and the client never learns.
    ResetAfterResponse(usize),
    /// The right status, and no body.
    EmptyBody,
    /// The right status, and a body that is neither JSON nor UTF-8.
    Garbage,
    /// The right status, and the first half of the JSON.
    TruncatedJson,
    /// The right status, and `{}`.
    EmptyObject,
    /// A chunked body of this many bytes, generated on the fly.
    EndlessBody(u64),
    /// A body with this Content-Length, generated on the fly.
    HugeLength(u64),
    /// A head that never ends: header lines until the client gives up (or 4 GiB).
    EndlessHeaders,
    /// The right answer, one byte each interval.
    SlowDrip(Duration),
    /// Content-Length is wrong by so much; the connection is closed after the body.
    WrongLength(i64),
    /// This many `100 Continue` before the right answer.
    ContinueFlood(u64),
    /// Bytes that are no HTTP/1.x answer (HTTP/0.9 style), then close.
    NotHttp,
}

impl Fault {
    /// A status without body or Retry-After.
    pub fn status(status: u16) -> Self {
        Self::Status { status, body: None, retry_after: None }
    }

    fn moment(&self, conditional: bool) -> Moment {
        match self {
            Self::DropAfterAccept | Self::PlainText => Moment::Accepted,
            Self::ResetAfterRequest(_) if conditional => Moment::HeadRead,
            Self::ResetAfterRequest(_) => Moment::RequestBegun,
            _ => Moment::RequestRead,
        }
    }
}

/// When the server asks for a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// A connection was accepted.
    Accepted,
    /// The first bytes of a request have come.
    RequestBegun,
    /// The method and the path are known.
    HeadRead,
    /// The request was read whole.
    RequestRead,
}

/// A fault, the requests it applies to, and how often it strikes.
#[derive(Clone, Debug)]
pub struct Rule {
    fault: Fault,
    method: Option<String>,
    path_prefix: Option<String>,
    metric: Option<String>,
    skip: u64,
    every: u64,
    times: u64,
    met: u64,
    struck: u64,
}

impl Rule {
    /// The fault for every request, for ever.
    pub fn new(fault: Fault) -> Self {
        Self {
            fault,
            method: None,
            path_prefix: None,
            metric: None,
            skip: 0,
            every: 1,
            times: u64::MAX,
            met: 0,
            struck: 0,
        }
    }

    /// Only requests of this method.
    pub fn on_method(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    /// Only requests whose path begins so.
    pub fn on_path(mut self, prefix: &str) -> Self {
        self.path_prefix = Some(prefix.to_owned());
        self
    }

    /// Only requests whose body holds the name in quotes: a poison point.
    pub fn on_metric(mut self, name: &str) -> Self {
        self.metric = Some(format!("\"{name}\""));
        self
    }

    /// Not the first `count` of the requests it applies to.
    pub fn skip(mut self, count: u64) -> Self {
        self.skip = count;
        self
    }

    /// Of those after the skipped, only each `n`-th.
    pub fn every(mut self, n: u64) -> Self {
        self.every = n.max(1);
        self
    }

    /// At most so often.
    pub fn times(mut self, count: u64) -> Self {
        self.times = count;
        self
    }

    /// Only the `n`-th request it applies to, from 1.
    pub fn nth(self, n: u64) -> Self {
        self.skip(n.saturating_sub(1)).times(1)
    }

    fn applies(&self, moment: Moment, seen: &Seen<'_>) -> bool {
        let conditional = self.method.is_some() || self.path_prefix.is_some();
        self.fault.moment(conditional) == moment
            && self.method.as_deref().is_none_or(|method| method == seen.method)
            && self.path_prefix.as_deref().is_none_or(|prefix| seen.path.starts_with(prefix))
            && self.metric.as_deref().is_none_or(|name| contains(seen.body, name.as_bytes()))
    }

    fn strikes(&mut self) -> bool {
        let after_skip = self.met.checked_sub(self.skip);
        self.met += 1;
        let strikes = after_skip.is_some_and(|n| n % self.every == self.every - 1) && self.struck < self.times;
        self.struck += u64::from(strikes);
        strikes
    }
}

fn contains(body: &[u8], part: &[u8]) -> bool {
    body.windows(part.len()).any(|window| window == part)
}

/// What of a request is known so far; empty where nothing is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen<'a> {
    /// The method.
    pub method: &'a str,
    /// The path, without the query.
    pub path: &'a str,
    /// The body.
    pub body: &'a [u8],
}

/// The faults that strike one request.
#[derive(Clone, Debug, Default)]
pub struct Struck {
    /// The sum of the latencies.
    pub latency: Duration,
    /// The first fault that is not a latency.
    pub fault: Option<Fault>,
}

/// All rules, in the order in which they were added.
#[derive(Debug, Default)]
pub struct Faults {
    rules: Vec<Rule>,
}

impl Faults {
    /// Adds a rule after the others.
    pub fn add(&mut self, rule: Rule) {
        self.rules.push(rule);
    }

    /// Forgets all rules: nothing goes wrong from now on.
    pub fn clear(&mut self) {
        self.rules.clear();
    }

    /// The faults of this moment. Where several rules apply the first wins, and the others are not counted;
    /// latencies add up.
    pub fn strike(&mut self, moment: Moment, seen: &Seen<'_>) -> Struck {
        let mut struck = Struck::default();
        for rule in &mut self.rules {
            let is_latency = matches!(rule.fault, Fault::Latency(_));
            if (struck.fault.is_some() && !is_latency) || !rule.applies(moment, seen) || !rule.strikes() {
                continue;
            }
            match &rule.fault {
                Fault::Latency(latency) => struck.latency += *latency,
                fault => struck.fault = Some(fault.clone()),
            }
        }
        struck
    }
}
