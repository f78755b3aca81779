//! A connection as two values, each of which owns one direction.

use crate::socket::ByteStream;
use crate::stream::{AsSource, ReadHalf, WriteHalf};
use oneloop_core::Source;
use std::fmt;
use std::io::{self, IoSlice};
use std::rc::Rc;

/// The reading direction of a connection: see
/// [`TcpStream::into_split`](crate::TcpStream::into_split). The connection closes when both halves
/// are dropped.
#[derive(Debug)]
pub struct OwnedReadHalf<S: ByteStream> {
    stream: Rc<S>,
}

/// The writing direction of a connection: see
/// [`TcpStream::into_split`](crate::TcpStream::into_split).
///
/// Dropping it sends the end of the stream, as in tokio, while the other half still reads.
pub struct OwnedWriteHalf<S: ByteStream> {
    /// `None` once it was reunited with the other half.
    stream: Option<Rc<S>>,
}

/// Splits a connection into its directions.
pub(crate) fn into_split<S: ByteStream>(stream: S) -> (OwnedReadHalf<S>, OwnedWriteHalf<S>) {
    let stream = Rc::new(stream);
    let write = OwnedWriteHalf {
        stream: Some(Rc::clone(&stream)),
    };
    (OwnedReadHalf { stream }, write)
}

impl<S: ByteStream> OwnedReadHalf<S> {
    /// Makes the connection of both halves again.
    ///
    /// ```
    /// use oneloop::aio::{UnixStream, block_on};
    /// # fn main() -> std::io::Result<()> {
    /// block_on(async {
    ///     let (client, server) = UnixStream::pair()?;
    ///     let (reader, writer) = server.into_split();
    ///     writer.write_all(b"hello").await?;
    ///     let server: UnixStream = reader.reunite(writer).expect("they belong together");
    ///     drop(server);
    ///     assert_eq!(client.read_text(80).await?, "hello");
    ///     Ok(())
    /// })
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns both halves if they are those of two connections.
    pub fn reunite(self, write: OwnedWriteHalf<S>) -> Result<S, (Self, OwnedWriteHalf<S>)> {
        if !Rc::ptr_eq(&self.stream, write.half()) {
            return Err((self, write));
        }
        drop(write.disarmed());
        Ok(Rc::into_inner(self.stream).expect("a connection has two halves, and both are here"))
    }

    /// The connection, for its addresses and options.
    pub fn stream(&self) -> &S {
        &self.stream
    }
}

impl<S: ByteStream> OwnedWriteHalf<S> {
    /// The connection, for its addresses and options.
    pub fn stream(&self) -> &S {
        self.half()
    }

    /// Drops this half without sending the end of the stream.
    pub fn forget(self) {
        drop(self.disarmed());
    }

    fn half(&self) -> &Rc<S> {
        self.stream.as_ref().expect("only its end takes it")
    }

    /// The connection; the drop of this half then does nothing.
    fn disarmed(mut self) -> Option<Rc<S>> {
        self.stream.take()
    }
}

impl<S: ByteStream> Drop for OwnedWriteHalf<S> {
    fn drop(&mut self) {
        if let Some(stream) = &self.stream {
            // Fails for a connection that has ended, and its reader sees why.
            let _ = stream.end();
        }
    }
}

impl<S: ByteStream + fmt::Debug> fmt::Debug for OwnedWriteHalf<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedWriteHalf")
            .field("stream", self.half())
            .finish()
    }
}

impl<S: ByteStream> AsSource for OwnedReadHalf<S> {
    fn source(&self) -> &Source {
        self.stream.source()
    }
}

impl<S: ByteStream> AsSource for OwnedWriteHalf<S> {
    fn source(&self) -> &Source {
        self.half().source()
    }
}

impl<S: ByteStream> ReadHalf for OwnedReadHalf<S> {
    fn read_once(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.stream.read_once(buf)
    }

    fn is_spliced(&self) -> bool {
        ReadHalf::is_spliced(&*self.stream)
    }
}

impl<S: ByteStream> WriteHalf for OwnedWriteHalf<S> {
    fn write_once(&self, buf: &[u8]) -> io::Result<usize> {
        self.half().write_once(buf)
    }

    fn write_vectored_once(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.half().write_vectored_once(bufs)
    }

    fn end(&self) -> io::Result<()> {
        self.half().end()
    }

    fn is_spliced(&self) -> bool {
        WriteHalf::is_spliced(&**self.half())
    }
}
