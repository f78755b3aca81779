//! Directories, the environment, and the ids of the process.

use super::memory;
use super::text::{bytes_of, fill, is_fillable};
use super::users::home_of_user;
use crate::error;
use libc::{c_char, c_int, pid_t, size_t};
use std::env;
use std::os::unix::ffi::OsStrExt as _;
use std::ptr::NonNull;

#[unsafe(no_mangle)]
extern "C" fn uv_os_homedir(buffer: *mut c_char, size: *mut size_t) -> c_int {
    if !is_fillable(buffer, size) {
        return -libc::EINVAL;
    }
    match env::var_os("HOME") {
        Some(home) => fill(home.as_bytes(), buffer, size),
        None => home_of_user().map_or_else(|error| error, |home| fill(&home, buffer, size)),
    }
}

#[unsafe(no_mangle)]
extern "C" fn uv_os_tmpdir(buffer: *mut c_char, size: *mut size_t) -> c_int {
    let named = ["TMPDIR", "TMP", "TEMP", "TEMPDIR"]
        .into_iter()
        .find_map(env::var_os);
    let directory = named.unwrap_or_else(|| "/tmp".into());
    let directory = directory.as_bytes();
    // SAFETY: the caller passes null, or a size that can be read.
    let room = unsafe { size.as_ref() }.copied().unwrap_or(0);
    // libuv asks for room for the slash, too.
    let has_room = directory.len() < room;
    fill(
        if has_room {
            without_last_slash(directory)
        } else {
            directory
        },
        buffer,
        size,
    )
}

#[unsafe(no_mangle)]
extern "C" fn uv_cwd(buffer: *mut c_char, size: *mut size_t) -> c_int {
    if !is_fillable(buffer, size) {
        return -libc::EINVAL;
    }
    match env::current_dir() {
        Ok(directory) => fill(
            without_last_slash(directory.as_os_str().as_bytes()),
            buffer,
            size,
        ),
        Err(error) => error::number_of(&error),
    }
}

fn without_last_slash(path: &[u8]) -> &[u8] {
    match path {
        [rest @ .., b'/'] if !rest.is_empty() => rest,
        _ => path,
    }
}

#[unsafe(no_mangle)]
extern "C" fn uv_chdir(directory: NonNull<c_char>) -> c_int {
    // SAFETY: the caller's text ends with NUL.
    error::number_or(unsafe { libc::chdir(directory.as_ptr()) })
}

#[unsafe(no_mangle)]
extern "C" fn uv_exepath(buffer: *mut c_char, size: *mut size_t) -> c_int {
    if !is_fillable(buffer, size) {
        return -libc::EINVAL;
    }
    match std::fs::read_link("/proc/self/exe") {
        Ok(path) => {
            let path = path.as_os_str().as_bytes();
            // SAFETY: it was checked above.
            let size = unsafe { &mut *size };
            // Unlike the other functions, this one shortens the path.
            super::text::copy_truncated(path, buffer, *size);
            *size = path.len().min(*size - 1);
            0
        }
        Err(error) => error::number_of(&error),
    }
}

#[unsafe(no_mangle)]
extern "C" fn uv_os_getenv(
    name: Option<NonNull<c_char>>,
    buffer: *mut c_char,
    size: *mut size_t,
) -> c_int {
    let Some(name) = name.filter(|_| is_fillable(buffer, size)) else {
        return -libc::EINVAL;
    };
    // By libc's function, as the program may change the environment by its others.
    // SAFETY: the caller's text ends with NUL.
    match NonNull::new(unsafe { libc::getenv(name.as_ptr()) }) {
        // SAFETY: a value of the environment ends with NUL.
        Some(value) => fill(unsafe { bytes_of(value) }, buffer, size),
        None => -libc::ENOENT,
    }
}

#[unsafe(no_mangle)]
extern "C" fn uv_os_setenv(name: Option<NonNull<c_char>>, value: Option<NonNull<c_char>>) -> c_int {
    let (Some(name), Some(value)) = (name, value) else {
        return -libc::EINVAL;
    };
    // SAFETY: the caller's texts end with NUL, and it changes the environment in one thread only.
    error::number_or(unsafe { libc::setenv(name.as_ptr(), value.as_ptr(), 1) })
}

#[unsafe(no_mangle)]
extern "C" fn uv_os_unsetenv(name: Option<NonNull<c_char>>) -> c_int {
    let Some(name) = name else {
        return -libc::EINVAL;
    };
    // SAFETY: as above.
    error::number_or(unsafe { libc::unsetenv(name.as_ptr()) })
}

/// libuv's `uv_env_item_t`.
#[repr(C)]
struct EnvironmentItem {
    name: *mut c_char,
    value: *mut c_char,
}

unsafe extern "C" {
    static environ: *const *const c_char;
}

#[unsafe(no_mangle)]
extern "C" fn uv_os_environ(items: &mut *mut EnvironmentItem, count: &mut c_int) -> c_int {
    let variables = variables();
    *count = 0;
    let Some(array) = memory::allocate_zeroed::<EnvironmentItem>(variables.len()) else {
        *items = std::ptr::null_mut();
        return -libc::ENOMEM;
    };
    *items = array.as_ptr();
    for (name, value) in &variables {
        // One block for both, so that one failure leaves nothing half made.
        let block = memory::text(&[name, &b"\0"[..], value].concat());
        if block.is_null() {
            uv_os_free_environ(*items, *count);
            *items = std::ptr::null_mut();
            *count = 0;
            return -libc::ENOMEM;
        }
        // SAFETY: the value begins behind the name's NUL.
        let value = unsafe { block.add(name.len() + 1) };
        let item = EnvironmentItem { name: block, value };
        // SAFETY: the array has an item for each variable.
        unsafe { array.add(*count as usize).write(item) };
        *count += 1;
    }
    0
}

/// The variables of the environment: names and values.
fn variables() -> Vec<(Vec<u8>, Vec<u8>)> {
    // SAFETY: the caller changes the environment in one thread only.
    let mut next = unsafe { environ };
    let mut variables = Vec::new();
    // SAFETY: null, or an array of texts that ends with null.
    while let Some(text) = unsafe { next.as_ref() }.and_then(|text| NonNull::new(text.cast_mut())) {
        // SAFETY: each text ends with NUL.
        let text = unsafe { bytes_of(text) };
        if let Some(equals) = text.iter().position(|byte| *byte == b'=') {
            variables.push((text[..equals].to_vec(), text[equals + 1..].to_vec()));
        }
        // SAFETY: this was not the last.
        next = unsafe { next.add(1) };
    }
    variables
}

#[unsafe(no_mangle)]
extern "C" fn uv_os_free_environ(items: *mut EnvironmentItem, count: c_int) {
    for index in 0..count as usize {
        // SAFETY: `uv_os_environ` has made these items; the value is part of the name's block.
        unsafe { memory::free((*items.add(index)).name) };
    }
    // SAFETY: the array is `uv_os_environ`'s.
    unsafe { memory::free(items) };
}

/// The longest name of a host, with NUL.
const HOST_NAME_BYTES: usize = 65;

#[unsafe(no_mangle)]
extern "C" fn uv_os_gethostname(buffer: *mut c_char, size: *mut size_t) -> c_int {
    if !is_fillable(buffer, size) {
        return -libc::EINVAL;
    }
    let mut name: [c_char; HOST_NAME_BYTES] = [0; HOST_NAME_BYTES];
    // SAFETY: the buffer is that long; its last byte stays 0.
    if unsafe { libc::gethostname(name.as_mut_ptr(), HOST_NAME_BYTES - 1) } != 0 {
        return error::last();
    }
    // SAFETY: it ends with NUL.
    fill(
        unsafe { bytes_of(NonNull::from(&mut name[0])) },
        buffer,
        size,
    )
}

#[unsafe(no_mangle)]
extern "C" fn uv_os_getpid() -> pid_t {
    std::process::id() as pid_t
}

#[unsafe(no_mangle)]
extern "C" fn uv_os_getppid() -> pid_t {
    std::os::unix::process::parent_id() as pid_t
}

#[unsafe(no_mangle)]
extern "C" fn uv_os_getpriority(process: pid_t, priority: Option<&mut c_int>) -> c_int {
    let Some(priority) = priority else {
        return -libc::EINVAL;
    };
    // -1 is a priority, too, so only errno tells an error.
    // SAFETY: errno is this thread's, and getpriority(2) has no conditions.
    let result = unsafe {
        *libc::__errno_location() = 0;
        libc::getpriority(libc::PRIO_PROCESS, process as libc::id_t)
    };
    // SAFETY: the same.
    if result == -1 && unsafe { *libc::__errno_location() } != 0 {
        return error::last();
    }
    *priority = result;
    0
}

#[unsafe(no_mangle)]
extern "C" fn uv_os_setpriority(process: pid_t, priority: c_int) -> c_int {
    if !(-20..=19).contains(&priority) {
        return -libc::EINVAL;
    }
    // SAFETY: setpriority(2) has no conditions.
    error::number_or(unsafe {
        libc::setpriority(libc::PRIO_PROCESS, process as libc::id_t, priority)
    })
}

#[unsafe(no_mangle)]
extern "C" fn uv_kill(process: pid_t, signal: c_int) -> c_int {
    // SAFETY: kill(2) has no conditions.
    error::number_or(unsafe { libc::kill(process, signal) })
}

/// libuv's `uv_lib_t`.
#[repr(C)]
struct Library {
    handle: *mut libc::c_void,
    error: *mut c_char,
}

impl Library {
    /// Keeps the message of the last failure, or forgets it.
    fn set_error(&mut self, failed: bool) -> c_int {
        // SAFETY: null, or a text that this function has made.
        unsafe { memory::free(self.error) };
        self.error = std::ptr::null_mut();
        if !failed {
            return 0;
        }
        // SAFETY: dlerror(3) has no conditions.
        let message = NonNull::new(unsafe { libc::dlerror() });
        // SAFETY: the message ends with NUL.
        let message = message.map_or(&b"no error"[..], |text| unsafe { bytes_of(text) });
        self.error = memory::text(message);
        -1
    }
}

#[unsafe(no_mangle)]
extern "C" fn uv_dlopen(file: *const c_char, library: &mut Library) -> c_int {
    library.error = std::ptr::null_mut();
    // SAFETY: null means the program itself; a text ends with NUL.
    library.handle = unsafe { libc::dlopen(file, libc::RTLD_LAZY) };
    let failed = library.handle.is_null();
    library.set_error(failed)
}

#[unsafe(no_mangle)]
extern "C" fn uv_dlclose(library: &mut Library) {
    library.set_error(false);
    let handle = std::mem::replace(&mut library.handle, std::ptr::null_mut());
    if !handle.is_null() {
        // SAFETY: the caller does not use what it has found there any more.
        unsafe { libc::dlclose(handle) };
    }
}

#[unsafe(no_mangle)]
extern "C" fn uv_dlsym(
    library: &mut Library,
    name: *const c_char,
    symbol: &mut *mut libc::c_void,
) -> c_int {
    // A symbol may be null, so only dlerror(3) tells a failure.
    // SAFETY: dlerror(3) has no conditions.
    unsafe { libc::dlerror() };
    // SAFETY: the handle is open, and the name ends with NUL.
    *symbol = unsafe { libc::dlsym(library.handle, name) };
    // SAFETY: dlerror(3) has no conditions.
    let failed = symbol.is_null() && !unsafe { libc::dlerror() }.is_null();
    if failed {
        // SAFETY: as above; once more, because the message was taken.
        unsafe { libc::dlsym(library.handle, name) };
    }
    library.set_error(failed)
}

#[unsafe(no_mangle)]
extern "C" fn uv_dlerror(library: &Library) -> *const c_char {
    if library.error.is_null() {
        c"no error".as_ptr()
    } else {
        library.error
    }
}

#[unsafe(no_mangle)]
extern "C" fn uv_get_osfhandle(fd: c_int) -> c_int {
    fd
}

#[unsafe(no_mangle)]
extern "C" fn uv_open_osfhandle(fd: c_int) -> c_int {
    fd
}

#[unsafe(no_mangle)]
extern "C" fn uv_disable_stdio_inheritance() {
    for fd in 0.. {
        // SAFETY: fcntl(2) of a number that is no fd fails.
        let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
        // SAFETY: the same. The first 16 are tried in any case, as libuv's documentation allows.
        let failed =
            flags < 0 || unsafe { libc::fcntl(fd, libc::F_SETFD, flags | libc::FD_CLOEXEC) } != 0;
        if failed && fd > 15 {
            return;
        }
    }
}
