//! Values that stay on their loop, for crates that demand `Send`.

use futures_core::Stream;
use oneloop_core::{Handle, Parked};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Makes any value `Send` and `Sync`, for a crate that demands it: a future, a stream, a socket, a
/// [`Sleep`](crate::Sleep), a [`JoinHandle`](crate::JoinHandle).
///
/// ```
/// use oneloop::aio::{TcpListener, TcpStream, block_on, local, sleep};
/// use std::time::Duration;
/// fn assert_send<T: Send + Sync>(value: T) -> T {
///     value
/// }
///
/// # fn main() -> std::io::Result<()> {
/// block_on(async {
///     let handler = assert_send(local(async {
///         sleep(Duration::from_millis(1)).await; // not `Send`, and need not be in here
///         "done"
///     }));
///     assert_eq!(handler.await, "done");
///
///     let listener = TcpListener::bind("127.0.0.1:0")?;
///     let stream = TcpStream::connect(listener.local_addr()?).await?;
///     assert_send(local(stream)); // for a crate that boxes its streams as `dyn AsyncRead + Send`
///     Ok(())
/// })
/// # }
/// ```
///
/// Cancel safe if the future is.
///
/// # Panics
/// Outside a loop.
#[doc(alias("SendWrapper", "Fragile", "spawn_local"))]
#[track_caller]
pub fn local<T: 'static>(value: T) -> Local<T> {
    Local {
        parked: Handle::current().park(value),
    }
}

/// A value that stays on its loop, under a name that is `Send` and `Sync`: see [`local`].
///
/// It implements the traits of the value: [`Future`], and those of futures-core, futures-io, tokio
/// and hyper, the last two with the features of their names. [`Local::with`] reaches everything
/// else. It is as cancel safe as the value.
///
/// The name can go to any thread; the value does not. Code of another thread or of another loop
/// **panics** when it polls the name, and its message has the names of both threads. If such code
/// drops the name, the value is dropped by its own loop, in its next turn. The end of the loop drops
/// the value; later polls panic, and a drop does nothing.
///
/// A poll takes 5 ns more than a poll of the value. [`local`] allocates twice.
#[must_use = "futures do nothing unless awaited"]
pub struct Local<T: 'static> {
    parked: Parked<T>,
}

impl<T> Local<T> {
    /// Calls a function with the value.
    ///
    /// ```
    /// use oneloop::aio::{UdpSocket, block_on, local};
    /// use std::future::poll_fn;
    /// # fn main() -> std::io::Result<()> {
    /// block_on(async {
    ///     let socket = local(UdpSocket::bind("127.0.0.1:0")?);
    ///     let addr = socket.with(|socket| socket.local_addr())?;
    ///     poll_fn(|cx| socket.with(|socket| socket.poll_send_to(cx, b"hello", addr))).await?;
    ///     let mut buf = [0; 8];
    ///     let received = poll_fn(|cx| socket.with(|socket| socket.poll_recv_from(cx, &mut buf)));
    ///     assert_eq!(received.await?.0.bytes, 5);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    ///
    /// # Panics
    /// On other threads, outside of the value's loop, and after its end. Also inside of another call
    /// with the same value.
    #[track_caller]
    #[inline]
    pub fn with<R>(&self, function: impl FnOnce(Pin<&mut T>) -> R) -> R {
        self.parked.with(function)
    }

    /// Returns the value itself.
    ///
    /// # Panics
    /// As [`Local::with`].
    #[track_caller]
    pub fn into_inner(self) -> T
    where
        T: Unpin,
    {
        self.parked.into_inner()
    }
}

impl<T> fmt::Debug for Local<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Local({})", std::any::type_name::<T>())
    }
}

impl<F: Future> Future for Local<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.with(|future| future.poll(cx))
    }
}

impl<S: Stream> Stream for Local<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        self.with(|stream| stream.poll_next(cx))
    }
}
