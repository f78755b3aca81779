//! Traces: what loops did, turn by turn, for Perfetto and for Chrome's tracing.

mod buffer;
mod chrome;
mod file;
mod perfetto;
mod protobuf;
mod slices;

pub use file::TraceFile;

pub(crate) use buffer::TraceBuffer;

use chrome::Chrome;
use perfetto::Perfetto;
use slices::TraceFormat as Writes;
use std::path::Path;

/// A format of traces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TraceFormat {
    /// Perfetto's TrackEvents, for <https://ui.perfetto.dev> and `trace_processor`.
    #[default]
    Perfetto,
    /// Chrome's JSON, for `chrome://tracing`, Speedscope and others.
    Chrome,
}

impl TraceFormat {
    /// The format of a file with that name: [`TraceFormat::Chrome`] for `.json`, else
    /// [`TraceFormat::Perfetto`].
    ///
    /// ```
    /// use oneloop::inspector::TraceFormat;
    /// assert_eq!(TraceFormat::of("a.json".as_ref()), TraceFormat::Chrome);
    /// assert_eq!(TraceFormat::of("a.perfetto-trace".as_ref()), TraceFormat::Perfetto);
    /// ```
    pub fn of(path: &Path) -> Self {
        match path.extension() {
            Some(extension) if extension.eq_ignore_ascii_case("json") => TraceFormat::Chrome,
            _ => TraceFormat::Perfetto,
        }
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            TraceFormat::Perfetto => "application/x-protobuf",
            TraceFormat::Chrome => "application/json",
        }
    }

    fn writer(self) -> Box<dyn Writes + Send> {
        match self {
            TraceFormat::Perfetto => Box::new(Perfetto),
            TraceFormat::Chrome => Box::<Chrome>::default(),
        }
    }
}
