//! Which clients may ask.

use crate::client::{ask, start};
use oneloop::inspector::{AdminOptions, Inspector};

fn with_token(token: &str) -> AdminOptions {
    AdminOptions {
        token: Some(token.to_owned()),
        ..AdminOptions::default()
    }
}

#[test]
fn a_token_is_required_where_other_machines_can_connect() {
    for addr in ["0.0.0.0:0", "[::]:0"] {
        let addr = addr.parse().unwrap();
        let refused = Inspector::new().start(&addr, AdminOptions::default());
        let error = refused.unwrap_err().to_string();
        let expected = format!(
            "cannot inspect on {addr}: other machines can connect there, so a token is required"
        );
        assert_eq!(error, expected);
    }
    let bad = Inspector::new().start(&"127.0.0.1:0".parse().unwrap(), with_token("a b"));
    assert!(
        bad.unwrap_err()
            .to_string()
            .contains("characters other than letters")
    );
}

#[test]
fn a_browser_shows_the_token_once_and_then_a_cookie() {
    let admin = start(with_token("s3cret"));
    let answer = ask(&admin, "GET /fine", "");
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert!(answer.contains("www-authenticate: Bearer"), "{answer}");
    let answer = ask(&admin, "GET /?token=s3cret", "");
    assert!(answer.starts_with("HTTP/1.1 303 "), "{answer}");
    let cookie = "set-cookie: oneloop_token=s3cret; Path=/; HttpOnly; SameSite=Strict";
    assert!(
        answer.contains(cookie) && answer.contains("location: /\r\n"),
        "{answer}"
    );
    let answer = ask(&admin, "GET /fine", "Cookie: oneloop_token=s3cret\r\n");
    assert!(answer.ends_with("fine\n"), "{answer}");
    let answer = ask(&admin, "GET /fine", "Authorization: Bearer s3cret\r\n");
    assert!(answer.ends_with("fine\n"), "{answer}");
}

#[test]
fn a_page_of_another_site_gets_403() {
    let admin = start(AdminOptions::default());
    let answer = ask(&admin, "POST /act", "Origin: http://evil.example\r\n");
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    let answer = ask(&admin, "GET /fine", "Sec-Fetch-Site: cross-site\r\n");
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
}
