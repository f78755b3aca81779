//! Passes an open file to a client that could not open it: `cargo run --example fd_passing`.
//!
//! A keeper opens files for its clients, over a Unix socket that keeps message bounds, with an
//! abstract name. It gets the credentials of a client from the kernel. The client reads a file that
//! only the keeper opened.

use oneloop::aio::{UnixSeqpacket, UnixSeqpacketListener, block_on, spawn};
use oneloop::net::Addr;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsFd;

/// The file of the keeper. It is unlinked, so no other process can open it.
fn secret_file() -> io::Result<File> {
    let path = std::env::temp_dir().join(format!("oneloop-secret-{}", std::process::id()));
    let mut file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)?;
    std::fs::remove_file(&path)?;
    file.write_all(b"the keeper's words")?;
    file.rewind()?;
    Ok(file)
}

async fn keep(listener: UnixSeqpacketListener) -> io::Result<()> {
    let (client, _) = listener.accept().await?;
    let is_own_user = client.peer_credentials()?.uid == rustix::process::getuid().as_raw();
    let mut buf = [0; 64];
    while let Some(asked) = client.recv(&mut buf).await? {
        if is_own_user && &buf[..asked.bytes] == b"secret" {
            client
                .send_fds(b"here it is", &[secret_file()?.as_fd()])
                .await?;
        } else {
            client.send(b"no").await?;
        }
    }
    Ok(())
}

async fn ask(say: impl Fn(String)) -> io::Result<()> {
    let name = Addr::UnixAbstract(format!("oneloop-keeper-{}", std::process::id()).into());
    let keeper = spawn(keep(UnixSeqpacketListener::bind(&name)?));
    let socket = UnixSeqpacket::connect(&name).await?;
    let mut buf = [0; 64];
    for question in ["everything", "secret"] {
        socket.send(question.as_bytes()).await?;
        let Some(answer) = socket.recv_fds(&mut buf, 1).await? else {
            break;
        };
        let text = String::from_utf8_lossy(&buf[..answer.bytes]);
        say(format!("{question}: {text}, with {} fds", answer.fds.len()));
        for fd in answer.fds {
            let mut words = String::new();
            File::from(fd).read_to_string(&mut words)?;
            say(format!("it says: {words}"));
        }
    }
    drop(socket);
    keeper.await.expect("the keeper does not panic")
}

/// Runs the example, and passes each line to a function.
pub(crate) fn fd_passing(say: impl Fn(String)) -> io::Result<()> {
    block_on(ask(say))
}

fn main() -> io::Result<()> {
    fd_passing(|line| println!("{line}"))
}
