//! Sends datagrams one by one and in batches: `cargo run --example datagrams`.
//!
//! A sender has 64 numbers for a server on this machine. A batch takes one system call on each
//! side. With GSO the kernel cuts the datagrams out of one buffer, and with GRO it joins them
//! again.

use oneloop::aio::{Outgoing, RecvBatch, UdpSocket, block_on};
use std::io;

/// The number of datagrams, and the bytes of each.
const COUNT: usize = 64;
const BYTES: usize = 8;

fn socket() -> io::Result<UdpSocket> {
    UdpSocket::bind("127.0.0.1:0")
}

/// The datagrams of a batch, after those that the kernel joined are split again.
fn numbers(batch: &RecvBatch) -> impl Iterator<Item = u64> {
    let segments = batch.iter().flat_map(|received| received.segments());
    segments.map(|bytes| u64::from_le_bytes(bytes.try_into().expect("each has 8 bytes")))
}

async fn send_and_receive(say: impl Fn(String)) -> io::Result<()> {
    let (client, server) = (socket()?, socket()?);
    client.connect(server.local_addr()?)?;
    let texts: Vec<_> = (0..COUNT as u64).map(u64::to_le_bytes).collect();
    let mut batch = RecvBatch::new(COUNT, BYTES);

    let outgoing: Vec<_> = texts.iter().map(|text| Outgoing::to_peer(text)).collect();
    let sent = client.send_batch(&outgoing).await?;
    let received = server.recv_batch(&mut batch).await?;
    let sum: u64 = numbers(&batch).sum();
    say(format!(
        "a batch: {sent} sent and {received} received, in one call each; sum {sum}"
    ));

    if let Err(error) = client
        .set_gso(Some(BYTES as u16))
        .and_then(|()| server.set_gro(true))
    {
        say(format!("without GSO and GRO: {error}"));
        return Ok(());
    }
    client.send(&texts.concat()).await?;
    let mut joined = RecvBatch::new(1, 1 << 16);
    let (mut received, mut sum) = (0, 0);
    while received < COUNT {
        server.recv_batch(&mut joined).await?;
        received += numbers(&joined).count();
        sum += numbers(&joined).sum::<u64>();
    }
    say(format!(
        "GSO and GRO: one buffer was {received} datagrams; sum {sum}"
    ));
    Ok(())
}

/// Runs the example, and passes each line to a function.
pub(crate) fn datagrams(say: impl Fn(String)) -> io::Result<()> {
    block_on(send_and_receive(say))
}

fn main() -> io::Result<()> {
    datagrams(|line| println!("{line}"))
}
