//! Loops: their life, and their runs.

use super::buffers::Buffer;
use super::handles::handle_name;
use super::live::Live;
use super::memory;
use super::message::{abort_with, sealed};
use crate::call::Call;
use crate::error::number_of;
use crate::layout::{Handle, Loop, WalkCallback, flag};
use crate::run::{self, Mode, Run};
use crate::state::{LoopState, Member, rings};
use crate::stream_turn::SUGGESTED_BYTES;
use libc::{FILE, c_char, c_int, c_void};
use std::cell::UnsafeCell;
use std::ffi::CString;
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, Ordering};

#[unsafe(no_mangle)]
extern "C" fn uv_loop_init(of: Live<Loop>) -> c_int {
    let state = match LoopState::new() {
        Ok(state) => state,
        Err(error) => return number_of(&error),
    };
    let Some(state) = memory::place(state) else {
        return -libc::ENOMEM;
    };
    // `data` belongs to the caller, and keeps its value.
    of.active_handles.set(0);
    of.active_requests.set(0);
    of.is_stopped.set(0);
    of.state.set(Some(state));
    0
}

#[unsafe(no_mangle)]
extern "C" fn uv_loop_close(of: Live<Loop>) -> c_int {
    let Some(state) = of.state.get() else {
        return -libc::EINVAL;
    };
    if of.active_requests.get() > 0 || !state.rings.borrow().is_empty(rings::HANDLES) {
        return -libc::EBUSY;
    }
    of.state.set(None);
    // SAFETY: `uv_loop_init` has placed it. No handle is left that could lead to it.
    drop(unsafe { memory::take(state) });
    let _ = DEFAULT.compare_exchange(
        of.as_ptr(),
        ptr::null_mut(),
        Ordering::AcqRel,
        Ordering::Acquire,
    );
    0
}

#[unsafe(no_mangle)]
extern "C" fn uv_loop_new() -> *mut Loop {
    let Some(new) = memory::allocate_zeroed::<Loop>(1) else {
        return ptr::null_mut();
    };
    // SAFETY: zeros are a loop that is not initialized.
    match uv_loop_init(unsafe { Live::new(new) }) {
        0 => new.as_ptr(),
        _ => {
            // SAFETY: it was just allocated.
            unsafe { memory::free(new.as_ptr()) };
            ptr::null_mut()
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn uv_loop_delete(of: Live<Loop>) {
    let is_default = DEFAULT.load(Ordering::Acquire) == of.as_ptr();
    if uv_loop_close(of) != 0 {
        abort_with("uv_loop_delete: the loop still has handles or requests");
    }
    if !is_default {
        // SAFETY: `uv_loop_new` has allocated it for the caller.
        unsafe { memory::free(of.as_ptr()) };
    }
}

/// The memory of the default loop.
struct Memory(UnsafeCell<MaybeUninit<Loop>>);

// SAFETY: libuv's contract is that one thread at a time uses the default loop.
unsafe impl Sync for Memory {}

static MEMORY: Memory = Memory(UnsafeCell::new(MaybeUninit::zeroed()));
/// The default loop, while there is one.
static DEFAULT: AtomicPtr<Loop> = AtomicPtr::new(ptr::null_mut());

#[unsafe(no_mangle)]
extern "C" fn uv_default_loop() -> *mut Loop {
    let current = DEFAULT.load(Ordering::Acquire);
    if !current.is_null() {
        return current;
    }
    let new = NonNull::new(MEMORY.0.get().cast::<Loop>()).expect("a static has an address");
    // SAFETY: zeros are a loop that is not initialized, and so is one that was closed.
    if uv_loop_init(unsafe { Live::new(new) }) != 0 {
        return ptr::null_mut();
    }
    DEFAULT.store(new.as_ptr(), Ordering::Release);
    new.as_ptr()
}

#[unsafe(no_mangle)]
extern "C" fn uv_loop_fork(of: Live<Loop>) -> c_int {
    of.state()
        .recreate()
        .map_or_else(|error| number_of(&error), |()| 0)
}

/// Runs the loop. It is the only function that calls callbacks of handles and requests.
#[unsafe(no_mangle)]
extern "C-unwind" fn uv_run(of: Live<Loop>, mode: c_int) -> c_int {
    let mode = match mode {
        0 => Mode::Default,
        1 => Mode::Once,
        _ => Mode::NoWait,
    };
    let mut run = sealed(|| Run::new(mode, &of));
    loop {
        // A plain value: nothing here has to be dropped if the call never returns.
        let next = sealed(|| run.next(of));
        match next {
            Some(Call::Allocate(callback, handle)) => {
                let mut buffer = Buffer::NONE;
                // SAFETY: as in `make`.
                unsafe { callback(handle.as_ptr(), SUGGESTED_BYTES, &mut buffer) };
                run.fill(buffer);
            }
            Some(call) => make(call),
            None => return c_int::from(run.is_alive()),
        }
    }
}

/// Calls the caller's code.
fn make(call: Call) {
    // SAFETY: the caller gave each function for such an argument, and its handle or request is live:
    // a mechanism has just returned it, and forgets what is closed.
    unsafe {
        match call {
            Call::Timer(callback, timer) => callback(timer.as_ptr()),
            Call::Phase(callback, handle) => callback(handle.as_ptr()),
            Call::Async(callback, handle) => callback(handle.as_ptr()),
            Call::Poll(callback, poll, status, events) => callback(poll.as_ptr(), status, events),
            Call::Signal(callback, signal, number) => callback(signal.as_ptr(), number),
            Call::Close(callback, handle) => callback(handle.as_ptr()),
            Call::FsEvent(callback, handle, name, events) => {
                callback(handle.as_ptr(), name, events, 0)
            }
            Call::FsPoll(callback, handle, status, before, now) => {
                callback(handle.as_ptr(), status, before, now)
            }
            Call::Work(callback, work, status) => callback(work.as_ptr(), status),
            Call::Addresses(callback, request) => {
                callback(
                    request.as_ptr(),
                    request.result.get(),
                    request.addresses.get(),
                );
            }
            Call::Name(callback, request) => {
                let is_found = request.result.get() == 0;
                let text = |text: &[std::cell::Cell<c_char>]| {
                    if is_found {
                        text.as_ptr().cast()
                    } else {
                        ptr::null()
                    }
                };
                callback(
                    request.as_ptr(),
                    request.result.get(),
                    text(&request.host),
                    text(&request.service),
                );
            }
            Call::Fs(callback, request) => callback(request.as_ptr()),
            Call::Allocate(..) => {} // see `uv_run`, which takes the buffer
            Call::Read(callback, stream, count, buffer) => {
                callback(stream.as_ptr(), count, &buffer);
            }
            Call::Write(callback, write, status) => callback(write.as_ptr(), status),
            Call::Connect(callback, connect, status) => callback(connect.as_ptr(), status),
            Call::Shutdown(callback, shutdown, status) => callback(shutdown.as_ptr(), status),
            Call::Connection(callback, stream, status) => callback(stream.as_ptr(), status),
            Call::Send(callback, send, status) => callback(send.as_ptr(), status),
            Call::Receive(callback, udp, count, buffer, from, flags) => {
                callback(udp.as_ptr(), count, &buffer, from, flags);
            }
            Call::Exit(callback, process, status, signal) => {
                callback(process.as_ptr(), status, signal);
            }
            Call::Random(callback, random) => {
                callback(
                    random.as_ptr(),
                    random.result.get(),
                    random.buffer.get(),
                    random.length.get(),
                );
            }
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn uv_stop(of: Live<Loop>) {
    of.is_stopped.set(1);
}

#[unsafe(no_mangle)]
extern "C" fn uv_loop_alive(of: Live<Loop>) -> c_int {
    c_int::from(run::is_alive(&of))
}

#[unsafe(no_mangle)]
extern "C" fn uv_backend_fd(of: Live<Loop>) -> c_int {
    of.state().backend()
}

#[unsafe(no_mangle)]
extern "C" fn uv_backend_timeout(of: Live<Loop>) -> c_int {
    run::backend_timeout(&of)
}

#[unsafe(no_mangle)]
extern "C" fn uv_now(of: Live<Loop>) -> u64 {
    of.state().now_ms.get()
}

#[unsafe(no_mangle)]
extern "C" fn uv_update_time(of: Live<Loop>) {
    of.state().update_time();
}

const BLOCK_SIGNAL: c_int = 0;
const METRICS_IDLE_TIME: c_int = 1;
const USE_IO_URING_SQPOLL: c_int = 2;

/// Variadic in C: the argument behind the option is an int, which comes in the next register.
#[unsafe(no_mangle)]
extern "C" fn uv_loop_configure(of: Live<Loop>, option: c_int, argument: c_int) -> c_int {
    let state = of.state();
    match option {
        BLOCK_SIGNAL if argument == libc::SIGPROF => {
            state.blocks_sigprof.set(true);
            0
        }
        BLOCK_SIGNAL => -libc::EINVAL,
        METRICS_IDLE_TIME => {
            state.metrics.measure_idle_time();
            0
        }
        USE_IO_URING_SQPOLL => 0,
        _ => -libc::ENOSYS,
    }
}

/// libuv's `uv_metrics_t`.
#[repr(C)]
struct Metrics {
    turns: u64,
    events: u64,
    waiting_events: u64,
    _reserved: [*mut u64; 13],
}

#[unsafe(no_mangle)]
extern "C" fn uv_metrics_info(of: Live<Loop>, metrics: &mut Metrics) -> c_int {
    let state = of.state();
    metrics.turns = state.metrics.turns.get();
    metrics.events = state.metrics.events.get();
    metrics.waiting_events = state.metrics.waiting_events.get();
    0
}

/// May be called in any thread.
#[unsafe(no_mangle)]
extern "C" fn uv_metrics_idle_time(of: Live<Loop>) -> u64 {
    of.state().metrics.idle_ns(super::time::now_ns())
}

/// Calls a function with each handle, in the order in which they began.
#[unsafe(no_mangle)]
extern "C-unwind" fn uv_walk(of: Live<Loop>, callback: WalkCallback, argument: *mut c_void) {
    // Handles that begin during the walk are not part of it.
    let end = of.state().initialized.get();
    let (mut place, mut at) = (u64::MAX, 0);
    loop {
        let next = sealed(|| next_handle(of, place, at, end));
        let Some((behind, handle, number)) = next else {
            return;
        };
        (place, at) = (behind, number + 1);
        // SAFETY: the handle is live, as it is in the ring.
        unsafe { callback(handle.as_ptr(), argument) };
    }
}

/// The first handle with a number in that range, from a place on.
fn next_handle(
    of: Live<Loop>,
    place: u64,
    from: u64,
    end: u64,
) -> Option<(u64, Live<Handle>, u64)> {
    let state = of.state.get()?;
    let all = state.rings.borrow();
    let is_wanted = |member: &Member| matches!(member, Member::Handle(_, number) if (from..end).contains(number));
    match all.find_behind(rings::HANDLES, place, is_wanted)? {
        (place, Member::Handle(handle, number)) => Some((place, handle, number)),
        _ => None,
    }
}

#[unsafe(no_mangle)]
extern "C" fn uv_print_all_handles(of: *mut Loop, stream: *mut FILE) {
    print_handles(of, stream, false);
}

#[unsafe(no_mangle)]
extern "C" fn uv_print_active_handles(of: *mut Loop, stream: *mut FILE) {
    print_handles(of, stream, true);
}

unsafe extern "C" {
    static stderr: *mut FILE;
}

/// Prints a line for each handle; null means the default loop, and stderr.
fn print_handles(of: *mut Loop, stream: *mut FILE, only_active: bool) {
    let of = if of.is_null() { uv_default_loop() } else { of };
    let Some(of) = NonNull::new(of) else { return };
    // SAFETY: the caller's loop is there.
    let of = unsafe { Live::new(of) };
    // SAFETY: libc's stream is there for as long as the process.
    let standard = unsafe { stderr };
    let stream = if stream.is_null() { standard } else { stream };
    let (mut place, mut at) = (u64::MAX, 0);
    while let Some((behind, handle, number)) = next_handle(of, place, at, u64::MAX) {
        (place, at) = (behind, number + 1);
        if only_active && !handle.is_active() {
            continue;
        }
        let mark = |flag, mark: char| if handle.has(flag) { mark } else { '-' };
        let marks = [mark(flag::REFERENCED, 'R'), mark(flag::ACTIVE, 'A'), '-'];
        let name = handle_name(handle.kind.get()).to_string_lossy();
        let line = format!(
            "[{}] {name:<8} {:p}\n",
            String::from_iter(marks),
            handle.as_ptr()
        );
        let line = CString::new(line).expect("it has no NUL");
        // SAFETY: the stream is open, and the line ends with NUL.
        unsafe { libc::fputs(line.as_ptr(), stream) };
    }
}
