//! What hyper cannot parse, as Node's errors.

use crate::error::Error;
use std::error::Error as _;
use std::io;

/// The error of a message that hyper cannot parse: a code of llhttp, Node's parser, and hyper's
/// words. `None` if the error is another one, such as an end in the middle of a message.
pub(super) fn parse_error(error: &hyper::Error) -> Option<Error> {
    if error.is_parse_too_large() {
        let message = "Parse Error: Header overflow";
        return Some(Error::new("HPE_HEADER_OVERFLOW", message));
    }
    let (code, detail) = match error.is_parse() {
        true => {
            let text = error.to_string();
            (code_of_head(&text), text)
        }
        false => {
            let text = body_problem(error)?;
            (code_of_body(&text), text)
        }
    };
    Some(Error::new(code, format!("Parse Error: {detail}")))
}

/// hyper tells kinds of parse errors apart, but only its texts tell a caller.
fn code_of_head(text: &str) -> &'static str {
    let codes = [
        ("version", "HPE_INVALID_VERSION"),
        ("method", "HPE_INVALID_METHOD"),
        ("URI", "HPE_INVALID_URL"),
        ("content-length", "HPE_INVALID_CONTENT_LENGTH"),
        ("transfer-encoding", "HPE_INVALID_TRANSFER_ENCODING"),
        ("status", "HPE_INVALID_STATUS"),
        ("header", "HPE_INVALID_HEADER_TOKEN"),
    ];
    let found = codes.iter().find(|(word, _)| text.contains(word));
    found.map_or("HPE_INVALID_CONSTANT", |(_, code)| code)
}

fn code_of_body(text: &str) -> &'static str {
    match text.contains("extensions") {
        true => "HPE_CHUNK_EXTENSIONS_OVERFLOW",
        false => "HPE_INVALID_CHUNK_SIZE",
    }
}

/// What is wrong with the chunks of a body.
fn body_problem(error: &hyper::Error) -> Option<String> {
    let source = error.source()?.downcast_ref::<io::Error>()?;
    let is_malformed = matches!(
        source.kind(),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData
    );
    is_malformed.then(|| source.to_string())
}

/// The end of the input within a message.
pub(super) fn invalid_eof() -> Error {
    Error::new("HPE_INVALID_EOF_STATE", "Parse Error: Invalid EOF state")
}

/// Node's `ConnResetException`.
pub(super) fn reset(message: &str) -> Error {
    Error::new("ECONNRESET", message)
}
