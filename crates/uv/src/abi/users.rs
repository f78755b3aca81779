//! Users and groups: `getpwuid_r(3)` and `getgrgid_r(3)`.

use super::memory;
use super::text::bytes_of;
use libc::{c_char, c_int, c_ulong, gid_t, uid_t};
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

/// libuv's `uv_passwd_t`.
#[repr(C)]
struct User {
    name: *mut c_char,
    uid: c_ulong,
    gid: c_ulong,
    shell: *mut c_char,
    home: *mut c_char,
}

/// libuv's `uv_group_t`. The members end with null; their texts follow in the same block.
#[repr(C)]
struct Group {
    name: *mut c_char,
    gid: c_ulong,
    members: *mut *mut c_char,
}

const BUFFER_BYTES: usize = 2000;

/// Calls a function that fills in an entry, with more room until that is enough.
fn entry<T, R>(
    call: impl Fn(*mut T, *mut c_char, usize, *mut *mut T) -> c_int,
    read: impl FnOnce(&T) -> R,
) -> Result<R, c_int> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let (mut value, mut found) = (MaybeUninit::uninit(), ptr::null_mut());
        match call(
            value.as_mut_ptr(),
            buffer.as_mut_ptr(),
            buffer.len(),
            &mut found,
        ) {
            libc::ERANGE => buffer.resize(buffer.len() * 2, 0),
            libc::EINTR => {}
            0 if found.is_null() => return Err(-libc::ENOENT),
            // SAFETY: it was found, so `value` is filled in and its texts are in the buffer.
            0 => return Ok(read(unsafe { value.assume_init_ref() })),
            error => return Err(-error),
        }
    }
}

fn user<R>(uid: uid_t, read: impl FnOnce(&libc::passwd) -> R) -> Result<R, c_int> {
    let call = |entry, buffer, size, found| {
        // SAFETY: the buffer has that size, and the others have room.
        unsafe { libc::getpwuid_r(uid, entry, buffer, size, found) }
    };
    entry(call, read)
}

fn effective_user() -> uid_t {
    // SAFETY: geteuid(2) has no conditions.
    unsafe { libc::geteuid() }
}

/// The home directory of the effective user.
pub(super) fn home_of_user() -> Result<Vec<u8>, c_int> {
    user(effective_user(), |entry| bytes(entry.pw_dir).to_vec())
}

/// A text of an entry; none is empty.
fn bytes<'a>(text: *mut c_char) -> &'a [u8] {
    // SAFETY: a text of an entry ends with NUL, and is there while the entry is read.
    NonNull::new(text).map_or(&[], |text| unsafe { bytes_of(text) })
}

#[unsafe(no_mangle)]
extern "C" fn uv_os_get_passwd(target: Option<&mut MaybeUninit<User>>) -> c_int {
    uv_os_get_passwd2(target, effective_user())
}

#[unsafe(no_mangle)]
extern "C" fn uv_os_get_passwd2(target: Option<&mut MaybeUninit<User>>, uid: uid_t) -> c_int {
    let Some(target) = target else {
        return -libc::EINVAL;
    };
    let copied = user(uid, |entry| {
        let texts = [
            bytes(entry.pw_name),
            bytes(entry.pw_dir),
            bytes(entry.pw_shell),
        ];
        let block = memory::text(&texts.join(&0)); // freed by its first text, the name
        if block.is_null() {
            return -libc::ENOMEM;
        }
        // SAFETY: both texts are in the block, behind those in front of them.
        let home = unsafe { block.add(texts[0].len() + 1) };
        // SAFETY: the same.
        let shell = unsafe { home.add(texts[1].len() + 1) };
        let (uid, gid) = (entry.pw_uid.into(), entry.pw_gid.into());
        target.write(User {
            name: block,
            uid,
            gid,
            shell,
            home,
        });
        0
    });
    copied.unwrap_or_else(|error| error)
}

#[unsafe(no_mangle)]
extern "C" fn uv_os_free_passwd(user: Option<&mut User>) {
    let Some(user) = user else { return };
    let block = std::mem::replace(&mut user.name, ptr::null_mut());
    (user.shell, user.home) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: `uv_os_get_passwd` has made the block, and it was not freed before.
    unsafe { memory::free(block) };
}

#[unsafe(no_mangle)]
extern "C" fn uv_os_get_group(target: Option<&mut MaybeUninit<Group>>, gid: gid_t) -> c_int {
    let Some(target) = target else {
        return -libc::EINVAL;
    };
    let call = |entry, buffer, size, found| {
        // SAFETY: the buffer has that size, and the others have room.
        unsafe { libc::getgrgid_r(gid, entry, buffer, size, found) }
    };
    let copied = entry(call, |entry: &libc::group| {
        let mut members = Vec::new();
        let mut next = entry.gr_mem;
        // SAFETY: null, or an array of texts that ends with null.
        while let Some(member) = unsafe { next.as_ref() }.filter(|member| !member.is_null()) {
            members.push(bytes(*member));
            // SAFETY: this was not the last.
            next = unsafe { next.add(1) };
        }
        match make_group(bytes(entry.gr_name), entry.gr_gid, &members) {
            Some(group) => {
                target.write(group);
                0
            }
            None => -libc::ENOMEM,
        }
    });
    copied.unwrap_or_else(|error| error)
}

fn make_group(name: &[u8], gid: gid_t, members: &[&[u8]]) -> Option<Group> {
    let pointers_bytes = (members.len() + 1) * size_of::<*mut c_char>();
    let texts_bytes: usize = members.iter().map(|member| member.len() + 1).sum();
    let block = memory::allocate(pointers_bytes + texts_bytes)?.cast::<*mut c_char>();
    let name = memory::text(name);
    if name.is_null() {
        // SAFETY: it was just allocated.
        unsafe { memory::free(block.as_ptr()) };
        return None;
    }
    // SAFETY: the texts begin behind the pointers.
    let mut text = unsafe { block.as_ptr().cast::<c_char>().add(pointers_bytes) };
    for (index, member) in members.iter().enumerate() {
        super::text::copy_truncated(member, text, member.len() + 1);
        // SAFETY: there is a pointer for each member.
        unsafe { block.add(index).write(text) };
        // SAFETY: the next text begins behind this one's NUL.
        text = unsafe { text.add(member.len() + 1) };
    }
    // SAFETY: one pointer more than there are members.
    unsafe { block.add(members.len()).write(ptr::null_mut()) };
    Some(Group {
        name,
        gid: gid.into(),
        members: block.as_ptr(),
    })
}

#[unsafe(no_mangle)]
extern "C" fn uv_os_free_group(group: Option<&mut Group>) {
    let Some(group) = group else { return };
    let name = std::mem::replace(&mut group.name, ptr::null_mut());
    let members = std::mem::replace(&mut group.members, ptr::null_mut());
    // SAFETY: `uv_os_get_group` has made both blocks, and they were not freed before.
    unsafe { memory::free(name) };
    // SAFETY: the same.
    unsafe { memory::free(members) };
}
