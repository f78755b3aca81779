//! The turn of a UDP handle that is ready: which of its callbacks comes next.
#![forbid(unsafe_code)]

use crate::abi::buffers::Buffer;
use crate::abi::live::Live;
use crate::abi::packets;
use crate::call::Call;
use crate::error;
use crate::layout::Udp;
use crate::state::LoopState;
use crate::udp;
use crate::watch::WRITE;
use oneloop_core::Ready;
use rustix::io::Errno;
use std::ptr;

/// The most packets of one turn, so that others get theirs.
const PACKETS_MAX: u32 = 32;
/// `UV_UDP_PARTIAL`.
const PARTIAL: u32 = 2;

/// The handle whose turn it is. A close takes it out of the loop, so its pointer is live.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UdpTurn {
    pub(crate) udp: Live<Udp>,
    ready: Ready,
    progress: Progress,
}

/// ```text
///   Receive ◀─▶ Fill
///      ▼
///    Send ─▶ Sent ─▶ Done
/// ```
#[derive(Clone, Copy, Debug)]
enum Progress {
    /// The number of packets that are left.
    Receive(u32),
    /// The alloc callback was called, and has given a buffer.
    Fill(u32),
    Send,
    Sent,
}

impl UdpTurn {
    /// The turn of a handle that epoll has reported.
    pub(crate) fn new(udp: Live<Udp>, ready: Ready) -> Self {
        let is_readable = ready.intersects(Ready::READ | Ready::ERROR);
        UdpTurn {
            udp,
            ready,
            progress: if is_readable {
                Progress::Receive(PACKETS_MAX)
            } else {
                Progress::Send
            },
        }
    }
}

/// The next call of the handle whose turn it is, with the buffer that its alloc callback has given.
/// `None` at the end of its turn.
pub(crate) fn next_call(state: &LoopState, buffer: Buffer) -> Option<Call> {
    loop {
        // As for streams: taken out, and put back if the turn continues.
        let turn = state.udp_turn.take()?;
        let UdpTurn { udp, ready, .. } = turn;
        let go = |progress| state.udp_turn.set(Some(UdpTurn { progress, ..turn }));
        let call = match turn.progress {
            Progress::Receive(left) => match udp.alloc_callback.get() {
                Some(callback) if left > 0 => {
                    go(Progress::Fill(left - 1));
                    Some(Call::Allocate(callback, udp.as_handle()))
                }
                _ => {
                    go(Progress::Send);
                    None
                }
            },
            Progress::Fill(left) => fill(state, udp, left, buffer, go),
            Progress::Send => {
                if ready.intersects(Ready::WRITE | Ready::ERROR) {
                    udp::flush(udp);
                    go(Progress::Sent);
                }
                None
            }
            Progress::Sent => match udp::next_sent(udp) {
                Some(call) => {
                    go(Progress::Sent);
                    Some(call)
                }
                None => {
                    if udp.sends.is_empty() {
                        udp::want(udp, WRITE, false);
                        udp::deactivate_if_idle(udp);
                    }
                    None
                }
            },
        };
        if call.is_some() {
            return call;
        }
    }
}

/// The receive callback for what a receive into the buffer has returned.
fn fill(
    state: &LoopState,
    udp: Live<Udp>,
    left: u32,
    buffer: Buffer,
    go: impl FnOnce(Progress),
) -> Option<Call> {
    let Some(callback) = udp.receive_callback.get() else {
        go(Progress::Send); // the alloc callback has stopped it
        return None;
    };
    let (mut from, mut flags) = (ptr::null(), 0);
    let (progress, count) = if buffer.is_empty() {
        (Progress::Send, -(libc::ENOBUFS as isize))
    } else {
        match packets::receive(udp.fd.get(), buffer, &mut state.sender.borrow_mut()) {
            Ok(packet) => {
                from = packet.from;
                if packet.is_partial {
                    flags |= PARTIAL;
                }
                (Progress::Receive(left), packet.bytes as isize)
            }
            Err(Errno::AGAIN) => (Progress::Send, 0),
            Err(error) => (Progress::Send, error::number(error) as isize),
        }
    };
    go(progress);
    Some(Call::Receive(callback, udp, count, buffer, from, flags))
}

/// The call for an fd that epoll refuses, such as one that was closed.
pub(crate) fn refused(udp: Live<Udp>, error: Errno) -> Option<Call> {
    udp.wanted.set(0);
    let callback = udp.receive_callback.get()?;
    udp::receive_stop(udp);
    let count = error::number(error) as isize;
    Some(Call::Receive(
        callback,
        udp,
        count,
        Buffer::NONE,
        ptr::null(),
        0,
    ))
}
