//! What a message costs the allocator: nothing.

use oneloop::EventLoop;
use oneloop::aio::{TcpListener, TcpStream, spawn};

async fn echo_many(stream: &TcpStream, messages: usize) {
    let mut buf = [0; 64];
    for _ in 0..messages {
        stream.write_all(&[7; 64]).await.unwrap();
        assert_eq!(stream.read(&mut buf).await.unwrap(), 64);
    }
}

#[test]
fn an_echo_allocates_nothing() {
    let mut event_loop = EventLoop::new().unwrap();
    let client = event_loop.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (server, _) = listener.accept().await.unwrap();
        spawn(async move {
            while let Some(chunk) = server.read_chunk().await? {
                server.write_all(&chunk).await?;
            }
            std::io::Result::Ok(())
        });
        echo_many(&client, 10).await; // pools and queues get their memory
        client
    });
    let mut allocations = |messages| {
        allocation_counter::measure(|| event_loop.block_on(echo_many(&client, messages)))
            .count_total
    };
    assert_eq!(
        allocations(1_000),
        allocations(1),
        "block_on's own, and none a message"
    );
}
