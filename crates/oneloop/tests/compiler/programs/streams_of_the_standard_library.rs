//! `Stdin` cannot be read on the loop
//! write a socket, a `PipeReader` or an `Input` of `oneloop::net`
//! `oneloop::net::Input::from_fd(fd.into())?` reads an fd of any kind
//! `Vec<u8>` cannot be written on the loop
//! write a socket, a `PipeWriter` or an `Output` of `oneloop::net`
//! `std::net::TcpStream` is not a socket on the loop
//! `oneloop::net::Socket::from_fd(socket.into())?` takes a socket of the standard library

use oneloop::net::{ByteStream, copy};
use std::net::TcpStream;

fn inspect(_: impl ByteStream) {}

fn main() -> std::io::Result<()> {
    let copying = copy(&std::io::stdin(), &Vec::<u8>::new());
    drop(copying);
    inspect(TcpStream::connect("127.0.0.1:8080")?);
    Ok(())
}
