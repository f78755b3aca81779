//! The words behind a status: Node's `http.STATUS_CODES`.

use hyper::StatusCode;

/// The words that belong to a status: `http.STATUS_CODES[404]` is `Not Found`.
#[doc(alias = "STATUS_CODES")]
pub fn status_text(status: u16) -> Option<&'static str> {
    match status {
        // Where the list of Node has other words than hyper's.
        103 => Some("Early Hints"),
        418 => Some("I'm a Teapot"),
        425 => Some("Too Early"),
        509 => Some("Bandwidth Limit Exceeded"),
        _ => StatusCode::from_u16(status).ok()?.canonical_reason(),
    }
}
