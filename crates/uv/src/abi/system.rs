//! The machine: its memory, processors, interfaces, and load.

use super::memory;
use super::text::bytes_of;
use crate::error;
use crate::system::{self, CgroupMemory};
use libc::{
    c_char, c_double, c_int, c_uint, size_t, sockaddr, sockaddr_in, sockaddr_in6, sockaddr_ll,
    timeval,
};
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

/// libuv's `uv_utsname_t`.
#[repr(C)]
struct SystemName {
    system: [c_char; 256],
    release: [c_char; 256],
    version: [c_char; 256],
    machine: [c_char; 256],
}

#[unsafe(no_mangle)]
extern "C" fn uv_os_uname(target: Option<&mut MaybeUninit<SystemName>>) -> c_int {
    let Some(target) = target else {
        return -libc::EINVAL;
    };
    let mut name = MaybeUninit::uninit();
    // SAFETY: there is room for it.
    if unsafe { libc::uname(name.as_mut_ptr()) } != 0 {
        return error::last();
    }
    // SAFETY: uname(2) has succeeded.
    let name: libc::utsname = unsafe { name.assume_init() };
    let long = |text: &[c_char; 65]| {
        let mut long = [0; 256];
        long[..65].copy_from_slice(text);
        long
    };
    target.write(SystemName {
        system: long(&name.sysname),
        release: long(&name.release),
        version: long(&name.version),
        machine: long(&name.machine),
    });
    0
}

#[unsafe(no_mangle)]
extern "C" fn uv_uptime(seconds: &mut c_double) -> c_int {
    let mut now = MaybeUninit::uninit();
    // SAFETY: there is room for it.
    if unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, now.as_mut_ptr()) } != 0 {
        return error::last();
    }
    // SAFETY: clock_gettime(2) has succeeded.
    *seconds = unsafe { now.assume_init() }.tv_sec as c_double;
    0
}

#[unsafe(no_mangle)]
extern "C" fn uv_loadavg(averages: &mut [c_double; 3]) {
    // SAFETY: there is room for three.
    if unsafe { libc::getloadavg(averages.as_mut_ptr(), 3) } < 0 {
        *averages = [0.0; 3];
    }
}

/// libuv's `uv_rusage_t`: getrusage(2)'s fields in its order.
#[repr(C)]
struct Usage {
    user: timeval,
    system: timeval,
    counters: [u64; 14],
}

#[unsafe(no_mangle)]
extern "C" fn uv_getrusage(usage: &mut MaybeUninit<Usage>) -> c_int {
    usage_of(libc::RUSAGE_SELF, usage)
}

#[unsafe(no_mangle)]
extern "C" fn uv_getrusage_thread(usage: &mut MaybeUninit<Usage>) -> c_int {
    usage_of(libc::RUSAGE_THREAD, usage)
}

fn usage_of(whose: c_int, target: &mut MaybeUninit<Usage>) -> c_int {
    let mut usage = MaybeUninit::uninit();
    // SAFETY: there is room for it.
    if unsafe { libc::getrusage(whose, usage.as_mut_ptr()) } != 0 {
        return error::last();
    }
    // SAFETY: getrusage(2) has succeeded.
    let usage: libc::rusage = unsafe { usage.assume_init() };
    let counters = [
        usage.ru_maxrss,
        usage.ru_ixrss,
        usage.ru_idrss,
        usage.ru_isrss,
        usage.ru_minflt,
        usage.ru_majflt,
        usage.ru_nswap,
        usage.ru_inblock,
        usage.ru_oublock,
        usage.ru_msgsnd,
        usage.ru_msgrcv,
        usage.ru_nsignals,
        usage.ru_nvcsw,
        usage.ru_nivcsw,
    ];
    target.write(Usage {
        user: usage.ru_utime,
        system: usage.ru_stime,
        counters: counters.map(|counter| counter as u64),
    });
    0
}

#[unsafe(no_mangle)]
extern "C" fn uv_get_free_memory() -> u64 {
    system::memory_line("MemAvailable")
        .or_else(|| system::memory_line("MemFree"))
        .unwrap_or(0)
}

#[unsafe(no_mangle)]
extern "C" fn uv_get_total_memory() -> u64 {
    system::memory_line("MemTotal").unwrap_or(0)
}

#[unsafe(no_mangle)]
extern "C" fn uv_get_constrained_memory() -> u64 {
    CgroupMemory::of_this_process().map_or(0, |memory| memory.limit)
}

#[unsafe(no_mangle)]
extern "C" fn uv_get_available_memory() -> u64 {
    let total = uv_get_total_memory();
    match CgroupMemory::of_this_process() {
        Some(memory) if memory.limit <= total => memory.limit.saturating_sub(memory.used),
        _ => uv_get_free_memory(),
    }
}

#[unsafe(no_mangle)]
extern "C" fn uv_resident_set_memory(bytes: &mut size_t) -> c_int {
    match system::resident_pages() {
        // SAFETY: sysconf(3) has no conditions.
        Ok(pages) => *bytes = pages * unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize,
        Err(error) => return error::number_of(&error),
    }
    0
}

#[unsafe(no_mangle)]
extern "C" fn uv_available_parallelism() -> c_uint {
    std::thread::available_parallelism().map_or(1, |count| count.get() as c_uint)
}

/// libuv's `uv_cpu_info_t`; times are milliseconds of user, nice, sys, idle, irq.
#[repr(C)]
struct Processor {
    model: *mut c_char,
    speed_mhz: c_int,
    times_ms: [u64; 5],
}

#[unsafe(no_mangle)]
extern "C" fn uv_cpu_info(target: &mut *mut Processor, count: &mut c_int) -> c_int {
    (*target, *count) = (ptr::null_mut(), 0);
    // SAFETY: sysconf(3) has no conditions.
    let ticks_per_s = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as u64;
    let processors = match system::processors(ticks_per_s) {
        Ok(processors) => processors,
        Err(error) => return error::number_of(&error),
    };
    let Some(array) = memory::allocate_zeroed::<Processor>(processors.len()) else {
        return -libc::ENOMEM;
    };
    (*target, *count) = (array.as_ptr(), processors.len() as c_int);
    for (index, processor) in processors.iter().enumerate() {
        let model = memory::text(processor.model.as_bytes());
        let (speed_mhz, times_ms) = (processor.speed_mhz, processor.times_ms);
        // SAFETY: the array has an element for each.
        unsafe {
            array.add(index).write(Processor {
                model,
                speed_mhz,
                times_ms,
            })
        };
        if model.is_null() {
            uv_free_cpu_info(*target, *count);
            (*target, *count) = (ptr::null_mut(), 0);
            return -libc::ENOMEM;
        }
    }
    0
}

#[unsafe(no_mangle)]
extern "C" fn uv_free_cpu_info(processors: *mut Processor, count: c_int) {
    for index in 0..count as usize {
        // SAFETY: `uv_cpu_info` has made so many, each with a text or null.
        unsafe { memory::free((*processors.add(index)).model) };
    }
    // SAFETY: the array is `uv_cpu_info`'s.
    unsafe { memory::free(processors) };
}

/// An IPv4 or an IPv6 address, as its family says.
#[repr(C)]
#[derive(Clone, Copy)]
union InternetAddress {
    v4: sockaddr_in,
    v6: sockaddr_in6,
}

/// libuv's `uv_interface_address_t`.
#[repr(C)]
struct InterfaceAddress {
    name: *mut c_char,
    physical: [u8; 6],
    is_internal: c_int,
    address: InternetAddress,
    netmask: InternetAddress,
}

#[unsafe(no_mangle)]
extern "C" fn uv_interface_addresses(
    target: &mut *mut InterfaceAddress,
    count: &mut c_int,
) -> c_int {
    (*target, *count) = (ptr::null_mut(), 0);
    let mut first = ptr::null_mut();
    // SAFETY: there is room for the list.
    if unsafe { libc::getifaddrs(&mut first) } != 0 {
        return error::last();
    }
    let result = copy_interfaces(first, target, count);
    // SAFETY: it is the list of above.
    unsafe { libc::freeifaddrs(first) };
    result
}

fn copy_interfaces(
    first: *const libc::ifaddrs,
    target: &mut *mut InterfaceAddress,
    count: &mut c_int,
) -> c_int {
    let mut entries: Vec<&libc::ifaddrs> = Vec::new();
    let mut next = first;
    // SAFETY: getifaddrs(3) makes a list that ends with null.
    while let Some(entry) = unsafe { next.as_ref() } {
        let is_up = [libc::IFF_UP, libc::IFF_RUNNING]
            .iter()
            .all(|flag| entry.ifa_flags & *flag as c_uint != 0);
        if is_up && !entry.ifa_addr.is_null() {
            entries.push(entry);
        }
        next = entry.ifa_next;
    }
    let of = |families: &[c_int]| -> Vec<&libc::ifaddrs> {
        let entries = entries.iter().copied();
        entries
            .filter(|entry| families.contains(&family(entry.ifa_addr)))
            .collect()
    };
    let links = of(&[libc::AF_PACKET]);
    let addresses = of(&[libc::AF_INET, libc::AF_INET6]);
    if addresses.is_empty() {
        return 0;
    }
    let Some(array) = memory::allocate_zeroed::<InterfaceAddress>(addresses.len()) else {
        return -libc::ENOMEM;
    };
    for (index, entry) in addresses.iter().enumerate() {
        let name = bytes_of_name(entry);
        let link = links.iter().find(|link| bytes_of_name(link) == name);
        let physical = link.map_or([0; 6], |link| physical_address(link));
        let copy = InterfaceAddress {
            name: memory::text(name),
            physical,
            is_internal: c_int::from(entry.ifa_flags & libc::IFF_LOOPBACK as c_uint != 0),
            address: internet_address(entry.ifa_addr),
            netmask: internet_address(entry.ifa_netmask),
        };
        // SAFETY: the array has an element for each.
        unsafe { array.add(index).write(copy) };
    }
    (*target, *count) = (array.as_ptr(), addresses.len() as c_int);
    0
}

/// The first six bytes of a link's address.
fn physical_address(link: &libc::ifaddrs) -> [u8; 6] {
    // SAFETY: the address of a link has this type (packet(7)).
    let address = unsafe { &*link.ifa_addr.cast::<sockaddr_ll>() };
    let [a, b, c, d, e, f, ..] = address.sll_addr;
    [a, b, c, d, e, f]
}

fn family(address: *const sockaddr) -> c_int {
    // SAFETY: the callers' addresses are there.
    unsafe { (*address).sa_family }.into()
}

fn bytes_of_name(entry: &libc::ifaddrs) -> &[u8] {
    // SAFETY: a name ends with NUL, and lives as long as the entry.
    NonNull::new(entry.ifa_name).map_or(&[], |name| unsafe { bytes_of(name) })
}

fn internet_address(address: *const sockaddr) -> InternetAddress {
    // SAFETY: zeros are an address of no family.
    let mut copy: InternetAddress = unsafe { MaybeUninit::zeroed().assume_init() };
    if !address.is_null() {
        match family(address) {
            // SAFETY: the family tells the type.
            libc::AF_INET => copy.v4 = unsafe { *address.cast() },
            // SAFETY: the same.
            libc::AF_INET6 => copy.v6 = unsafe { *address.cast() },
            _ => {}
        }
    }
    copy
}

#[unsafe(no_mangle)]
extern "C" fn uv_free_interface_addresses(addresses: *mut InterfaceAddress, count: c_int) {
    for index in 0..count as usize {
        // SAFETY: `uv_interface_addresses` has made so many, each with a text or null.
        unsafe { memory::free((*addresses.add(index)).name) };
    }
    // SAFETY: the array is `uv_interface_addresses`'s.
    unsafe { memory::free(addresses) };
}

#[unsafe(no_mangle)]
extern "C" fn uv_if_indextoname(index: c_uint, buffer: *mut c_char, size: *mut size_t) -> c_int {
    if !super::text::is_fillable(buffer, size) {
        return -libc::EINVAL;
    }
    let mut name: [c_char; libc::IF_NAMESIZE] = [0; libc::IF_NAMESIZE];
    // SAFETY: there is room for any name.
    if unsafe { libc::if_indextoname(index, name.as_mut_ptr()) }.is_null() {
        return error::last();
    }
    // SAFETY: it ends with NUL.
    super::text::fill(
        unsafe { bytes_of(NonNull::from(&mut name[0])) },
        buffer,
        size,
    )
}

#[unsafe(no_mangle)]
extern "C" fn uv_if_indextoiid(index: c_uint, buffer: *mut c_char, size: *mut size_t) -> c_int {
    uv_if_indextoname(index, buffer, size)
}
