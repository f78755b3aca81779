//! Messages with their length in front, by a codec of tokio-util: a server that counts the words of
//! each message, and a client.
//!
//! `cargo run -p oneloop-ecosystem --example codec`

use bytes::Bytes;
use futures_util::{SinkExt, TryStreamExt, stream};
use oneloop::aio::{TcpListener, TcpStream, block_on, spawn};
use std::io;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

fn main() -> io::Result<()> {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let addr = listener.local_addr()?;
        spawn(async move {
            let (stream, _peer) = listener.accept().await?;
            serve(stream).await
        });
        let stream = TcpStream::connect(addr).await?;
        for answer in ask(stream, &["tea", "toast and butter"]).await? {
            println!("{answer}");
        }
        Ok(())
    })
}

/// Messages of at most this many bytes; a longer one ends the connection.
fn codec() -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder()
        .max_frame_length(64 * 1024)
        .new_codec()
}

/// Answers each message with the number of its words.
pub(crate) async fn serve(stream: TcpStream) -> io::Result<()> {
    let mut messages = Framed::new(stream, codec());
    while let Some(message) = messages.try_next().await? {
        let words = message.as_ref().split(u8::is_ascii_whitespace);
        let answer = format!("{} words", words.count());
        messages.send(Bytes::from(answer)).await?;
    }
    Ok(())
}

/// Sends all messages, and then reads the answers.
pub(crate) async fn ask(stream: TcpStream, texts: &[&'static str]) -> io::Result<Vec<String>> {
    let mut messages = Framed::new(stream, codec());
    let mut to_send = stream::iter(texts.iter().map(|text| Ok(Bytes::from(*text))));
    messages.send_all(&mut to_send).await?;
    let mut answers = Vec::new();
    for _ in texts {
        let answer = messages.try_next().await?;
        let answer = answer.ok_or(io::ErrorKind::UnexpectedEof)?;
        answers.push(String::from_utf8_lossy(&answer).into_owned());
    }
    Ok(answers)
}
