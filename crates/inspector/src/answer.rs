//! What a route answers: a whole body, or one that is sent piece by piece.

use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use oneloop_core::Stream;
use std::cell::Cell;
use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

/// The answer to a request.
///
/// ```
/// use oneloop::inspector::{Answer, StatusCode};
/// let fine = Answer::text("ok\n");
/// let draining = Answer::text("draining\n").with_status(StatusCode::SERVICE_UNAVAILABLE);
/// let metrics = Answer::of("application/openmetrics-text; version=1.0.0", "# EOF\n");
/// # let _ = (fine, draining, metrics);
/// ```
pub struct Answer {
    status: StatusCode,
    content_type: &'static str,
    headers: Vec<(HeaderName, HeaderValue)>,
    content: Content,
}

enum Content {
    /// `None` once it is sent.
    Whole(Option<Bytes>),
    Pieces(Pin<Box<dyn Stream<Item = Bytes>>>),
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("content_type", &self.content_type)
            .finish_non_exhaustive()
    }
}

impl Answer {
    /// A body of this content type, with status 200.
    pub fn of(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Answer {
            status: StatusCode::OK,
            content_type,
            headers: Vec::new(),
            content: Content::Whole(Some(body.into())),
        }
    }

    /// Plain text, with status 200.
    pub fn text(text: impl Into<String>) -> Self {
        Answer::of("text/plain; charset=utf-8", text.into())
    }

    /// A body that is sent piece by piece, for as long as the client takes pieces. The stream is
    /// polled only while the client takes them, so one that makes a piece when it is polled holds
    /// no memory for a slow client.
    pub fn pieces(content_type: &'static str, pieces: impl Stream<Item = Bytes> + 'static) -> Self {
        Answer {
            content: Content::Pieces(Box::pin(pieces)),
            ..Answer::of(content_type, Bytes::new())
        }
    }

    /// The same answer with another status.
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The same answer with one more header.
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn into_response(self, pace: Pace) -> Response<AnswerBody> {
        let mut response = Response::new(AnswerBody {
            content: self.content,
            pace,
        });
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        // What a loop does now is of no use later.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        for (name, value) in self.headers {
            headers.insert(name, value);
        }
        response
    }
}

/// When a connection last made progress: one that makes none is closed.
#[derive(Clone, Debug)]
pub(crate) struct Pace(Rc<Cell<Instant>>);

impl Pace {
    /// Progress now.
    pub(crate) fn begin() -> Self {
        Pace(Rc::new(Cell::new(oneloop_aio::now())))
    }

    /// Notes progress.
    pub(crate) fn note(&self) {
        self.0.set(oneloop_aio::now());
    }

    /// The time of the last progress.
    pub(crate) fn last(&self) -> Instant {
        self.0.get()
    }
}

/// The body of an answer, for hyper, which polls it while the client takes bytes.
pub(crate) struct AnswerBody {
    content: Content,
    pace: Pace,
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        this.pace.note();
        let piece = match &mut this.content {
            Content::Whole(bytes) => bytes.take().filter(|bytes| !bytes.is_empty()),
            Content::Pieces(pieces) => ready!(pieces.as_mut().poll_next(cx)),
        };
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Content::Pieces(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64)
            }
            Content::Pieces(_) => SizeHint::default(),
        }
    }
}
