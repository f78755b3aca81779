//! An echo server as a crate writes it that demands `Send` everywhere: its streams, sleeps and join
//! handles are local. Some of their names are dropped on another thread.

use crate::clients::async_clients;
use crate::harness::{BREAKS, FDS, TIMERS, check, check_with_failures, has_succeeded};
use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use oneloop::aio::{self, TcpListener, local, sleep};
use oneloop::{EventLoop, Handle};
use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

trait Connection: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Connection for T {}

type SendFuture = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

fn serve(mut connection: Box<dyn Connection>) -> SendFuture {
    Box::pin(async move {
        let mut buf = [0; 8192];
        loop {
            let count = connection.read(&mut buf).await?;
            if count == 0 {
                return connection.close().await;
            }
            local(sleep(Duration::from_millis(1))).await;
            sleep(Duration::from_millis(1)).park().await;
            connection.write_all(&buf[..count]).await?;
        }
    })
}

async fn echo() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let addr = listener.local_addr()?;
    let server = aio::spawn(async move {
        loop {
            let (stream, _peer) = listener.accept().await?;
            aio::spawn(serve(Box::new(local(stream))));
        }
    });
    let server = local(server);
    let served = async_clients(addr).await;
    server.with(|server| server.cancel());
    let _: Result<io::Result<()>, _> = server.await;
    served
}

#[test]
fn clients_of_a_server_of_local_values_get_their_bytes_back() {
    check(FDS, |event_loop| event_loop.block_on(echo()).unwrap());
}

#[test]
fn clients_of_a_server_of_local_values_get_a_prefix_or_an_error() {
    check_with_failures(&[FDS, BREAKS], |event_loop| {
        has_succeeded(event_loop.block_on(echo()))
    });
}

/// Notes itself in a list when it is dropped.
struct Noted(u32, Rc<RefCell<Vec<u32>>>);

impl Drop for Noted {
    fn drop(&mut self) {
        self.1.borrow_mut().push(self.0);
    }
}

#[test]
fn values_whose_names_another_thread_drops_are_dropped_once_and_in_order() {
    check(TIMERS, |event_loop: &mut EventLoop| {
        let dropped: Rc<RefCell<Vec<u32>>> = Rc::default();
        let list = Rc::clone(&dropped);
        event_loop.block_on(async move {
            let handle = Handle::current();
            let names: Vec<_> = (0..10)
                .map(|number| handle.park(Noted(number, Rc::clone(&list))))
                .collect();
            thread::spawn(move || drop(names)).join().unwrap();
            while list.borrow().len() < 10 {
                sleep(Duration::from_millis(1)).await;
            }
        });
        assert_eq!(*dropped.borrow(), (0..10).collect::<Vec<_>>());
    });
}
