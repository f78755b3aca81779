//! The structs of UDP.
#![forbid(unsafe_code)]

use super::{AllocCallback, Handle, Request, SMALL_BUFFERS};
use crate::abi::buffers::Buffer;
use crate::abi::live::Live;
use crate::queue::{Linked, Queue};
use libc::{sockaddr, sockaddr_storage};
use std::cell::Cell;
use std::ffi::{c_int, c_uint};

pub(crate) type SendCallback = unsafe extern "C-unwind" fn(*mut UdpSend, c_int);
pub(crate) type ReceiveCallback =
    unsafe extern "C-unwind" fn(*mut Udp, isize, *const Buffer, *const sockaddr, c_uint);

/// `uv_udp_t`.
#[repr(C)]
pub(crate) struct Udp {
    pub(crate) handle: Handle,
    /// The bytes and the number of the requests whose callbacks were not called yet.
    pub(crate) queue_bytes: Cell<usize>,
    pub(crate) queue_count: Cell<usize>,
    pub(crate) alloc_callback: Cell<Option<AllocCallback>>,
    pub(crate) receive_callback: Cell<Option<ReceiveCallback>>,
    /// Its place among the handles whose requests are done; 0 if it is not one.
    pub(crate) pending_place: Cell<u64>,
    _watcher: [Cell<usize>; 4],
    /// What epoll is to report: bits of `stream::wants`.
    pub(crate) wanted: Cell<u32>,
    _events: Cell<u32>,
    /// -1 if there is none.
    pub(crate) fd: Cell<c_int>,
    pub(crate) sends: Queue<UdpSend>,
    pub(crate) sent: Queue<UdpSend>,
}

/// `uv_udp_send_t`.
#[repr(C)]
pub(crate) struct UdpSend {
    pub(crate) request: Request,
    pub(crate) udp: Cell<Option<Live<Udp>>>,
    pub(crate) callback: Cell<Option<SendCallback>>,
    /// The request behind it.
    pub(crate) next: Cell<Option<Live<UdpSend>>>,
    /// The bytes of `address`; 0 for the peer to which the socket is connected.
    pub(crate) address_bytes: Cell<usize>,
    pub(crate) address: Cell<sockaddr_storage>,
    pub(crate) count: Cell<c_uint>,
    pub(crate) buffers: Cell<*mut Buffer>,
    pub(crate) status: Cell<isize>,
    _callback: Cell<usize>,
    pub(crate) small: [Cell<Buffer>; SMALL_BUFFERS],
}

impl Linked for UdpSend {
    fn next(&self) -> &Cell<Option<Live<UdpSend>>> {
        &self.next
    }
}
