//! The structs of the caller: where each field is, and what the library keeps in the private space.
//!
//! Programs are compiled with these sizes and offsets, so the assertions at the end hold forever.
//! Each field is a cell, so that safe code changes a struct that the caller sees as well.
#![forbid(unsafe_code)]

use crate::abi::live::Live;
use crate::state::LoopState;
use std::cell::Cell;
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::sync::atomic::AtomicU32;

mod datagrams;
mod file_requests;
mod streams;

pub(crate) use datagrams::*;
pub(crate) use file_requests::*;
pub(crate) use streams::*;

/// Space that nothing uses.
type Unused<const WORDS: usize> = [Cell<usize>; WORDS];

/// libuv's numbers of the kinds of handles.
pub(crate) mod kind {
    use std::ffi::c_int;

    pub(crate) const ASYNC: c_int = 1;
    pub(crate) const CHECK: c_int = 2;
    pub(crate) const FS_EVENT: c_int = 3;
    pub(crate) const FS_POLL: c_int = 4;
    pub(crate) const IDLE: c_int = 6;
    pub(crate) const NAMED_PIPE: c_int = 7;
    pub(crate) const POLL: c_int = 8;
    pub(crate) const PREPARE: c_int = 9;
    pub(crate) const PROCESS: c_int = 10;
    pub(crate) const TCP: c_int = 12;
    pub(crate) const TIMER: c_int = 13;
    pub(crate) const TTY: c_int = 14;
    pub(crate) const UDP: c_int = 15;
    pub(crate) const SIGNAL: c_int = 16;
    pub(crate) const FILE: c_int = 17;
}

/// libuv's numbers of the kinds of requests.
pub(crate) mod request {
    use std::ffi::c_int;

    pub(crate) const CONNECT: c_int = 2;
    pub(crate) const WRITE: c_int = 3;
    pub(crate) const SHUTDOWN: c_int = 4;
    pub(crate) const UDP_SEND: c_int = 5;
    pub(crate) const FS: c_int = 6;
    pub(crate) const WORK: c_int = 7;
    pub(crate) const GETADDRINFO: c_int = 8;
    pub(crate) const GETNAMEINFO: c_int = 9;
    pub(crate) const RANDOM: c_int = 10;
}

/// Bits of [`Handle::flags`]. Programs that know libuv's numbers read them.
pub(crate) mod flag {
    pub(crate) const CLOSING: u32 = 1;
    pub(crate) const CLOSED: u32 = 2;
    pub(crate) const ACTIVE: u32 = 4;
    pub(crate) const REFERENCED: u32 = 8;
    /// The write end of a stream is shut.
    pub(crate) const SHUT: u32 = 0x200;
    /// The last read returned less than there was room for.
    pub(crate) const READ_PARTIAL: u32 = 0x400;
    pub(crate) const READ_EOF: u32 = 0x800;
    pub(crate) const READING: u32 = 0x1000;
    pub(crate) const BOUND: u32 = 0x2000;
    pub(crate) const READABLE: u32 = 0x4000;
    pub(crate) const WRITABLE: u32 = 0x8000;
    /// Writes of a stream wait until all is written.
    pub(crate) const BLOCKING_WRITES: u32 = 0x10_0000;
    pub(crate) const IPV6: u32 = 0x40_0000;
    /// Options of a TCP socket, for when there will be one.
    pub(crate) const TCP_NODELAY: u32 = 0x100_0000;
    pub(crate) const TCP_KEEPALIVE: u32 = 0x200_0000;
    pub(crate) const UDP_CONNECTED: u32 = 0x200_0000;
}

pub(crate) type CloseCallback = unsafe extern "C-unwind" fn(*mut Handle);
pub(crate) type WalkCallback = unsafe extern "C-unwind" fn(*mut Handle, *mut c_void);
pub(crate) type TimerCallback = unsafe extern "C-unwind" fn(*mut Timer);
pub(crate) type PhaseCallback = unsafe extern "C-unwind" fn(*mut PhaseHandle);
pub(crate) type AsyncCallback = unsafe extern "C-unwind" fn(*mut Async);
pub(crate) type PollCallback = unsafe extern "C-unwind" fn(*mut Poll, c_int, c_int);
pub(crate) type SignalCallback = unsafe extern "C-unwind" fn(*mut Signal, c_int);
pub(crate) type FsEventCallback =
    unsafe extern "C-unwind" fn(*mut FsEvent, *const c_char, c_int, c_int);
pub(crate) type FsPollCallback =
    unsafe extern "C-unwind" fn(*mut FsPoll, c_int, *const Stat, *const Stat);
pub(crate) type WorkCallback = unsafe extern "C-unwind" fn(*mut Work);
pub(crate) type AfterWorkCallback = unsafe extern "C-unwind" fn(*mut Work, c_int);
pub(crate) type AddressesCallback =
    unsafe extern "C-unwind" fn(*mut GetAddrInfo, c_int, *mut libc::addrinfo);
pub(crate) type NameCallback =
    unsafe extern "C-unwind" fn(*mut GetNameInfo, c_int, *const c_char, *const c_char);
pub(crate) type RandomCallback =
    unsafe extern "C-unwind" fn(*mut Random, c_int, *mut c_void, usize);

/// `uv_loop_t`.
#[repr(C)]
pub(crate) struct Loop {
    pub(crate) data: Cell<*mut c_void>,
    /// The active handles that are referenced.
    pub(crate) active_handles: Cell<c_uint>,
    _handles: Unused<2>,
    /// The requests that are not done.
    pub(crate) active_requests: Cell<c_uint>,
    pub(crate) state: Cell<Option<Live<LoopState>>>,
    pub(crate) is_stopped: Cell<c_uint>,
    _private: Unused<99>,
}

/// `uv_handle_t`, with which all handles begin.
#[repr(C)]
pub(crate) struct Handle {
    pub(crate) data: Cell<*mut c_void>,
    pub(crate) owner: Cell<Option<Live<Loop>>>,
    pub(crate) kind: Cell<c_int>,
    pub(crate) close_callback: Cell<Option<CloseCallback>>,
    /// Its place among all handles of the loop.
    pub(crate) place: Cell<u64>,
    /// Its place among those that wait for their close callback.
    pub(crate) closing_place: Cell<u64>,
    _reserved: Unused<5>,
    pub(crate) flags: Cell<c_uint>,
}

/// `uv_timer_t`.
#[repr(C)]
pub(crate) struct Timer {
    pub(crate) handle: Handle,
    pub(crate) callback: Cell<Option<TimerCallback>>,
    pub(crate) key: Cell<u64>,
    _node: Unused<2>,
    pub(crate) deadline_ms: Cell<u64>,
    pub(crate) repeat_ms: Cell<u64>,
    _start: Unused<1>,
}

/// `uv_idle_t`, `uv_prepare_t` and `uv_check_t`.
#[repr(C)]
pub(crate) struct PhaseHandle {
    pub(crate) handle: Handle,
    pub(crate) callback: Cell<Option<PhaseCallback>>,
    pub(crate) place: Cell<u64>,
    _queue: Unused<1>,
}

/// `uv_async_t`. Other threads use the atomics.
#[repr(C)]
pub(crate) struct Async {
    pub(crate) handle: Handle,
    pub(crate) callback: Cell<Option<AsyncCallback>>,
    pub(crate) place: Cell<u64>,
    /// The number of threads that are about to ring the bell of the loop.
    pub(crate) senders: AtomicU32,
    _queue: Cell<u32>,
    /// 1 from the first send to the callback.
    pub(crate) is_pending: AtomicU32,
}

/// `uv_poll_t`.
#[repr(C)]
pub(crate) struct Poll {
    pub(crate) handle: Handle,
    pub(crate) callback: Cell<Option<PollCallback>>,
    _watcher: Unused<6>,
    pub(crate) fd: Cell<c_int>,
}

/// `uv_signal_t`.
#[repr(C)]
pub(crate) struct Signal {
    pub(crate) handle: Handle,
    pub(crate) callback: Cell<Option<SignalCallback>>,
    /// 0 while it is not started.
    pub(crate) number: Cell<c_int>,
    pub(crate) is_oneshot: Cell<c_int>,
    _tree: Unused<5>,
}

/// `uv_fs_event_t`.
#[repr(C)]
pub(crate) struct FsEvent {
    pub(crate) handle: Handle,
    /// Allocated by the caller's function; null while it is not started.
    pub(crate) path: Cell<*mut c_char>,
    pub(crate) callback: Cell<Option<FsEventCallback>>,
    _watchers: Unused<2>,
    pub(crate) descriptor: Cell<c_int>,
}

/// `uv_fs_poll_t`.
#[repr(C)]
pub(crate) struct FsPoll {
    pub(crate) handle: Handle,
    /// The key of what it watches; 0 while it is not started.
    pub(crate) key: Cell<u64>,
}

/// `uv_req_t`, with which all requests begin.
#[repr(C)]
pub(crate) struct Request {
    pub(crate) data: Cell<*mut c_void>,
    pub(crate) kind: Cell<c_int>,
    _reserved: Unused<6>,
}

/// `uv_work_t`.
#[repr(C)]
pub(crate) struct Work {
    pub(crate) request: Request,
    pub(crate) owner: Cell<Option<Live<Loop>>>,
    pub(crate) work: Cell<Option<WorkCallback>>,
    pub(crate) after: Cell<Option<AfterWorkCallback>>,
    pub(crate) job: Cell<u64>,
    _work: Unused<4>,
}

/// `uv_getaddrinfo_t`.
#[repr(C)]
pub(crate) struct GetAddrInfo {
    pub(crate) request: Request,
    pub(crate) owner: Cell<Option<Live<Loop>>>,
    pub(crate) job: Cell<u64>,
    _work: Unused<4>,
    pub(crate) callback: Cell<Option<AddressesCallback>>,
    _texts: Unused<3>,
    pub(crate) addresses: Cell<*mut libc::addrinfo>,
    pub(crate) result: Cell<c_int>,
}

/// `uv_getnameinfo_t`.
#[repr(C)]
pub(crate) struct GetNameInfo {
    pub(crate) request: Request,
    pub(crate) owner: Cell<Option<Live<Loop>>>,
    pub(crate) job: Cell<u64>,
    _work: Unused<4>,
    pub(crate) callback: Cell<Option<NameCallback>>,
    _address: Unused<16>,
    pub(crate) flags: Cell<c_int>,
    pub(crate) host: [Cell<c_char>; 1025],
    pub(crate) service: [Cell<c_char>; 32],
    pub(crate) result: Cell<c_int>,
}

/// `uv_random_t`.
#[repr(C)]
pub(crate) struct Random {
    pub(crate) request: Request,
    pub(crate) owner: Cell<Option<Live<Loop>>>,
    pub(crate) result: Cell<c_int>,
    pub(crate) buffer: Cell<*mut c_void>,
    pub(crate) length: Cell<usize>,
    pub(crate) callback: Cell<Option<RandomCallback>>,
    pub(crate) job: Cell<u64>,
    _work: Unused<4>,
}

/// `uv_stat_t`: a file's metadata, always in the same order and width.
#[repr(C)]
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Stat {
    pub(crate) device: u64,
    pub(crate) mode: u64,
    pub(crate) links: u64,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    pub(crate) special_device: u64,
    pub(crate) inode: u64,
    pub(crate) size: u64,
    pub(crate) block_size: u64,
    pub(crate) blocks: u64,
    pub(crate) flags: u64,
    pub(crate) generation: u64,
    pub(crate) accessed: Time,
    pub(crate) modified: Time,
    pub(crate) changed: Time,
    pub(crate) born: Time,
}

/// `uv_timespec_t`.
#[repr(C)]
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Time {
    pub(crate) seconds: i64,
    pub(crate) nanoseconds: i64,
}

/// The size of each kind of handle, by its number; 0 for numbers without one.
pub(crate) const HANDLE_BYTES: [usize; 18] = [
    0, 128, 120, 136, 104, 96, 120, 264, 160, 120, 136, 248, 248, 152, 312, 216, 152, 0,
];

/// The size of each kind of request, by its number.
pub(crate) const REQUEST_BYTES: [usize; 11] = [0, 64, 96, 192, 80, 320, 440, 128, 160, 1320, 144];

/// Asserts the size of structs, and the offsets of fields.
macro_rules! assert_layout {
    ($($struct:ident = $bytes:literal { $($field:ident @ $offset:literal),* })*) => {$(
        const _: () = assert!(size_of::<$struct>() == $bytes);
        $(const _: () = assert!(std::mem::offset_of!($struct, $field) == $offset);)*
    )*};
}

assert_layout! {
    Loop = 848 { data @ 0, active_handles @ 8, active_requests @ 32, state @ 40, is_stopped @ 48 }
    Handle = 96 { data @ 0, owner @ 8, kind @ 16, close_callback @ 24, flags @ 88 }
    Timer = 152 { callback @ 96, deadline_ms @ 128, repeat_ms @ 136 }
    PhaseHandle = 120 { callback @ 96 }
    Async = 128 { callback @ 96, is_pending @ 120 }
    Poll = 160 { callback @ 96, fd @ 152 }
    Signal = 152 { callback @ 96, number @ 104 }
    FsEvent = 136 { path @ 96 }
    FsPoll = 104 {}
    Request = 64 { data @ 0, kind @ 8 }
    Work = 128 { owner @ 64, work @ 72, after @ 80 }
    GetAddrInfo = 160 { owner @ 64, callback @ 112, addresses @ 144 }
    GetNameInfo = 1320 { owner @ 64, callback @ 112, host @ 252, service @ 1277 }
    Random = 144 { owner @ 64, result @ 72, buffer @ 80, length @ 88, callback @ 96 }
    Stat = 160 { born @ 144 }
    Stream = 248 {
        write_queue_bytes @ 96, alloc_callback @ 104, read_callback @ 112, fd @ 184,
        connection_callback @ 224
    }
    Pipe = 264 { is_ipc @ 248, name @ 256 }
    Tty = 312 { original @ 248, mode @ 308 }
    Process = 136 { exit_callback @ 96, pid @ 104, status @ 128 }
    Connect = 96 { callback @ 64, stream @ 72 }
    Shutdown = 80 { stream @ 64, callback @ 72 }
    Fs = 440 {
        operation @ 64, owner @ 72, callback @ 80, result @ 88, pointer @ 96, path @ 104,
        stat @ 112, new_path @ 272, file @ 280, flags @ 284, mode @ 288, count @ 292,
        buffers @ 296
    }
    DirectoryEntry = 16 { kind @ 8 }
    Directory = 56 { room @ 8, stream @ 48 }
    FileSystem = 88 {}
    Udp = 216 { queue_bytes @ 96, queue_count @ 104, fd @ 176 }
    UdpSend = 320 { udp @ 64, callback @ 72 }
    Write = 192 { callback @ 64, sent_handle @ 72, stream @ 80, error @ 124 }
}
const _: () = assert!(HANDLE_BYTES[kind::TIMER as usize] == size_of::<Timer>());
const _: () = assert!(HANDLE_BYTES[kind::POLL as usize] == size_of::<Poll>());
