//! WebSocket behind hyper, by tungstenite.

use crate::harness::{BYTES_MAX, block_on, peer, send, with_server};
use futures_util::{SinkExt, StreamExt};
use oneloop::aio::process::Command;
use oneloop::aio::{self, GracefulShutdown, TcpStream, spawn};
use std::env;
use std::net::SocketAddr;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{WebSocketStream, client_async};

#[allow(dead_code)] // `main`
#[path = "../../examples/websocket.rs"]
pub(crate) mod example;

async fn connect(addr: SocketAddr) -> WebSocketStream<TcpStream> {
    let stream = TcpStream::connect(addr).await.unwrap();
    let (socket, _response) = client_async(format!("ws://{addr}"), stream).await.unwrap();
    socket
}

#[test]
fn messages_come_back_one_by_one_and_pipelined() {
    block_on(with_server(example::serve, async |addr| {
        let mut socket = connect(addr).await;
        for message in ["".into(), "tea".into(), "x".repeat(900_000)] {
            socket.send(Message::text(message.clone())).await.unwrap();
            let answer = socket.next().await.unwrap().unwrap();
            assert_eq!(answer, Message::text(message));
        }
        let (mut sender, receiver) = socket.split();
        let sending = spawn(async move {
            for index in 0..2_000_u32 {
                let message = Message::binary(index.to_be_bytes().to_vec());
                sender.feed(message).await.unwrap();
            }
            sender.flush().await.unwrap();
            sender
        });
        let answers: Vec<_> = receiver.take(2_000).collect().await;
        for (index, answer) in answers.into_iter().enumerate() {
            assert_eq!(
                answer.unwrap().into_data(),
                (index as u32).to_be_bytes()[..]
            );
        }
        sending.await.unwrap().close().await.unwrap();
    }));
}

/// A request for a WebSocket, and the bytes behind it.
fn handshake_and(bytes: &[u8]) -> Vec<u8> {
    let head = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    [head.as_bytes(), bytes].concat()
}

#[test]
fn a_frame_that_breaks_the_protocol_is_answered_by_the_code_that_fits() {
    let masked = |opcode: u8, payload: &[u8]| {
        let head = [opcode, 0x80 | payload.len() as u8, 0, 0, 0, 0];
        [&head, payload].concat()
    };
    let huge = [&[0x82, 0xff][..], &(1_u64 << 40).to_be_bytes(), &[0; 4]].concat();
    let half = [&[0x02, 0xff][..], &600_000_u64.to_be_bytes(), &[0; 600_004]].concat();
    let two_halves = [&half[..], &[0x80], &half[1..]].concat();
    block_on(with_server(example::serve, async |addr| {
        for (name, frames, code) in [
            ("unmasked", b"\x81\x02hi".to_vec(), 1002_u16),
            ("reserved bits", masked(0xf1, b"hi"), 1002),
            ("unknown opcode", masked(0x83, b"hi"), 1002),
            ("not UTF-8", masked(0x81, b"caf\xe9"), 1007),
            ("a frame that is too large", huge, 1009),
            ("a message that is too large", two_halves, 1009),
        ] {
            let received = send(addr, &handshake_and(&frames)).await;
            let end = received.windows(4).position(|bytes| bytes == b"\r\n\r\n");
            let (head, close) = received.split_at(end.unwrap() + 4);
            assert!(head.starts_with(b"HTTP/1.1 101 "), "{name}");
            assert_eq!(
                close[0], 0x88,
                "{name}: a close frame, and nothing before it"
            );
            assert_eq!(close[2..4], code.to_be_bytes(), "{name}");
            assert_eq!(
                close.len(),
                2 + usize::from(close[1]),
                "{name}: nothing behind it"
            );
        }
        let mut socket = connect(addr).await;
        socket.send(Message::text("still served")).await.unwrap();
        assert!(socket.next().await.unwrap().is_ok());
    }));
}

#[test]
fn what_is_no_handshake_gets_426_and_the_connection_serves_on() {
    block_on(with_server(example::serve, async |addr| {
        let get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n".as_bytes();
        let close = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let received = send(addr, &[get, close].concat()).await;
        let text = String::from_utf8(received).unwrap();
        assert_eq!(
            text.matches("HTTP/1.1 426 Upgrade Required").count(),
            2,
            "{text}"
        );
        assert!(text.contains("sec-websocket-version: 13"), "{text}");
    }));
}

#[test]
fn a_server_that_ends_closes_its_sockets_with_1001() {
    block_on(async {
        let listener = aio::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let shutdown = GracefulShutdown::new();
        let served = spawn(example::serve(listener, shutdown.clone()));
        let mut socket = connect(addr).await;
        let idle = TcpStream::connect(addr).await.unwrap(); // sends no request
        socket.send(Message::text("tea")).await.unwrap();
        assert!(socket.next().await.unwrap().is_ok());
        shutdown.token().trigger();
        let Message::Close(Some(frame)) = socket.next().await.unwrap().unwrap() else {
            panic!("no close frame");
        };
        assert_eq!(frame.code, CloseCode::Away);
        assert!(socket.next().await.is_none());
        assert_eq!(idle.read_all(BYTES_MAX).await.unwrap(), b"");
        drop(socket);
        served.await.unwrap().unwrap();
    });
}

const CLIENT: &str = r#"
import asyncio, sys, websockets

async def main(uri):
    async with websockets.connect(uri, max_size=None) as socket:
        for i in range(10000):
            await socket.send(f"echo {i}")
            assert await socket.recv() == f"echo {i}"
        async def send():
            for i in range(2000):
                await socket.send(i.to_bytes(4, "big"))
        sending = asyncio.create_task(send())
        for i in range(2000):
            assert await socket.recv() == i.to_bytes(4, "big")
        await sending
        await socket.send("x" * 900_000)
        assert len(await socket.recv()) == 900_000
        await socket.send("x" * 2_000_000)
        try:
            await socket.recv()
        except websockets.ConnectionClosed as closed:
            print(closed.rcvd.code)

asyncio.run(main(sys.argv[1]))
"#;

/// A Python with PyPI's websockets: that of the variable `ONELOOP_PYTHON`, `python3`, or one in the
/// target folder, for which pip installs it. `None`, with a printed line, where pip cannot.
async fn python() -> Option<String> {
    async fn has_websockets(python: &str) -> bool {
        let mut import = Command::new(python);
        let output = import.args(["-c", "import websockets"]).output().await;
        output.is_ok_and(|output| output.status.success())
    }
    let own = env::var("ONELOOP_PYTHON").unwrap_or("python3".into());
    if has_websockets(&own).await {
        return Some(own);
    }
    let folder = concat!(env!("CARGO_TARGET_TMPDIR"), "/websockets");
    let python = format!("{folder}/bin/python");
    if !has_websockets(&python).await {
        peer(&own, &["--version"]).await?;
        let install = format!(
            "{own} -m venv {folder} && {python} -m pip install --quiet --retries 0 --timeout 15 \
            --disable-pip-version-check websockets"
        );
        let mut shell = Command::new("sh");
        let output = shell.args(["-c", &install]).output().await.unwrap();
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            let last = errors.lines().last().unwrap_or_default();
            eprintln!("skipped: pip cannot install websockets: {last}");
            return None;
        }
    }
    Some(python)
}

#[test]
fn the_client_of_pythons_websockets_is_served() {
    aio::block_on(with_server(example::serve, async |addr| {
        let Some(python) = python().await else {
            return;
        };
        let uri = format!("ws://{addr}");
        let printed = peer(&python, &["-c", CLIENT, &uri]).await;
        assert_eq!(printed.unwrap(), "1009\n");
    }));
}
