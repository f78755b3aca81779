//! The structs of streams, their requests, and processes.
#![forbid(unsafe_code)]

use super::{Handle, Request};
use crate::abi::buffers::Buffer;
use crate::abi::live::Live;
use crate::queue::{Linked, Queue};
use std::cell::Cell;
use std::ffi::{c_char, c_int, c_uint};

type Unused<const WORDS: usize> = [Cell<usize>; WORDS];

pub(crate) type AllocCallback = unsafe extern "C-unwind" fn(*mut Handle, usize, *mut Buffer);
pub(crate) type ReadCallback = unsafe extern "C-unwind" fn(*mut Stream, isize, *const Buffer);
pub(crate) type WriteCallback = unsafe extern "C-unwind" fn(*mut Write, c_int);
pub(crate) type ConnectCallback = unsafe extern "C-unwind" fn(*mut Connect, c_int);
pub(crate) type ShutdownCallback = unsafe extern "C-unwind" fn(*mut Shutdown, c_int);
pub(crate) type ConnectionCallback = unsafe extern "C-unwind" fn(*mut Stream, c_int);
pub(crate) type ExitCallback = unsafe extern "C-unwind" fn(*mut Process, i64, c_int);

/// `uv_stream_t` and `uv_tcp_t`, with which pipes and terminals begin.
#[repr(C)]
pub(crate) struct Stream {
    pub(crate) handle: Handle,
    /// The bytes of the write requests whose callbacks were not called yet.
    pub(crate) write_queue_bytes: Cell<usize>,
    pub(crate) alloc_callback: Cell<Option<AllocCallback>>,
    pub(crate) read_callback: Cell<Option<ReadCallback>>,
    pub(crate) connect: Cell<Option<Live<Connect>>>,
    pub(crate) shutdown: Cell<Option<Live<Shutdown>>>,
    /// Its place among the streams whose requests are done; 0 if it is not one.
    pub(crate) pending_place: Cell<u64>,
    _watcher: Unused<4>,
    /// What epoll is to report: bits of `stream::wants`.
    pub(crate) wanted: Cell<u32>,
    _events: Cell<u32>,
    /// -1 if there is none.
    pub(crate) fd: Cell<c_int>,
    pub(crate) writes: Queue<Write>,
    pub(crate) written: Queue<Write>,
    pub(crate) connection_callback: Cell<Option<ConnectionCallback>>,
    /// An error that the next call or callback reports, as a negative number.
    pub(crate) delayed_error: Cell<c_int>,
    /// A connection that the caller has not accepted yet, or a received fd; -1 if there is none.
    pub(crate) accepted_fd: Cell<c_int>,
    _queued: Cell<u64>,
}

/// `uv_pipe_t`.
#[repr(C)]
pub(crate) struct Pipe {
    pub(crate) stream: Stream,
    /// 1 if handles travel over it.
    pub(crate) is_ipc: Cell<c_int>,
    /// The file that its `bind` has made, allocated by the caller's function; null if there is
    /// none.
    pub(crate) name: Cell<*mut c_char>,
}

/// `uv_tty_t`.
#[repr(C)]
pub(crate) struct Tty {
    pub(crate) stream: Stream,
    /// libc's `struct termios` from before the first change.
    pub(crate) original: [Cell<u32>; 15],
    pub(crate) mode: Cell<c_int>,
}

/// `uv_process_t`.
#[repr(C)]
pub(crate) struct Process {
    pub(crate) handle: Handle,
    pub(crate) exit_callback: Cell<Option<ExitCallback>>,
    /// 0 before it runs.
    pub(crate) pid: Cell<c_int>,
    _queue: Unused<2>,
    /// What wait(2) has returned.
    pub(crate) status: Cell<c_int>,
}

/// `uv_connect_t`.
#[repr(C)]
pub(crate) struct Connect {
    pub(crate) request: Request,
    pub(crate) callback: Cell<Option<ConnectCallback>>,
    pub(crate) stream: Cell<Option<Live<Stream>>>,
    _queue: Unused<2>,
}

/// `uv_shutdown_t`.
#[repr(C)]
pub(crate) struct Shutdown {
    pub(crate) request: Request,
    pub(crate) stream: Cell<Option<Live<Stream>>>,
    pub(crate) callback: Cell<Option<ShutdownCallback>>,
}

/// The buffers that a write request has room for.
pub(crate) const SMALL_BUFFERS: usize = 4;

/// `uv_write_t`.
#[repr(C)]
pub(crate) struct Write {
    pub(crate) request: Request,
    pub(crate) callback: Cell<Option<WriteCallback>>,
    /// The handle that travels with the bytes.
    pub(crate) sent_handle: Cell<Option<Live<Handle>>>,
    pub(crate) stream: Cell<Option<Live<Stream>>>,
    /// The request behind it.
    pub(crate) next: Cell<Option<Live<Write>>>,
    _queue: Unused<1>,
    /// The first buffer that is not written.
    pub(crate) index: Cell<c_uint>,
    /// `small`, or memory of the caller's allocator; null when nothing is left to write.
    pub(crate) buffers: Cell<*mut Buffer>,
    pub(crate) count: Cell<c_uint>,
    pub(crate) error: Cell<c_int>,
    pub(crate) small: [Cell<Buffer>; SMALL_BUFFERS],
}

impl Linked for Write {
    fn next(&self) -> &Cell<Option<Live<Write>>> {
        &self.next
    }
}
