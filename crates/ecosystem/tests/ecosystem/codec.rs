//! Codecs of tokio-util.

use crate::harness::{block_on, connection};
use oneloop::aio::spawn;
use std::io;

#[allow(dead_code)] // `main`
#[path = "../../examples/codec.rs"]
mod example;

#[test]
fn each_message_is_answered_and_the_end_of_the_client_ends_the_server() {
    block_on(async {
        let (client, server) = connection().await;
        let served = spawn(example::serve(server));
        let answers = example::ask(client, &["", "tea", "toast and butter"]).await;
        assert_eq!(answers.unwrap(), ["1 words", "1 words", "3 words"]);
        served.await.unwrap().unwrap();
    });
}

#[test]
fn a_message_that_is_too_long_ends_the_connection() {
    block_on(async {
        let (client, server) = connection().await;
        let served = spawn(example::serve(server));
        client.write_all(&u32::MAX.to_be_bytes()).await.unwrap();
        let error = served.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(client.read_all(80).await.unwrap(), b"");
    });
}
