//! HTTPS to an upstream: one place for time limits, size limits, proxies and what went wrong in words.

use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use rustls::CertificateError;
use ureq::http::{Method, Request, Response, StatusCode, Uri};
use ureq::tls::{parse_pem, PemItem, RootCerts, TlsConfig};
use ureq::{Agent, Body, Proxy};

use super::Failure;
use crate::config::{Config, ProxySettings};
use crate::platform::clock::{Clock, Stamp, Trust, EARLIEST_CREDIBLE_WALL_MS};

/// One request may take this long in all, as mackerel-agent's.
const TOTAL: Duration = Duration::from_secs(30);
/// DNS, connection, proxy and TLS handshake of it.
const CONNECT: Duration = Duration::from_secs(15);
/// The most that is read of an answer: hosts with much metadata are some 10 KB.
const MAX_ANSWER_BYTES: u64 = 256 * 1024;
/// A buffer each way. ureq's own default of 128 KiB would be most of our memory.
const BUFFER_BYTES: usize = 16 * 1024;

/// A client for one API.
pub struct Client {
    agent: Agent,
    base: String,
    headers: Vec<(&'static str, String)>,
    clock: Arc<dyn Clock>,
    /// Whether what the server says of the time is known to be the server's.
    can_vouch: bool,
    /// When the server last told its time, and what it was.
    server_time: Mutex<Option<Stamp>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// What keeps a client from being made.
#[derive(Debug)]
pub struct SetupError(String);

impl std::fmt::Display for SetupError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SetupError {}

impl Client {
    /// A client for the API at the config's `apibase` that sends `headers` with each request.
    ///
    /// # Errors
    /// When `ca_file` cannot be used, or the proxy's URL is none.
    pub fn new(
        config: &Config,
        headers: Vec<(&'static str, String)>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, SetupError> {
        let roots = match &config.ca_file {
            None => RootCerts::WebPki,
            Some(path) => {
                let pem = std::fs::read(path)
                    .map_err(|error| SetupError(format!("read ca_file {}: {error}", path.display())))?;
                let certificates: Vec<_> = parse_pem(&pem)
                    .filter_map(|item| match item {
                        Ok(PemItem::Certificate(certificate)) => Some(certificate),
                        _ => None,
                    })
                    .collect();
                if certificates.is_empty() {
                    return Err(SetupError(format!("ca_file {} holds no certificate in PEM", path.display())));
                }
                RootCerts::from(certificates)
            }
        };
        let tls = TlsConfig::builder()
            .root_certs(roots)
            .unversioned_rustls_crypto_provider(Arc::new(super::tls::provider()))
            .build();
        let proxy = proxy(&config.api_base, &config.proxy, &|name| std::env::var(name).ok())?;
        let agent = Agent::config_builder()
            .tls_config(tls)
            .proxy(proxy)
            .http_status_as_error(false)
            // A POST that is redirected becomes a GET, whose 200 would pass for a delivery.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(TOTAL))
            .timeout_connect(Some(CONNECT))
            .timeout_resolve(Some(CONNECT))
            .input_buffer_size(BUFFER_BYTES)
            .output_buffer_size(BUFFER_BYTES)
            .max_response_header_size(BUFFER_BYTES)
            .max_idle_connections(usize::from(config.keep_alive))
            .max_idle_connections_per_host(usize::from(config.keep_alive))
            .max_idle_age(Duration::from_secs(90))
            .accept_encoding("identity")
            .build();
        Ok(Self {
            agent: agent.into(),
            base: config.api_base.trim_end_matches('/').to_owned(),
            headers,
            clock: Arc::clone(clock),
            can_vouch: can_vouch(&config.api_base),
            server_time: Mutex::new(None),
        })
    }

    /// Sends a request and returns the JSON of the answer.
    ///
    /// # Errors
    /// Anything but a 2xx with JSON: an empty or garbled answer proves nothing, and sending again is harmless.
    pub fn call(&self, method: &Method, path: &str, body: &[u8]) -> Result<serde_json::Value, Failure> {
        let uri = format!("{}{path}", self.base);
        let mut request = Request::builder().method(method.clone()).uri(&uri);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let answer = if *method == Method::GET {
            let request = request.body(()).map_err(|error| Failure::later(error.to_string()))?;
            self.agent.run(request)
        } else {
            let request = request.header("Content-Type", "application/json").body(body);
            self.agent.run(request.map_err(|error| Failure::later(error.to_string()))?)
        };
        let mut answer = answer.map_err(|error| Failure::later(self.in_words(&error)))?;
        let time = self.time_in(&answer);
        let status = answer.status();
        let retry_after = retry_after(answer.headers().get("Retry-After").and_then(|value| value.to_str().ok()));
        if status.is_redirection() {
            let to = answer.headers().get("Location").and_then(|value| value.to_str().ok()).unwrap_or_default();
            let host = to.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_owned));
            let to: String = host.unwrap_or_default().chars().take(100).collect();
            return Err(Failure::later(format!(
                "{} redirects to {to:?} (HTTP {}): check apibase, or log in to the network",
                self.place(),
                status.as_u16()
            )));
        }
        let body = read(answer.body_mut());
        if status.is_success() {
            let body = body.map_err(|error| Failure::later(self.in_words(&error)))?;
            let Ok(value) = serde_json::from_slice(&body) else {
                return Err(Failure::later(format!(
                    "{} answered HTTP {} without the API's JSON: is something between here and there?",
                    self.place(),
                    status.as_u16()
                )));
            };
            // Only now is it known to be the API that tells the time, and not a portal on the way.
            if let (Some(time), Ok(mut seen)) = (time, self.server_time.lock()) {
                *seen = Some(time);
            }
            return Ok(value);
        }
        let reason = self.refusal(status, body.unwrap_or_default().as_slice());
        Err(match status.as_u16() {
            408 | 425 | 429 | 500..=599 => Failure::Later { reason, retry_after },
            400 | 413 | 422 => Failure::Content { reason },
            _ => Failure::Denied { reason },
        })
    }

    /// The server's time (RFC 9110, Date), if it can be believed: over TLS or on this machine, and not out of a cache.
    fn time_in(&self, answer: &Response<Body>) -> Option<Stamp> {
        let text = |name: &str| answer.headers().get(name)?.to_str().ok();
        if !self.can_vouch || text("Age").is_some_and(|age| age.trim() != "0") {
            return None;
        }
        let time = httpdate::parse_http_date(text("Date")?).ok()?;
        let wall_ms = i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()?;
        let is_credible = wall_ms >= EARLIEST_CREDIBLE_WALL_MS;
        is_credible.then(|| Stamp { wall_ms, trust: Trust::Synchronised, ..self.clock.now() })
    }

    /// When the server last told its time (RFC 9110, Date), and what it was.
    #[must_use]
    pub fn server_time(&self) -> Option<Stamp> {
        self.server_time.lock().ok().and_then(|seen| *seen)
    }

    /// The upstream, fit to be printed.
    fn place(&self) -> String {
        let uri: Result<Uri, _> = self.base.parse();
        uri.ok().and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_else(|| "the server".to_owned())
    }

    fn refusal(&self, status: StatusCode, body: &[u8]) -> String {
        let parsed: Option<serde_json::Value> = serde_json::from_slice(body).ok();
        let said = parsed.as_ref().and_then(|value| {
            let error = value.get("error")?;
            error.get("message").unwrap_or(error).as_str()
        });
        let said: String = said.unwrap_or_default().chars().filter(|c| !c.is_control()).take(160).collect();
        let meaning = status.canonical_reason().unwrap_or("unknown status");
        let hint = match status.as_u16() {
            401 | 403 => ": check apikey and its write permission, and the organization's allowed addresses",
            407 => ": the proxy wants a user and password, as in http://user:password@host:port",
            _ => "",
        };
        let separator = if said.is_empty() { "" } else { ": " };
        format!("{} answered {} {meaning}{separator}{said}{hint}", self.place(), status.as_u16())
    }

    fn in_words(&self, error: &ureq::Error) -> String {
        let place = self.place();
        match error {
            ureq::Error::HostNotFound => format!("cannot find {place}: no DNS, or no network"),
            ureq::Error::Timeout(what) => format!("{place} did not answer in time ({what})"),
            ureq::Error::ConnectionFailed => format!("cannot connect to {place}"),
            ureq::Error::BodyExceedsLimit(limit) => format!("{place} answered more than {limit} bytes"),
            ureq::Error::Rustls(error) => tls_in_words(&place, error),
            ureq::Error::Io(error) => match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                Some(error) => tls_in_words(&place, error),
                None => format!("connection to {place}: {error}"),
            },
            other => format!("request to {place}: {other}"),
        }
    }
}

fn read(body: &mut Body) -> Result<Vec<u8>, ureq::Error> {
    body.with_config().limit(MAX_ANSWER_BYTES).read_to_vec()
}

fn tls_in_words(place: &str, error: &rustls::Error) -> String {
    use CertificateError as E;
    let rustls::Error::InvalidCertificate(certificate) = error else {
        return format!("TLS with {place}: {error}");
    };
    let what = match certificate {
        E::Expired | E::ExpiredContext { .. } => "has expired, or this machine's clock is ahead",
        E::NotValidYet | E::NotValidYetContext { .. } => "is not valid yet: this machine's clock is behind",
        // A bad signature is that of an authority with the name of a trusted one and another key.
        E::UnknownIssuer | E::BadSignature => "is of an authority not trusted here (see ca_file)",
        E::NotValidForName | E::NotValidForNameContext { .. } => "is for another name: is something between?",
        other => return format!("the certificate of {place}: {other}"),
    };
    format!("the certificate of {place} {what}")
}

/// Seconds only: the date form would need a clock that is right.
fn retry_after(value: Option<&str>) -> Option<Duration> {
    value?.trim().parse().ok().map(Duration::from_secs)
}

/// Whether a server at `base` is known to be that server: by its certificate, or because it is on this machine.
fn can_vouch(base: &str) -> bool {
    base.parse::<Uri>().is_ok_and(|target| target.scheme_str() == Some("https") || is_loopback(&target))
}

fn is_loopback(target: &Uri) -> bool {
    let host = target.host().unwrap_or_default().trim_matches(['[', ']']);
    host.parse::<std::net::IpAddr>().map_or(host == "localhost", |address| address.is_loopback())
}

/// The proxy for `base`: the config's, else the environment's; none for this machine itself and for `NO_PROXY`.
fn proxy(
    base: &str,
    settings: &ProxySettings,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<Proxy>, SetupError> {
    let Ok(target) = base.parse::<Uri>() else { return Ok(None) };
    if is_loopback(&target) {
        return Ok(None);
    }
    let is_https = target.scheme_str() == Some("https");
    let given = |value: &Option<String>| value.clone().filter(|value| !value.is_empty() && value != "direct");
    // https_proxy = "direct" keeps http_proxy from standing in for it, and no more.
    let configured = match (is_https, &settings.https) {
        (true, Some(https)) if !https.is_empty() => given(&Some(https.clone())),
        _ => given(&settings.http),
    };
    let names: [&str; 2] = if is_https { ["HTTPS_PROXY", "https_proxy"] } else { ["HTTP_PROXY", "http_proxy"] };
    let from_environment = || names.iter().find_map(|name| environment(name).filter(|value| !value.is_empty()));
    let Some(url) = configured.or_else(from_environment) else { return Ok(None) };
    // The URL may hold a password, so it is not quoted.
    let bad = |_| SetupError("the proxy's URL is not of the form http://host:port".to_owned());
    let plain = Proxy::new(&url).map_err(bad)?;
    let exceptions = environment("NO_PROXY").or_else(|| environment("no_proxy")).unwrap_or_default();
    if exceptions.is_empty() {
        return Ok(Some(plain));
    }
    let list = exceptions.split(',').map(str::trim).filter(|exception| !exception.is_empty());
    let list = list.fold(Proxy::builder(plain.protocol()), ureq::ProxyBuilder::no_proxy);
    let is_exception = list.build().map_err(bad)?.is_no_proxy(&target);
    Ok((!is_exception).then_some(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(base: &str, http: &str, https: &str, environment: &[(&str, &str)]) -> Option<String> {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let settings = ProxySettings { http: given(http), https: given(https) };
        let lookup = |name: &str| environment.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        proxy(base, &settings, &lookup).unwrap().map(|proxy| format!("{}:{}", proxy.host(), proxy.port()))
    }

    #[test]
    fn proxies_follow_mackerel_agents_rules() {
        let api = "https://api.mackerelio.com";
        assert_eq!(chosen(api, "http://p:1", "", &[]).unwrap(), "p:1", "http_proxy stands in for https_proxy");
        assert_eq!(chosen(api, "http://p:1", "http://s:2", &[]).unwrap(), "s:2");
        assert_eq!(chosen(api, "http://p:1", "direct", &[]), None);
        assert_eq!(chosen(api, "http://p:1", "direct", &[("HTTPS_PROXY", "http://e:3")]).unwrap(), "e:3");
        assert_eq!(chosen("http://plain.example", "http://p:1", "http://s:2", &[]).unwrap(), "p:1");
        assert_eq!(chosen(api, "", "", &[("https_proxy", "http://e:3")]).unwrap(), "e:3");
        assert_eq!(chosen(api, "", "", &[("HTTP_PROXY", "http://e:3")]), None);
        let exception = [("HTTPS_PROXY", "http://e:3"), ("NO_PROXY", "other.example, .mackerelio.com")];
        assert_eq!(chosen(api, "", "", &exception), None);
        assert_eq!(chosen("https://127.0.0.1:8080", "http://p:1", "", &[]), None);
        assert_eq!(chosen("http://[::1]:8080", "http://p:1", "", &[]), None);
    }

    #[test]
    fn a_proxy_url_that_is_none_is_refused_without_its_password() {
        let settings = ProxySettings { http: Some("ht!tp://user:secret@@".to_owned()), https: None };
        let error = proxy("https://api.example", &settings, &|_| None).unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }

    #[test]
    fn only_a_server_that_is_known_by_its_certificate_vouches_for_the_time() {
        for (base, can) in [
            ("https://api.mackerelio.com", true),
            ("http://127.0.0.1:8080", true),
            ("http://[::1]:8080", true),
            ("http://localhost", true),
            ("http://relay.example", false),
        ] {
            assert_eq!(can_vouch(base), can, "{base}");
        }
    }

    #[test]
    fn retry_after_is_read_in_seconds() {
        assert_eq!(retry_after(Some(" 120 ")), Some(Duration::from_secs(120)));
        assert_eq!(retry_after(Some("Wed, 21 Oct 2026 07:28:00 GMT")), None);
        assert_eq!(retry_after(Some("-1")), None);
        assert_eq!(retry_after(None), None);
    }
}
