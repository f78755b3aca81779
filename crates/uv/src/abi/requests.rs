//! The requests that the pool does.

use super::live::Live;
use crate::error::{self, code};
use crate::jobs;
use crate::layout::{
    AddressesCallback, AfterWorkCallback, Fs, GetAddrInfo, GetNameInfo, Loop, NameCallback, Random,
    RandomCallback, Request, Work, WorkCallback, request,
};
use crate::mail::Done;
use libc::{addrinfo, c_char, c_int, c_uint, c_void, size_t, sockaddr, sockaddr_storage};
use rustix::io::Errno;
use std::cell::Cell;
use std::ffi::{CStr, CString};
use std::mem;
use std::ptr::{self, NonNull};

/// Sets what all requests have.
fn begin(request: Live<Request>, kind: c_int) {
    request.kind.set(kind);
}

#[unsafe(no_mangle)]
extern "C" fn uv_queue_work(
    owner: Live<Loop>,
    work: Live<Work>,
    run: Option<WorkCallback>,
    after: Option<AfterWorkCallback>,
) -> c_int {
    let Some(run) = run else { return -libc::EINVAL };
    begin(work.as_request(), request::WORK);
    work.owner.set(Some(owner));
    work.work.set(Some(run));
    work.after.set(after);
    let job = jobs::submit(owner, false, move || {
        // SAFETY: the caller gave the function for this request, to be called in this thread.
        unsafe { run(work.as_ptr()) };
        Done::Work(work, 0)
    });
    work.job.set(job);
    0
}

/// Takes back a request of the pool that has not begun.
#[unsafe(no_mangle)]
extern "C" fn uv_cancel(of: Live<Request>) -> c_int {
    // SAFETY: the function that began the request set its kind, and had a struct of that type.
    let (owner, job, done) = unsafe {
        match of.kind.get() {
            request::WORK => {
                let work: Live<Work> = of.cast();
                (
                    &work.owner.get(),
                    work.job.get(),
                    Done::Work(work, -libc::ECANCELED),
                )
            }
            request::GETADDRINFO => {
                let names: Live<GetAddrInfo> = of.cast();
                (&names.owner.get(), names.job.get(), Done::Addresses(names))
            }
            request::GETNAMEINFO => {
                let name: Live<GetNameInfo> = of.cast();
                (&name.owner.get(), name.job.get(), Done::Name(name))
            }
            request::RANDOM => {
                let random: Live<Random> = of.cast();
                (&random.owner.get(), random.job.get(), Done::Random(random))
            }
            request::FS => {
                let file: Live<Fs> = of.cast();
                // One that was done at once has no job.
                if file.callback.get().is_none() {
                    return -libc::EBUSY;
                }
                (&file.owner.get(), file.job.get(), Done::Fs(file))
            }
            _ => return -libc::EINVAL,
        }
    };
    let Some(owner) = *owner else {
        return -libc::EINVAL;
    };
    let canceled = jobs::cancel(owner, job, done);
    if canceled.is_ok() {
        // Not before it is certain: a thread may be at it.
        match done {
            Done::Addresses(request) => request.result.set(EAI_CANCELED),
            Done::Name(request) => request.result.set(EAI_CANCELED),
            Done::Random(request) => request.result.set(-libc::ECANCELED),
            Done::Fs(request) => request.result.set(-(libc::ECANCELED as isize)),
            Done::Work(..) | Done::Stat(..) => {}
        }
    }
    code(canceled)
}

const EAI_CANCELED: c_int = -3003;

/// The libuv number of an error of getaddrinfo(3).
fn resolver_error(result: c_int) -> c_int {
    match result {
        0 => 0,
        libc::EAI_BADFLAGS => -3002,
        libc::EAI_NONAME => -3008,
        libc::EAI_AGAIN => -3001,
        libc::EAI_FAIL => -3004,
        libc::EAI_NODATA => -3007,
        libc::EAI_FAMILY => -3005,
        libc::EAI_SOCKTYPE => -3011,
        libc::EAI_SERVICE => -3010,
        libc::EAI_MEMORY => -3006,
        libc::EAI_OVERFLOW => -3009,
        libc::EAI_SYSTEM => error::last(),
        -9 => -3000, // EAI_ADDRFAMILY, which libc's crate lacks
        _ => -4094,
    }
}

/// A text of the caller, kept for the pool.
fn keep(text: *const c_char) -> Option<CString> {
    // SAFETY: the caller's text ends with NUL.
    NonNull::new(text.cast_mut()).map(|text| unsafe { CStr::from_ptr(text.as_ptr()) }.to_owned())
}

fn as_ptr(text: &Option<CString>) -> *const c_char {
    text.as_ref().map_or(ptr::null(), |text| text.as_ptr())
}

/// The longest name of a host in the domain name system.
const NAME_BYTES_MAX: usize = 255;

#[unsafe(no_mangle)]
extern "C-unwind" fn uv_getaddrinfo(
    owner: Live<Loop>,
    of: Option<Live<GetAddrInfo>>,
    callback: Option<AddressesCallback>,
    node: *const c_char,
    service: *const c_char,
    hints: *const addrinfo,
) -> c_int {
    let Some(of) = of else { return -libc::EINVAL };
    let (node, service) = (keep(node), keep(service));
    if node.is_none() && service.is_none() {
        return -libc::EINVAL;
    }
    if node
        .as_ref()
        .is_some_and(|node| node.as_bytes().len() > NAME_BYTES_MAX)
    {
        return -libc::ENAMETOOLONG;
    }
    // SAFETY: the caller's hints are there, or null.
    let hints = unsafe { hints.as_ref() };
    let hints = hints.map(|hints| {
        [
            hints.ai_flags,
            hints.ai_family,
            hints.ai_socktype,
            hints.ai_protocol,
        ]
    });
    begin(of.as_request(), request::GETADDRINFO);
    of.owner.set(Some(owner));
    of.callback.set(callback);
    of.addresses.set(ptr::null_mut());
    of.result.set(0);
    let look_up = move || {
        let mut found = ptr::null_mut();
        let wanted = hints.map(|[ai_flags, ai_family, ai_socktype, ai_protocol]| {
            // SAFETY: zeros are hints.
            let none: addrinfo = unsafe { mem::zeroed() };
            addrinfo {
                ai_flags,
                ai_family,
                ai_socktype,
                ai_protocol,
                ..none
            }
        });
        let wanted = wanted.as_ref().map_or(ptr::null(), ptr::from_ref);
        // SAFETY: texts and hints are there, or null.
        let result =
            unsafe { libc::getaddrinfo(as_ptr(&node), as_ptr(&service), wanted, &mut found) };
        of.addresses
            .set(if result == 0 { found } else { ptr::null_mut() });
        of.result.set(resolver_error(result));
        Done::Addresses(of)
    };
    if callback.is_none() {
        look_up();
        return of.result.get();
    }
    of.job.set(jobs::submit(owner, true, look_up));
    0
}

#[unsafe(no_mangle)]
extern "C" fn uv_freeaddrinfo(addresses: *mut addrinfo) {
    if !addresses.is_null() {
        // SAFETY: getaddrinfo(3) has made the list, and the caller frees it once.
        unsafe { libc::freeaddrinfo(addresses) };
    }
}

#[unsafe(no_mangle)]
extern "C" fn uv_getnameinfo(
    owner: Live<Loop>,
    of: Option<Live<GetNameInfo>>,
    callback: Option<NameCallback>,
    address: Option<NonNull<sockaddr>>,
    flags: c_int,
) -> c_int {
    let (Some(of), Some(address)) = (of, address) else {
        return -libc::EINVAL;
    };
    // SAFETY: the family is part of each kind of address.
    let length = match c_int::from(unsafe { address.as_ref() }.sa_family) {
        libc::AF_INET => size_of::<libc::sockaddr_in>(),
        libc::AF_INET6 => size_of::<libc::sockaddr_in6>(),
        _ => return -libc::EINVAL,
    };
    // SAFETY: zeros are an address.
    let mut kept: sockaddr_storage = unsafe { mem::zeroed() };
    // SAFETY: the family tells the length, and any address fits.
    unsafe {
        ptr::copy_nonoverlapping(
            address.as_ptr().cast::<u8>(),
            (&raw mut kept).cast(),
            length,
        )
    };
    begin(of.as_request(), request::GETNAMEINFO);
    of.owner.set(Some(owner));
    of.callback.set(callback);
    of.flags.set(flags);
    of.result.set(0);
    let look_up = move || {
        let room = |text: &[Cell<c_char>]| {
            (
                text.as_ptr().cast_mut().cast(),
                text.len() as libc::socklen_t,
            )
        };
        let ((host, host_size), (service, service_size)) = (room(&of.host), room(&of.service));
        let kept = (&raw const kept).cast();
        // SAFETY: the address has that length, and the texts have that room.
        let result = unsafe {
            libc::getnameinfo(
                kept,
                length as libc::socklen_t,
                host,
                host_size,
                service,
                service_size,
                flags,
            )
        };
        of.result.set(resolver_error(result));
        Done::Name(of)
    };
    if callback.is_none() {
        look_up();
        return of.result.get();
    }
    of.job.set(jobs::submit(owner, true, look_up));
    0
}

/// The most bytes that one call returns.
const RANDOM_BYTES_MAX: size_t = 0x7fff_ffff;

#[unsafe(no_mangle)]
extern "C" fn uv_random(
    owner: Option<Live<Loop>>,
    of: Option<Live<Random>>,
    buffer: *mut c_void,
    length: size_t,
    flags: c_uint,
    callback: Option<RandomCallback>,
) -> c_int {
    if length > RANDOM_BYTES_MAX {
        return -libc::E2BIG;
    }
    if flags != 0 {
        return -libc::EINVAL;
    }
    let Some(callback) = callback else {
        return code(fill(buffer, length));
    };
    let (Some(owner), Some(of)) = (owner, of) else {
        return -libc::EINVAL;
    };
    begin(of.as_request(), request::RANDOM);
    of.owner.set(Some(owner));
    of.callback.set(Some(callback));
    of.buffer.set(buffer);
    of.length.set(length);
    of.result.set(0);
    let job = jobs::submit(owner, false, move || {
        of.result.set(code(fill(of.buffer.get(), of.length.get())));
        Done::Random(of)
    });
    of.job.set(job);
    0
}

/// Fills a buffer of the caller with random bytes.
fn fill(buffer: *mut c_void, length: size_t) -> Result<(), Errno> {
    let mut done = 0;
    while done < length {
        // SAFETY: the buffer has `length` bytes.
        let count =
            unsafe { libc::getrandom(buffer.cast::<u8>().add(done).cast(), length - done, 0) };
        match usize::try_from(count) {
            Ok(count) => done += count,
            Err(_) if error::last() == -libc::EINTR => {}
            Err(_) => return Err(Errno::from_raw_os_error(-error::last())),
        }
    }
    Ok(())
}
