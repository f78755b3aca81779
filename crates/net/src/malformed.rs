//! Says what is wrong with a text that is not the address of a socket, and how to write it right.

use std::net::{IpAddr, Ipv6Addr};

/// The port of examples, where the text has none.
const PORT: &str = "8080";

/// The port that a text names, in digits alone: the standard library accepts a sign as well.
pub(crate) fn port_of(text: &str) -> Option<u16> {
    let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_digits)
}

/// What is wrong with a text that should be `HOST:PORT`, in words that follow the quoted text: "has
/// no host: …".
pub(crate) fn problem_of(text: &str) -> String {
    if text.trim() != text {
        return format!("has spaces around it: write '{}'", text.trim());
    }
    if text.is_empty() {
        return format!("is empty: write HOST:PORT, such as 127.0.0.1:{PORT}");
    }
    if text == "unix:" {
        return "has no path: write unix:/a/path, or unix:@name".to_owned();
    }
    if text.starts_with("unix:") {
        return "is not the address of an IP socket, but of a Unix socket: unix:PATH".to_owned();
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        return url(scheme, rest.split('/').next().unwrap_or_default());
    }
    if port_of(text).is_some() {
        return no_host(text);
    }
    if text.contains('/') {
        return format!("is not HOST:PORT; as the path of a Unix socket, write unix:{text}");
    }
    if let Some(problem) = out_of_range(text) {
        return problem;
    }
    // An address without a port: IPv6 has colons of its own.
    let bracketed = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    match bracketed.unwrap_or(text).parse() {
        Ok(IpAddr::V4(ip)) => return no_port(&ip.to_string()),
        Ok(IpAddr::V6(ip)) => return unbracketed(text, ip),
        Err(_) => {}
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return no_port(text);
    };
    if port.is_empty() {
        return no_port(host);
    }
    if port_of(port).is_none() {
        let no_number = || format!("has '{port}' where a port is expected, which is a number");
        return out_of_range(port).unwrap_or_else(no_number);
    }
    if host.is_empty() {
        return no_host(port);
    }
    if host == "*" {
        return no_star(port);
    }
    if host.starts_with('[') != host.ends_with(']') {
        return "has only one of the two brackets around an IPv6 address".to_owned();
    }
    if host.parse::<Ipv6Addr>().is_ok() {
        return format!("needs brackets around its IPv6 address: write [{host}]:{port}");
    }
    "is not HOST:PORT".to_owned()
}

/// A number that is no port.
fn out_of_range(port: &str) -> Option<String> {
    let digits = port.strip_prefix(['-', '+']).unwrap_or(port);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let rule = match port.as_bytes()[0] {
        b'-' => "begin at 0",
        b'+' => "have no sign",
        _ => "end at 65535",
    };
    Some(format!("has the port {port}, and ports {rule}"))
}

fn no_host(port: &str) -> String {
    format!(
        "has no host: write 0.0.0.0:{port} or [::]:{port} for all addresses of this machine, or \
         127.0.0.1:{port} for this machine alone"
    )
}

/// Other servers' configurations write `*:80` for what the kernel calls by an address.
fn no_star(port: &str) -> String {
    format!(
        "has a '*', which is no host: write 0.0.0.0:{port} or [::]:{port} for all addresses of \
         this machine"
    )
}

fn no_port(host: &str) -> String {
    format!("has no port: write {host}:{PORT}")
}

/// `authority` has what is wanted; the port may be known from the scheme.
fn url(scheme: &str, authority: &str) -> String {
    let host = authority.rsplit('@').next().unwrap_or_default();
    let port = match scheme {
        _ if host
            .split(']')
            .next_back()
            .is_some_and(|end| end.contains(':')) =>
        {
            String::new()
        }
        "http" | "ws" => ":80".to_owned(),
        "https" | "wss" => ":443".to_owned(),
        _ => format!(":{PORT}"),
    };
    format!("is a URL: write only its host and port, such as {host}{port}")
}

/// `::1:80` is an IPv6 address as a whole, and was probably meant to have a port.
fn unbracketed(text: &str, ip: Ipv6Addr) -> String {
    let meant = text
        .rsplit_once(':')
        .filter(|(host, port)| host.parse::<Ipv6Addr>().is_ok() && port_of(port).is_some());
    match meant {
        Some((host, port)) => {
            format!("needs brackets around its IPv6 address: write [{host}]:{port}")
        }
        None => no_port(&format!("[{ip}]")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_malformed_address_has_its_own_explanation() {
        for (text, problem) in [
            ("", "is empty: write HOST:PORT, such as 127.0.0.1:8080"),
            (
                " 127.0.0.1:80",
                "has spaces around it: write '127.0.0.1:80'",
            ),
            (
                "127.0.0.1:80\n",
                "has spaces around it: write '127.0.0.1:80'",
            ),
            ("127.0.0.1", "has no port: write 127.0.0.1:8080"),
            ("localhost", "has no port: write localhost:8080"),
            ("localhost:", "has no port: write localhost:8080"),
            ("::1", "has no port: write [::1]:8080"),
            ("[::1]", "has no port: write [::1]:8080"),
            ("fe80::1", "has no port: write [fe80::1]:8080"),
            (
                "::1:80",
                "needs brackets around its IPv6 address: write [::1]:80",
            ),
            (
                "1:2:3:4:5:6:7:8:80",
                "needs brackets around its IPv6 address: write [1:2:3:4:5:6:7:8]:80",
            ),
            (
                "[::1:80",
                "has only one of the two brackets around an IPv6 address",
            ),
            (
                "::1]:80",
                "has only one of the two brackets around an IPv6 address",
            ),
            (
                "127.0.0.1:65536",
                "has the port 65536, and ports end at 65535",
            ),
            ("127.0.0.1:-1", "has the port -1, and ports begin at 0"),
            (
                "localhost:http",
                "has 'http' where a port is expected, which is a number",
            ),
            (
                "http://example.org:80/x",
                "is a URL: write only its host and port, such as example.org:80",
            ),
            (
                "https://user@example.org/",
                "is a URL: write only its host and port, such as example.org:443",
            ),
            (
                "redis://[::1]",
                "is a URL: write only its host and port, such as [::1]:8080",
            ),
            ("70000", "has the port 70000, and ports end at 65535"),
            ("-5", "has the port -5, and ports begin at 0"),
            (
                "/run/x",
                "is not HOST:PORT; as the path of a Unix socket, write unix:/run/x",
            ),
            (
                "*:80",
                "has a '*', which is no host: write 0.0.0.0:80 or [::]:80 for all addresses of \
                 this machine",
            ),
            ("a:b:80", "is not HOST:PORT"),
            ("+80", "has the port +80, and ports have no sign"),
            ("localhost:+80", "has the port +80, and ports have no sign"),
            (
                "unix:/run/x",
                "is not the address of an IP socket, but of a Unix socket: unix:PATH",
            ),
        ] {
            assert_eq!(problem_of(text), problem, "{text}");
        }
        for text in [":8080", "8080"] {
            let problem = problem_of(text);
            assert!(
                problem.starts_with("has no host: write 0.0.0.0:8080 or [::]:8080"),
                "{problem}"
            );
        }
    }
}
