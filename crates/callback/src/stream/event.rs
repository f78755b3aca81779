//! What a [`ReadStream`] and a [`WriteStream`] tell. Each event is a type, for [`ReadStream::on`] and
//! [`WriteStream::on`].

use super::{ReadStream, Readable, WriteStream};
use crate::error::Error as NodeError;
use crate::events::{event_types, throw};

event_types! {
    /// `'open'` of a [`ReadStream`] on a file: there it is.
    Open: ReadStream;
    /// `'ready'` of a [`ReadStream`]: just after 'open'.
    Ready: ReadStream;
    /// `'data'` of a [`ReadStream`].
    Data: (ReadStream, &'a [u8]);
    /// `'end'` of a [`ReadStream`].
    End: ReadStream;
    /// `'pause'` of a [`ReadStream`].
    Pause: ReadStream;
    /// `'resume'` of a [`ReadStream`].
    Resume: ReadStream;
    /// `'error'` of a [`ReadStream`]. Unheard, it is thrown.
    Error: (ReadStream, &'a NodeError), unheard |(_, error)| throw(error);
    /// `'close'` of a [`ReadStream`], behind 'end' or 'error'; not of a standard input that is a file.
    Close: ReadStream;
    /// `'open'` of a [`WriteStream`] on a file: it can be written.
    WriteOpen: WriteStream;
    /// `'ready'` of a [`WriteStream`]: just after 'open'.
    WriteReady: WriteStream;
    /// `'drain'` of a [`WriteStream`]: what waited to be written is gone, and more is welcome.
    Drain: WriteStream;
    /// `'finish'` of a [`WriteStream`]: it was ended, and all is with the kernel.
    Finish: WriteStream;
    /// `'pipe'` of a [`WriteStream`]: all that the other reads is written to it from now on.
    Pipe: (WriteStream, Readable);
    /// `'unpipe'` of a [`WriteStream`]: it no longer is.
    Unpipe: (WriteStream, Readable);
    /// `'resize'` of a [`WriteStream`] that is a terminal: it has another size.
    Resize: WriteStream;
    /// `'error'` of a [`WriteStream`]. Unheard, it is thrown.
    WriteError: (WriteStream, &'a NodeError), unheard |(_, error)| throw(error);
    /// `'close'` of a [`WriteStream`]: behind 'finish', 'error' or [`WriteStream::destroy`].
    WriteClose: WriteStream;
}
