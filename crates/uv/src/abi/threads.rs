//! Threads, and values of each thread.

use super::message::abort_with;
use super::text::copy_truncated;
use crate::error;
use libc::{c_char, c_int, c_uint, c_void, pthread_key_t, pthread_t, size_t};
use rustix::io::Errno;
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

type Entry = unsafe extern "C-unwind" fn(*mut c_void);

/// libuv's `uv_thread_options_t`.
#[repr(C)]
struct ThreadOptions {
    flags: c_uint,
    stack_bytes: size_t,
}

const HAS_STACK_SIZE: c_uint = 1;

/// What a new thread runs.
struct Start {
    entry: Entry,
    argument: *mut c_void,
}

#[unsafe(no_mangle)]
extern "C" fn uv_thread_create(
    thread: &mut MaybeUninit<pthread_t>,
    entry: Entry,
    argument: *mut c_void,
) -> c_int {
    create(thread, 0, entry, argument)
}

#[unsafe(no_mangle)]
extern "C" fn uv_thread_create_ex(
    thread: &mut MaybeUninit<pthread_t>,
    options: Option<&ThreadOptions>,
    entry: Entry,
    argument: *mut c_void,
) -> c_int {
    let sized = options.filter(|options| options.flags & HAS_STACK_SIZE != 0);
    create(
        thread,
        sized.map_or(0, |options| options.stack_bytes),
        entry,
        argument,
    )
}

/// Starts a thread; 0 bytes mean a stack of the usual size.
fn create(
    thread: &mut MaybeUninit<pthread_t>,
    stack_bytes: usize,
    entry: Entry,
    argument: *mut c_void,
) -> c_int {
    let mut attributes = MaybeUninit::uninit();
    // SAFETY: there is room for the attributes.
    let error = unsafe { libc::pthread_attr_init(attributes.as_mut_ptr()) };
    if error != 0 {
        return -error;
    }
    // SAFETY: they are initialized.
    let attributes = unsafe { attributes.assume_init_mut() };
    let mut error = 0;
    if stack_bytes > 0 {
        // SAFETY: sysconf(3) has no conditions.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
        let bytes = stack_bytes
            .checked_next_multiple_of(page)
            .unwrap_or(usize::MAX);
        // SAFETY: the attributes are initialized.
        error = unsafe {
            libc::pthread_attr_setstacksize(attributes, bytes.max(libc::PTHREAD_STACK_MIN))
        };
    }
    if error == 0 {
        let start = Box::into_raw(Box::new(Start { entry, argument })).cast();
        // SAFETY: `run` takes the start, which it then owns.
        error = unsafe { pthread_create(thread.as_mut_ptr(), attributes, run, start) };
        if error != 0 {
            // SAFETY: no thread has it.
            drop(unsafe { Box::from_raw(start.cast::<Start>()) });
        }
    }
    // SAFETY: they are initialized, and not used again.
    unsafe { libc::pthread_attr_destroy(attributes) };
    -error
}

unsafe extern "C" {
    /// As libc's, for a function through which the thread's end may unwind.
    fn pthread_create(
        thread: *mut pthread_t,
        attributes: *const libc::pthread_attr_t,
        run: extern "C-unwind" fn(*mut c_void) -> *mut c_void,
        argument: *mut c_void,
    ) -> c_int;
}

/// The first function of a thread. `pthread_exit` unwinds through it.
extern "C-unwind" fn run(start: *mut c_void) -> *mut c_void {
    // SAFETY: `create` has made it for this thread.
    let Start { entry, argument } = *unsafe { Box::from_raw(start.cast::<Start>()) };
    // SAFETY: the caller gave both for each other.
    unsafe { entry(argument) };
    ptr::null_mut()
}

#[unsafe(no_mangle)]
extern "C" fn uv_thread_self() -> pthread_t {
    // SAFETY: pthread_self(3) has no conditions.
    unsafe { libc::pthread_self() }
}

#[unsafe(no_mangle)]
extern "C" fn uv_thread_join(thread: &pthread_t) -> c_int {
    // SAFETY: the caller's thread was not joined or detached before.
    -unsafe { libc::pthread_join(*thread, ptr::null_mut()) }
}

#[unsafe(no_mangle)]
extern "C" fn uv_thread_detach(thread: &pthread_t) -> c_int {
    // SAFETY: as above.
    -unsafe { libc::pthread_detach(*thread) }
}

#[unsafe(no_mangle)]
extern "C" fn uv_thread_equal(one: &pthread_t, other: &pthread_t) -> c_int {
    c_int::from(one == other)
}

/// The kernel's limit for a name, with NUL.
const NAME_BYTES: usize = 16;

#[unsafe(no_mangle)]
extern "C" fn uv_thread_setname(name: Option<NonNull<c_char>>) -> c_int {
    let Some(name) = name else {
        return -libc::EINVAL;
    };
    let mut short = [0; NAME_BYTES];
    // SAFETY: the caller's text ends with NUL.
    copy_truncated(
        unsafe { super::text::bytes_of(name) },
        short.as_mut_ptr(),
        NAME_BYTES,
    );
    // SAFETY: the name ends with NUL.
    -unsafe { libc::pthread_setname_np(libc::pthread_self(), short.as_ptr()) }
}

#[unsafe(no_mangle)]
extern "C" fn uv_thread_getname(thread: &pthread_t, name: *mut c_char, size: size_t) -> c_int {
    if name.is_null() || size == 0 {
        return -libc::EINVAL;
    }
    let mut full: [c_char; NAME_BYTES] = [0; NAME_BYTES];
    // SAFETY: the buffer has room for any name.
    let error = unsafe { libc::pthread_getname_np(*thread, full.as_mut_ptr(), NAME_BYTES) };
    if error != 0 {
        return -error;
    }
    // SAFETY: the name ends with NUL.
    let bytes = unsafe { super::text::bytes_of(NonNull::from(&mut full[0])) };
    copy_truncated(bytes, name, size);
    0
}

#[unsafe(no_mangle)]
extern "C" fn uv_thread_getcpu() -> c_int {
    // SAFETY: sched_getcpu(3) has no conditions.
    error::number_or(unsafe { libc::sched_getcpu() })
}

#[unsafe(no_mangle)]
extern "C" fn uv_cpumask_size() -> c_int {
    libc::CPU_SETSIZE
}

#[unsafe(no_mangle)]
extern "C" fn uv_thread_getaffinity(thread: &pthread_t, mask: *mut c_char, size: size_t) -> c_int {
    if size < libc::CPU_SETSIZE as usize {
        return -libc::EINVAL;
    }
    let mut set = MaybeUninit::zeroed();
    // SAFETY: there is room for the set.
    let error = unsafe {
        libc::pthread_getaffinity_np(*thread, size_of::<libc::cpu_set_t>(), set.as_mut_ptr())
    };
    if error != 0 {
        return -error;
    }
    // SAFETY: zeros are a set, too.
    let set: libc::cpu_set_t = unsafe { set.assume_init() };
    for cpu in 0..libc::CPU_SETSIZE as usize {
        // SAFETY: the number is within the set.
        let is_set = unsafe { libc::CPU_ISSET(cpu, &set) };
        // SAFETY: the caller's mask has at least as many bytes.
        unsafe { mask.add(cpu).write(is_set.into()) };
    }
    0
}

#[unsafe(no_mangle)]
extern "C" fn uv_thread_setaffinity(
    thread: &pthread_t,
    mask: *const c_char,
    old: *mut c_char,
    size: size_t,
) -> c_int {
    if size < libc::CPU_SETSIZE as usize {
        return -libc::EINVAL;
    }
    if !old.is_null() {
        let error = uv_thread_getaffinity(thread, old, size);
        if error != 0 {
            return error;
        }
    }
    // SAFETY: zeros are the empty set.
    let mut set: libc::cpu_set_t = unsafe { MaybeUninit::zeroed().assume_init() };
    for cpu in 0..libc::CPU_SETSIZE as usize {
        // SAFETY: the caller's mask has at least as many bytes.
        if unsafe { mask.add(cpu).read() } != 0 {
            // SAFETY: the number is within the set.
            unsafe { libc::CPU_SET(cpu, &mut set) };
        }
    }
    // SAFETY: the set is initialized.
    -unsafe { libc::pthread_setaffinity_np(*thread, size_of_val(&set), &set) }
}

const PRIORITY_MIN: c_int = -2;
const PRIORITY_MAX: c_int = 2;

#[unsafe(no_mangle)]
extern "C" fn uv_thread_getpriority(thread: pthread_t, priority: Option<&mut c_int>) -> c_int {
    let Some(priority) = priority else {
        return -libc::EINVAL;
    };
    match scheduling(thread) {
        Ok((_, current)) => {
            *priority = current;
            0
        }
        Err(error) => -error,
    }
}

/// Maps five steps to the range of the thread's policy; the usual policy has a nice value instead.
#[unsafe(no_mangle)]
extern "C" fn uv_thread_setpriority(thread: pthread_t, priority: c_int) -> c_int {
    if !(PRIORITY_MIN..=PRIORITY_MAX).contains(&priority) {
        return -libc::EINVAL;
    }
    let policy = match scheduling(thread) {
        Ok((policy, _)) => policy,
        Err(error) => return -error,
    };
    if !matches!(policy, libc::SCHED_FIFO | libc::SCHED_RR) {
        // SAFETY: setpriority(2) has no conditions. On Linux it is the thread's, by id 0 the
        // calling one's; the id of another thread is not to be had.
        return error::number_or(unsafe {
            libc::setpriority(libc::PRIO_PROCESS, 0, -priority * 2)
        });
    }
    // SAFETY: both have no conditions.
    let (least, most) = unsafe {
        (
            libc::sched_get_priority_min(policy),
            libc::sched_get_priority_max(policy),
        )
    };
    let step = (most - least) / (PRIORITY_MAX - PRIORITY_MIN);
    let parameter = libc::sched_param {
        sched_priority: least + step * (priority - PRIORITY_MIN),
    };
    // SAFETY: the parameter is initialized.
    -unsafe { libc::pthread_setschedparam(thread, policy, &parameter) }
}

/// A thread's policy and priority.
fn scheduling(thread: pthread_t) -> Result<(c_int, c_int), c_int> {
    let (mut policy, mut parameter) = (0, libc::sched_param { sched_priority: 0 });
    // SAFETY: both can be written.
    match unsafe { libc::pthread_getschedparam(thread, &mut policy, &mut parameter) } {
        0 => Ok((policy, parameter.sched_priority)),
        error => Err(error),
    }
}

#[unsafe(no_mangle)]
extern "C" fn uv_key_create(key: &mut MaybeUninit<pthread_key_t>) -> c_int {
    // SAFETY: there is room for the key, and without a destructor nothing else is needed.
    -unsafe { libc::pthread_key_create(key.as_mut_ptr(), None) }
}

#[unsafe(no_mangle)]
extern "C" fn uv_key_delete(key: &pthread_key_t) {
    // SAFETY: the caller has created the key.
    if unsafe { libc::pthread_key_delete(*key) } != 0 {
        abort_with("uv_key_delete: there is no such key");
    }
}

#[unsafe(no_mangle)]
extern "C" fn uv_key_get(key: &pthread_key_t) -> *mut c_void {
    // SAFETY: the caller has created the key.
    unsafe { libc::pthread_getspecific(*key) }
}

#[unsafe(no_mangle)]
extern "C" fn uv_key_set(key: &pthread_key_t, value: *mut c_void) {
    // SAFETY: the caller has created the key.
    if unsafe { libc::pthread_setspecific(*key, value) } != 0 {
        abort_with(&format!("uv_key_set: {}", Errno::NOMEM));
    }
}
