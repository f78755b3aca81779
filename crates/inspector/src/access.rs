//! Which clients may ask: a token, and protection from pages of other sites.

use crate::asked::Asked;
use hyper::Method;
use oneloop_net::Addr;
use std::fmt;
use std::net::IpAddr;

/// The cookie by which a browser that has shown the token once is known.
const COOKIE: &str = "oneloop_token";

/// Which clients may ask.
#[derive(Clone)]
pub(crate) struct Access {
    token: Option<String>,
    is_unix: bool,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").finish_non_exhaustive() // a secret is in no log
    }
}

/// The verdict on a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Allowed,
    /// A browser that has shown the token in its address: it gets a cookie instead.
    SetsCookie,
    NoToken,
    /// It is on behalf of a page of another site.
    Foreign,
}

impl Access {
    pub(crate) fn new(token: Option<String>, listens_on: &Addr) -> Self {
        Access {
            token,
            is_unix: listens_on.inet().is_none(),
        }
    }

    pub(crate) fn judge(&self, asked: &Asked) -> Verdict {
        if is_foreign(asked) {
            return Verdict::Foreign;
        }
        let Some(token) = &self.token else {
            // Without a token, another site could give its own name the address of loopback, and
            // its pages would be ours: only the name of this machine counts.
            return match self.is_unix || asked.header("host").is_none_or(is_loopback_name) {
                true => Verdict::Allowed,
                false => Verdict::Foreign,
            };
        };
        let bearer = asked.header("authorization");
        let bearer = bearer.and_then(|value| value.strip_prefix("Bearer "));
        if bearer
            .or_else(|| cookie(asked))
            .is_some_and(|given| is_same(given, token))
        {
            return Verdict::Allowed;
        }
        match asked.parameter("token") {
            Some(given) if is_same(&given, token) => {
                match asked.method == Method::GET && asked.path == "/" {
                    true => Verdict::SetsCookie,
                    false => Verdict::Allowed,
                }
            }
            _ => Verdict::NoToken,
        }
    }

    /// The header that makes a browser remember the token.
    pub(crate) fn cookie(&self) -> String {
        let token = self.token.as_deref().unwrap_or_default();
        format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict")
    }
}

/// What is wrong with a token; `None` if nothing is.
pub(crate) fn problem_of_token(token: &str) -> Option<&'static str> {
    // What a cookie, a header and an address carry unchanged.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    match token {
        "" => Some("the token is empty"),
        _ if !token.bytes().all(is_plain) => {
            Some("the token has characters other than letters, digits, and - . _ ~")
        }
        _ => None,
    }
}

fn cookie(asked: &Asked) -> Option<&str> {
    let mut cookies = asked.header("cookie")?.split(';');
    cookies.find_map(|cookie| cookie.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

/// Compares in a time that does not depend on where two texts of one length differ.
fn is_same(given: &str, token: &str) -> bool {
    let pairs = given.bytes().zip(token.bytes());
    given.len() == token.len() && pairs.fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

/// True if a browser asks for a page of another site.
fn is_foreign(asked: &Asked) -> bool {
    let site = asked.header("sec-fetch-site");
    let is_other = site.is_some_and(|site| !matches!(site, "same-origin" | "none"));
    let changes = asked.method != Method::GET && asked.method != Method::HEAD;
    let origin = asked.header("origin");
    let host = asked.header("host").unwrap_or_default();
    // A link on another page may lead here, and then shows the page itself.
    let is_link = !changes && asked.header("sec-fetch-mode") == Some("navigate");
    let is_of_host = |origin: &str| {
        origin
            .split_once("://")
            .is_some_and(|(_, name)| name == host)
    };
    (is_other && !is_link) || (changes && origin.is_some_and(|origin| !is_of_host(origin)))
}

/// True for a `Host` that names this machine: `localhost:9000`, `127.0.0.1`, `[::1]:9000`.
fn is_loopback_name(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let ip = name.trim_start_matches('[').trim_end_matches(']').parse();
    name.eq_ignore_ascii_case("localhost")
        || ip.is_ok_and(|ip: IpAddr| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    fn asked(uri: &str, headers: &[(&str, &str)]) -> Asked {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Asked::of(&request.body(()).unwrap())
    }

    fn tcp(token: Option<&str>) -> Access {
        let addr = "127.0.0.1:9000".parse().unwrap();
        Access::new(token.map(str::to_owned), &addr)
    }

    #[test]
    fn a_name_that_leads_to_loopback_is_not_enough_without_a_token() {
        let judge = |host| tcp(None).judge(&asked("/", &[("host", host)]));
        for host in [
            "localhost:9000",
            "127.0.0.1:9000",
            "127.1.2.3",
            "[::1]:9000",
            "LOCALHOST",
        ] {
            assert_eq!(judge(host), Verdict::Allowed, "{host}");
        }
        for host in [
            "evil.example:9000",
            "localhost.evil.example",
            "10.0.0.1:9000",
            "[::2]",
        ] {
            assert_eq!(judge(host), Verdict::Foreign, "{host}");
        }
    }

    #[test]
    fn a_token_is_a_header_a_cookie_or_in_the_address() {
        let access = tcp(Some("secret"));
        let judge = |uri, headers: &[_]| access.judge(&asked(uri, headers));
        assert_eq!(judge("/metrics", &[]), Verdict::NoToken);
        assert_eq!(
            judge("/metrics", &[("authorization", "Bearer secret")]),
            Verdict::Allowed
        );
        assert_eq!(
            judge("/metrics", &[("authorization", "Bearer secre")]),
            Verdict::NoToken
        );
        assert_eq!(
            judge("/events", &[("cookie", "a=b; oneloop_token=secret")]),
            Verdict::Allowed
        );
        assert_eq!(judge("/metrics?token=secret", &[]), Verdict::Allowed);
        assert_eq!(judge("/?token=secret", &[]), Verdict::SetsCookie);
        assert_eq!(judge("/?token=public", &[]), Verdict::NoToken);
    }

    #[test]
    fn a_page_of_another_site_gets_nothing_and_a_link_on_it_leads_here() {
        let judge = |headers: &[_]| tcp(None).judge(&asked("/", headers));
        let of_evil = ("sec-fetch-site", "cross-site");
        assert_eq!(
            judge(&[of_evil, ("sec-fetch-mode", "no-cors")]),
            Verdict::Foreign
        );
        assert_eq!(
            judge(&[of_evil, ("sec-fetch-mode", "navigate")]),
            Verdict::Allowed
        );
        let mut post = asked(
            "/close",
            &[
                ("host", "localhost:9000"),
                ("origin", "http://evil.example"),
            ],
        );
        post.method = Method::POST;
        assert_eq!(tcp(None).judge(&post), Verdict::Foreign);
        post = asked(
            "/close",
            &[
                ("host", "localhost:9000"),
                ("origin", "http://localhost:9000"),
            ],
        );
        post.method = Method::POST;
        assert_eq!(tcp(None).judge(&post), Verdict::Allowed);
    }
}
