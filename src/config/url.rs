//! URLs: the base of the API, and keeping passwords out of messages.

/// `text` as `scheme://[userinfo@]host[:port]`, what else it holds discarded as the agent does.
///
/// None unless it is an `http` or `https` URL with a host.
pub(super) fn base(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let authority = rest.split(['/', '?', '#']).next()?;
    let host_and_port = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (host, port) = split_port(host_and_port)?;
    let is_visible = authority.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    let is_good = matches!(&*scheme, "http" | "https") && is_visible && is_host(host) && is_port(port);
    is_good.then(|| format!("{scheme}://{authority}"))
}

/// The host, and the port with its colon.
fn split_port(text: &str) -> Option<(&str, &str)> {
    let host_len = if text.starts_with('[') { text.find(']')? + 1 } else { text.find(':').unwrap_or(text.len()) };
    text.split_at_checked(host_len)
}

fn is_host(host: &str) -> bool {
    match host.strip_prefix('[') {
        Some(address) => address.strip_suffix(']').is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok()),
        None => !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)),
    }
}

fn is_port(port: &str) -> bool {
    port.is_empty()
        || port
            .strip_prefix(':')
            .is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()) && digits.parse::<u16>().is_ok())
}

/// `text` with all that stands before its last `@` hidden, apart from the scheme.
pub(super) fn redact(text: &str) -> String {
    let Some((before, after)) = text.rsplit_once('@') else { return text.to_string() };
    let scheme = before.split_once("://").map(|(scheme, _)| scheme);
    let is_scheme = |scheme: &&str| scheme.bytes().all(|b| b.is_ascii_alphanumeric());
    scheme.filter(is_scheme).map_or_else(|| format!("…@{after}"), |scheme| format!("{scheme}://…@{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_loses_its_path_and_query() {
        for (text, url) in [
            ("https://api.mackerelio.com", Some("https://api.mackerelio.com")),
            ("https://api.mackerelio.com/", Some("https://api.mackerelio.com")),
            ("HTTP://127.0.0.1:8080/x?y#z", Some("http://127.0.0.1:8080")),
            ("https://u:p@host/x@y", Some("https://u:p@host")),
            ("http://[::1]:80/", Some("http://[::1]:80")),
            ("http://[::1]", Some("http://[::1]")),
            ("ftp://host", None),
            ("host", None),
            ("https://", None),
            ("https://:80", None),
            ("https://host:99999", None),
            ("https://host:", None),
            ("https://host:8x", None),
            ("https://ho st", None),
            ("https://host\n", None),
            ("http://[::1", None),
            ("http://[zz]", None),
            ("http://[::1]80", None),
        ] {
            assert_eq!(base(text).as_deref(), url, "{text:?}");
        }
    }

    #[test]
    fn a_password_is_hidden_wherever_it_stands() {
        assert_eq!(redact("http://user:p@ss@proxy:80"), "http://…@proxy:80");
        assert_eq!(redact("user:secret@proxy"), "…@proxy");
        assert_eq!(redact("se://cret:x://y@proxy"), "se://…@proxy");
        assert_eq!(redact("http://proxy"), "http://proxy");
    }
}
