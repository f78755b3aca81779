//! The headers of a message: those that arrived, and those that will be sent.

use crate::error::Error;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;

/// The headers of a message that arrived: `message.headers`. Names are in lower case, and a lookup
/// takes any case.
///
/// A header that came more than once is joined as in Node: `cookie` by `; `, most others by `, `;
/// of those that must be single, such as `content-type` and `host`, the first one counts.
#[derive(Default)]
pub struct Headers {
    map: HeaderMap,
    /// The values that are not in the map as they stand: joined, or not ASCII.
    decoded: Vec<(HeaderName, String)>,
}

/// The headers of which Node keeps the first one (`matchKnownFields`).
const SINGLE: [HeaderName; 19] = [
    header::AGE,
    header::HOST,
    header::FROM,
    header::ETAG,
    header::SERVER,
    header::REFERER,
    header::EXPIRES,
    header::LOCATION,
    header::USER_AGENT,
    header::RETRY_AFTER,
    header::CONTENT_TYPE,
    header::MAX_FORWARDS,
    header::AUTHORIZATION,
    header::LAST_MODIFIED,
    header::CONTENT_LENGTH,
    header::IF_MODIFIED_SINCE,
    header::PROXY_AUTHORIZATION,
    header::IF_UNMODIFIED_SINCE,
    // Node returns all of them as an array: `get_all` does.
    header::SET_COOKIE,
];

impl Headers {
    pub(super) fn new(map: HeaderMap) -> Self {
        let mut decoded = Vec::new();
        for name in map.keys() {
            let mut values = map.get_all(name).iter().map(decode);
            let first = values.next().unwrap_or_default();
            let is_single = SINGLE.contains(name);
            let others: Vec<_> = values.filter(|_| !is_single).collect();
            if others.is_empty() {
                if let Cow::Owned(first) = first {
                    decoded.push((name.clone(), first));
                }
                continue;
            }
            let separator = if name == header::COOKIE { "; " } else { ", " };
            let joined = others.iter().fold(first.into_owned(), |joined, other| {
                joined + separator + other
            });
            decoded.push((name.clone(), joined));
        }
        Headers { map, decoded }
    }

    /// The value of a header: `headers[name]`. Of several `set-cookie` it is the first one.
    pub fn get(&self, name: &str) -> Option<&str> {
        let decoded = self.decoded.iter();
        let mut found = decoded.filter(|(known, _)| known.as_str().eq_ignore_ascii_case(name));
        match found.next() {
            Some((_, value)) => Some(value),
            None => self.map.get(name)?.to_str().ok(),
        }
    }

    /// Each value of a header on its own, in their order: `headersDistinct[name]`.
    pub fn get_all<'a>(&'a self, name: &str) -> impl Iterator<Item = Cow<'a, str>> {
        self.map.get_all(name).into_iter().map(decode)
    }

    /// True if there is such a header.
    pub fn contains(&self, name: &str) -> bool {
        self.map.contains_key(name)
    }

    /// The names and values, each name once.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let names = self.map.keys().map(HeaderName::as_str);
        names.filter_map(|name| Some((name, self.get(name)?)))
    }

    /// The lines of the head: `rawHeaders`. hyper keeps neither the case of a name nor the place of
    /// a repeated one: repeated lines stand together.
    pub fn lines(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        let lines = self.map.iter();
        lines.map(|(name, value)| (name.as_str(), decode(value)))
    }

    /// The number of names.
    pub fn len(&self) -> usize {
        self.map.keys_len()
    }

    /// True if there is no header.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// True if a header has this token among those that its commas separate.
    pub(super) fn has_token(&self, name: &HeaderName, token: &str) -> bool {
        let values = self.map.get_all(name).into_iter();
        let mut texts = values.filter_map(|value| value.to_str().ok());
        texts.any(|text| {
            let mut tokens = text.split(',');
            tokens.any(|other| other.trim().eq_ignore_ascii_case(token))
        })
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// A byte is a character, as in Node: Latin-1.
fn decode(value: &HeaderValue) -> Cow<'_, str> {
    match value.to_str() {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => value
            .as_bytes()
            .iter()
            .map(|byte| char::from(*byte))
            .collect(),
    }
}

/// The value of a header to send: a text, a number, or several texts, each for a line of its own.
pub trait HeaderLines {
    /// The lines.
    fn into_lines(self) -> Vec<String>;
}

macro_rules! single_lines {
    ($($type:ty),*) => {$(
        impl HeaderLines for $type {
            fn into_lines(self) -> Vec<String> {
                vec![self.to_string()]
            }
        }
    )*};
}

single_lines!(&str, String, &String, i32, i64, u16, u32, u64, usize);

impl<const N: usize> HeaderLines for [&str; N] {
    fn into_lines(self) -> Vec<String> {
        self.map(str::to_owned).into()
    }
}

impl HeaderLines for &[&str] {
    fn into_lines(self) -> Vec<String> {
        self.iter().map(|line| (*line).to_owned()).collect()
    }
}

impl HeaderLines for Vec<String> {
    fn into_lines(self) -> Vec<String> {
        self
    }
}

/// The headers that a program sets on a message, in the order in which it sets them first: Node's
/// `kOutHeaders`.
#[derive(Default)]
pub(super) struct HeadersToSend(RefCell<Vec<Line>>);

struct Line {
    /// As the program wrote it.
    given: String,
    name: HeaderName,
    values: Vec<HeaderValue>,
}

impl HeadersToSend {
    pub(super) fn set(&self, given: &str, value: impl HeaderLines) -> Result<(), Error> {
        let name = checked_name(given)?;
        let values = checked_values(given, value.into_lines())?;
        let given = given.to_owned();
        let line = Line {
            given,
            name,
            values,
        };
        let mut lines = self.0.borrow_mut();
        match lines.iter_mut().find(|other| other.name == line.name) {
            Some(other) => *other = line,
            None => lines.push(line),
        }
        Ok(())
    }

    pub(super) fn append(&self, given: &str, value: impl HeaderLines) -> Result<(), Error> {
        let name = checked_name(given)?;
        let lines = value.into_lines();
        let values = checked_values(given, lines.clone())?;
        let mut known = self.0.borrow_mut();
        match known.iter_mut().find(|other| other.name == name) {
            Some(other) => other.values.extend(values),
            None => {
                drop(known);
                self.set(given, lines)?;
            }
        }
        Ok(())
    }

    /// Removes a header. Returns its name if it was there.
    pub(super) fn remove(&self, name: &str) {
        let mut lines = self.0.borrow_mut();
        lines.retain(|line| !line.name.as_str().eq_ignore_ascii_case(name));
    }

    /// The values of a header, joined.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        let lines = self.0.borrow();
        let mut found = lines
            .iter()
            .filter(|line| line.name.as_str().eq_ignore_ascii_case(name));
        let values = &found.next()?.values;
        Some(values.iter().map(decode).collect::<Vec<_>>().join(", "))
    }

    pub(super) fn names(&self, as_given: bool) -> Vec<String> {
        let lines = self.0.borrow();
        let name = |line: &Line| match as_given {
            true => line.given.clone(),
            false => line.name.to_string(),
        };
        lines.iter().map(name).collect()
    }

    pub(super) fn to_map(&self) -> HeaderMap {
        let lines = self.0.borrow();
        let mut map = HeaderMap::with_capacity(lines.len() + 4);
        for line in lines.iter() {
            // Node sends several `cookie` values on one line.
            if line.name == header::COOKIE && line.values.len() > 1 {
                let values: Vec<_> = line.values.iter().map(HeaderValue::as_bytes).collect();
                if let Ok(joined) = HeaderValue::from_bytes(&values.join(&b"; "[..])) {
                    map.append(header::COOKIE, joined);
                }
                continue;
            }
            for value in &line.values {
                map.append(line.name.clone(), value.clone());
            }
        }
        map
    }
}

fn checked_name(given: &str) -> Result<HeaderName, Error> {
    HeaderName::from_bytes(given.as_bytes()).map_err(|_| {
        let message = format!("Header name must be a valid HTTP token [\"{given}\"]");
        Error::new("ERR_INVALID_HTTP_TOKEN", message)
    })
}

fn checked_values(name: &str, lines: Vec<String>) -> Result<Vec<HeaderValue>, Error> {
    let invalid = || {
        let message = format!("Invalid character in header content [\"{name}\"]");
        Error::new("ERR_INVALID_CHAR", message)
    };
    let value = |line: &String| {
        // Latin-1, as Node sends it.
        let bytes: Option<Vec<u8>> = line.chars().map(|c| u8::try_from(c).ok()).collect();
        HeaderValue::from_bytes(&bytes.ok_or_else(invalid)?).map_err(|_| invalid())
    };
    lines.iter().map(value).collect()
}
