//! The events of a [`ReadStream`] and a [`WriteStream`]. Each is a type, for [`ReadStream::on`] and
//! [`WriteStream::on`].

use super::{ReadStream, Readable as Source, WriteStream};
use crate::tables::emitter;

emitter! { ReadStream {
    /// `'open'` of a file: it can be read.
    Open(stream: ReadStream) => on_open;
    /// `'ready'`, which follows 'open'.
    Ready(stream: ReadStream) => on_ready;
    /// `'data'`: the next bytes. With a listener the stream flows from the next tick, unless it was
    /// paused.
    Data(stream: ReadStream, bytes: &'a [u8]) => on_data;
    /// `'readable'`: there is something to [`read`](ReadStream::read), or the end. With a listener
    /// the stream does not flow.
    Readable(stream: ReadStream) => on_readable;
    /// `'end'`: all bytes were read.
    End(stream: ReadStream) => on_end;
    /// `'pause'`: the stream stops flowing.
    Pause(stream: ReadStream);
    /// `'resume'`: the stream begins to flow.
    Resume(stream: ReadStream);
    /// `'error'`. Without a listener, the error is thrown.
    Error(stream: ReadStream, error: &'a crate::Error) => on_error, else throws error;
    /// `'close'`, after 'end' or 'error'. A standard input that is a file emits none.
    Close(stream: ReadStream) => on_close;
} }

// Each name that both streams have is prefixed here: a type cannot belong to two emitters.
emitter! { WriteStream {
    /// `'open'` of a file: it can be written.
    WriteOpen(stream: WriteStream) => on_open;
    /// `'ready'`, which follows 'open'.
    WriteReady(stream: WriteStream) => on_ready;
    /// `'drain'`: the write queue is empty again, after a write that returned false.
    Drain(stream: WriteStream) => on_drain;
    /// `'prefinish'`: the stream was ended, and all bytes are written. 'finish' comes next.
    Prefinish(stream: WriteStream);
    /// `'finish'`: the stream was ended, all bytes are written, and all callbacks were called.
    Finish(stream: WriteStream) => on_finish;
    /// `'pipe'`: a source is piped into the stream from now on.
    Pipe(stream: WriteStream, source: Source) => on_pipe;
    /// `'unpipe'`: a source is no longer piped into the stream.
    Unpipe(stream: WriteStream, source: Source) => on_unpipe;
    /// `'resize'` of a terminal: it has another size.
    Resize(stream: WriteStream) => on_resize;
    /// `'error'`. Without a listener, the error is thrown.
    WriteError(stream: WriteStream, error: &'a crate::Error) => on_error, else throws error;
    /// `'close'`, after 'finish', 'error' or [`WriteStream::destroy`].
    WriteClose(stream: WriteStream) => on_close;
} }
