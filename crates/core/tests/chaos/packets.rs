//! Pipes of packets are no byte streams: a short read would lose the rest of a packet.

use crate::harness::{FDS, check};
use oneloop::net::{PipeReader, PipeWriter};
use rustix::pipe::{PipeFlags, pipe_with};

#[test]
fn the_packets_of_a_pipe_stay_whole() {
    check(FDS, |event_loop| {
        event_loop.block_on(async {
            let flags = PipeFlags::DIRECT | PipeFlags::NONBLOCK | PipeFlags::CLOEXEC;
            let (reader, writer) = pipe_with(flags).unwrap();
            let reader = PipeReader::from_fd(reader).unwrap();
            let writer = PipeWriter::from_fd(writer).unwrap();
            for packet in ["one", "two", "three"] {
                assert_eq!(writer.write(packet.as_bytes()).await.unwrap(), packet.len());
            }
            for packet in ["one", "two", "three"] {
                let chunk = reader.read_chunk().await.unwrap().unwrap();
                assert_eq!(&*chunk, packet.as_bytes());
            }
        });
    });
}
