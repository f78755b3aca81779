//! What crates demand as `Send`: the streams and sleeps of the loop, as names.

use crate::harness::{block_on, connection};
use hyper::Response;
use hyper::rt::Timer;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use oneloop::aio::hyper::LoopTimer;
use oneloop::aio::{UnixStream, local, now, spawn};
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const SECOND: Duration = Duration::from_secs(1);

trait TokioConnection: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> TokioConnection for T {}

#[test]
fn a_boxed_connection_that_is_send_reads_and_writes_by_tokios_traits() {
    block_on(async {
        let (here, there) = UnixStream::pair().unwrap();
        let echo = spawn(async move {
            while let Some(chunk) = there.read_chunk().await? {
                there.write_all(&chunk).await?;
            }
            io::Result::Ok(())
        });
        let mut here: Box<dyn TokioConnection> = Box::new(local(here));
        assert!(here.is_write_vectored());
        here.write_all(b"hello").await.unwrap();
        here.shutdown().await.unwrap();
        let mut text = String::new();
        here.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "hello");
        echo.await.unwrap().unwrap();
    });
}

#[test]
fn a_local_stream_has_hypers_traits() {
    fn demanded<T: hyper::rt::Read + hyper::rt::Write + Send + Sync + Unpin + 'static>(_: T) {}
    block_on(async { demanded(local(UnixStream::pair().unwrap().0)) });
}

#[test]
fn hypers_sleeps_end_on_the_clock_of_the_loop() {
    block_on(async {
        let (timer, start) = (LoopTimer, now());
        assert_eq!(timer.now(), start);
        timer.sleep(SECOND).await;
        timer.sleep_until(start + 2 * SECOND).await;
        assert_eq!(now(), start + 2 * SECOND);
    });
}

#[test]
fn a_reset_moves_a_sleep_that_waits_and_starts_one_that_has_ended_without_a_new_one() {
    block_on(async {
        let (timer, start) = (LoopTimer, now());
        let mut sleep = timer.sleep(SECOND);
        let address = std::ptr::from_ref(&*sleep).addr();
        let polled = poll_fn(|cx| Poll::Ready(sleep.as_mut().poll(cx)));
        assert!(polled.await.is_pending());
        timer.reset(&mut sleep, start + 5 * SECOND);
        sleep.as_mut().await;
        assert_eq!(now(), start + 5 * SECOND);
        timer.reset(&mut sleep, start + 7 * SECOND);
        sleep.as_mut().await;
        assert_eq!(now(), start + 7 * SECOND);
        assert_eq!(std::ptr::from_ref(&*sleep).addr(), address);
    });
}

#[test]
fn a_head_that_comes_too_slowly_ends_its_connection_on_time() {
    block_on(async {
        let (client, server) = connection().await;
        client.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        let start = now();
        let service = service_fn(|_| async { Ok::<_, Infallible>(Response::new(String::new())) });
        let mut builder = http1::Builder::new();
        builder.timer(LoopTimer).header_read_timeout(5 * SECOND);
        let served = builder.serve_connection(server, service).await;
        assert!(served.unwrap_err().is_timeout());
        assert_eq!(now() - start, 5 * SECOND);
    });
}
