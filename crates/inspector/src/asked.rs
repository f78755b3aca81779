//! A request, as routes see it.

use form_urlencoded::parse;
use hyper::{HeaderMap, Method, Request};

/// What a client asks for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Asked {
    /// The method. A route that only shows something is asked by `GET` alone.
    pub method: Method,
    /// The path.
    pub path: String,
    /// The part of the address behind the question mark, as the client wrote it.
    pub query: String,
    /// The headers.
    pub headers: HeaderMap,
}

impl Asked {
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        Asked {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            query: request.uri().query().unwrap_or_default().to_owned(),
            headers: request.headers().clone(),
        }
    }

    /// The value of a parameter of the query, decoded. Of several, the first.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let mut pairs = parse(self.query.as_bytes());
        let (_, value) = pairs.find(|(key, _)| key == name)?;
        Some(value.into_owned())
    }

    /// A header's value, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}
