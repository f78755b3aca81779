//! The members of a chat: one says a line, and all others receive it before the next.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

const LINE: &[u8; 64] = b"...............................................................\n";
/// The maximum time in which a line reaches a member.
const DELIVERY_MAX: Duration = Duration::from_secs(10);

/// The members of a room.
pub(super) struct Chat {
    members: Vec<TcpStream>,
}

impl Chat {
    /// Connects that many members, one after the other. Each says a line that the earlier members
    /// receive, which shows that it has joined.
    pub(super) fn join(address: SocketAddr, members: usize) -> Result<Chat> {
        let mut chat = Chat {
            members: Vec::with_capacity(members),
        };
        for _ in 0..members {
            let member = TcpStream::connect(address).context("a member cannot connect")?;
            member.set_nodelay(true)?;
            member.set_read_timeout(Some(DELIVERY_MAX))?;
            chat.members.insert(0, member);
            chat.say()?;
        }
        Ok(chat)
    }

    /// Says one line, and waits until all others have received it.
    pub(super) fn say(&mut self) -> Result<()> {
        let Some((first, others)) = self.members.split_first_mut() else {
            return Ok(());
        };
        first.write_all(LINE).context("a member cannot speak")?;
        for other in others {
            let mut received = [0; LINE.len()];
            other.read_exact(&mut received).context("a line is lost")?;
            ensure!(
                received == *LINE,
                "a member receives another line than was said"
            );
        }
        Ok(())
    }
}
