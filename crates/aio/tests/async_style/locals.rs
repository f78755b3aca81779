use crate::*;
use futures_lite::{AsyncReadExt, AsyncWriteExt, Stream, StreamExt};
use oneloop_aio::{
    Datagram, JoinHandle, Local, OwnedReadHalf, OwnedWriteHalf, Signals, Sleep, TcpListener,
    TcpStream, Timeout, UdpSocket, UnixDatagram, UnixStream, local,
};
use oneloop_core::Handle;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

/// What hyper's `Sleep`, quinn's sockets, hickory's streams and zbus' connections have to be.
fn assert_demanded<T: Debug + Send + Sync + Unpin + 'static>() {}

#[test]
fn what_a_crate_demands_as_send_and_sync_has_a_form_that_is_both() {
    assert_demanded::<Local<Sleep>>();
    assert_demanded::<Local<Timeout<Sleep>>>();
    assert_demanded::<Local<JoinHandle<Rc<()>>>>();
    assert_demanded::<Local<TcpStream>>();
    assert_demanded::<Local<TcpListener>>();
    assert_demanded::<Local<OwnedReadHalf<TcpStream>>>();
    assert_demanded::<Local<OwnedWriteHalf<UnixStream>>>();
    assert_demanded::<Local<UnixStream>>();
    assert_demanded::<Local<UdpSocket>>();
    assert_demanded::<Local<UnixDatagram>>();
    assert_demanded::<Local<Signals>>();
    assert_demanded::<Local<Handle>>();
}

/// A future as axum demands of its handlers.
type SendFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A handler that keeps what is not `Send` inside of one local future.
async fn handler() -> u32 {
    let number = local(async {
        let number = Rc::new(Cell::new(6));
        Handle::current().sleep(Duration::from_secs(1)).await;
        number.get()
    });
    number.await * 7
}

#[test]
fn a_handler_whose_future_must_be_send_sleeps_on_the_loop() {
    run(async {
        let start = oneloop_aio::now();
        let handler: SendFuture<u32> = Box::pin(handler());
        assert_eq!(handler.await, 42);
        assert_eq!(oneloop_aio::now() - start, Duration::from_secs(1));
    });
}

#[test]
fn a_handler_holds_local_sleeps_and_tasks_across_its_waits() {
    run(async {
        let handler: SendFuture<u32> = Box::pin(async {
            local(sleep(Duration::from_secs(1))).await;
            let task = local(spawn(async { 7 }));
            local(sleep(Duration::from_secs(1))).await;
            assert!(task.with(|task| task.is_finished()));
            task.await.unwrap()
        });
        assert_eq!(handler.await, 7);
    });
}

#[test]
fn a_local_future_ends_its_wait_when_it_is_dropped() {
    run(async {
        let log = Log::default();
        let noted = log.clone();
        let mut waiting = local(async move { waits(&noted, "local").await });
        assert!(poll_once(Pin::new(&mut waiting)).is_pending());
        drop(waiting);
        assert_eq!(log.text(), "-local");
    });
}

#[test]
fn a_local_future_that_panics_can_be_dropped() {
    run(async {
        let task = spawn(local(async {
            sleep(Duration::from_millis(1)).await;
            panic!("on purpose");
        }));
        let error = task.await.unwrap_err();
        assert_eq!(error.panic_message(), Some("on purpose"));
    });
}

#[test]
fn a_poll_on_another_thread_panics_with_the_names_of_both() {
    run(async {
        let sleep = local(sleep(Duration::from_secs(1)));
        let away = thread::Builder::new().name("away".into());
        let away = away.spawn(move || {
            let mut sleep = sleep;
            let polled = catch_unwind(AssertUnwindSafe(|| poll_once(Pin::new(&mut sleep))));
            polled.unwrap_err().downcast::<String>().unwrap()
        });
        let message = away.unwrap().join().unwrap();
        let here = thread::current();
        let here = here.name().unwrap();
        assert!(
            message.contains("`away`") && message.contains(&format!("`{here}`")),
            "{message}"
        );
    });
}

#[test]
fn a_sleep_that_another_thread_drops_keeps_its_loop_alive_no_longer() {
    let mut event_loop = EventLoop::new().unwrap();
    event_loop.block_on(async {
        let mut sleep = local(sleep(Duration::from_secs(3600)));
        assert!(poll_once(Pin::new(&mut sleep)).is_pending());
        thread::spawn(move || drop(sleep)).join().unwrap();
    });
    event_loop.run().unwrap(); // returns now, not in an hour
}

/// What redis, lapin and others box their connections as.
trait Demanded: futures_lite::AsyncRead + futures_lite::AsyncWrite + Send + Sync + Unpin {}
impl<T: futures_lite::AsyncRead + futures_lite::AsyncWrite + Send + Sync + Unpin> Demanded for T {}

#[test]
fn a_boxed_stream_that_is_send_carries_bytes_both_ways() {
    run(async {
        let (here, there) = UnixStream::pair().unwrap();
        let mut here: Box<dyn Demanded> = Box::new(local(here));
        let echo: JoinHandle<std::io::Result<()>> = spawn(async move {
            while let Some(chunk) = there.read_chunk().await? {
                there.write_all(&chunk).await?;
            }
            Ok(())
        });
        let slices = [b"hello ", &b"world"[..]].map(std::io::IoSlice::new);
        assert_eq!(here.write_vectored(&slices).await.unwrap(), 11);
        here.flush().await.unwrap();
        here.close().await.unwrap();
        let mut text = String::new();
        here.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "hello world");
        echo.await.unwrap().unwrap();
    });
}

#[test]
fn a_local_udp_socket_is_shared_and_polled_by_reference() {
    run(async {
        let socket = std::sync::Arc::new(local(UdpSocket::bind("127.0.0.1:0").unwrap()));
        let addr = socket.with(|socket| socket.local_addr()).unwrap();
        poll_fn(|cx| socket.with(|socket| socket.poll_send_to(cx, b"hello", addr)))
            .await
            .unwrap();
        let mut buf = [0; 8];
        let received: Datagram = poll_fn(|cx| socket.with(|socket| socket.poll_recv(cx, &mut buf)))
            .await
            .unwrap();
        assert_eq!((received.bytes, &buf[..5]), (5, &b"hello"[..]));
    });
}

#[test]
fn a_local_stream_of_items_yields_them() {
    fn demands(stream: impl Stream<Item = u32> + Send) -> impl Stream<Item = u32> + Send {
        stream
    }
    run(async {
        let items = futures_lite::stream::iter([Rc::new(1), Rc::new(2)]).map(|item| *item);
        let items: Vec<u32> = demands(local(items)).collect().await;
        assert_eq!(items, [1, 2]);
    });
}
