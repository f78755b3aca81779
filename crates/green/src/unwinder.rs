//! The frames of a call stack, as the unwinder that the standard library links sees them.
//!
//! The crate `backtrace` walks by the same functions, and brings seven crates that read debug
//! information, which no walk here needs.

use std::ffi::{c_int, c_void};

/// `_Unwind_Context`: a frame, for the functions below.
#[repr(C)]
struct Context {
    _opaque: [u8; 0],
}

type Visit = unsafe extern "C-unwind" fn(*mut Context, *mut c_void) -> c_int;

const CONTINUE: c_int = 0; // _URC_NO_REASON
const STOP: c_int = 4; // _URC_NORMAL_STOP

// libgcc's unwinder or LLVM's. "C-unwind", as the compiler gives a call that cannot unwind no call
// site, which would look to `cleanup` like a call that forbids unwinding.
unsafe extern "C-unwind" {
    fn _Unwind_Backtrace(visit: Visit, argument: *mut c_void) -> c_int;
    fn _Unwind_FindEnclosingFunction(address: *mut c_void) -> *mut c_void;
    fn _Unwind_GetIPInfo(frame: *mut Context, is_before: *mut c_int) -> usize;
    fn _Unwind_GetCFA(frame: *mut Context) -> usize;
    fn _Unwind_GetRegionStart(frame: *mut Context) -> usize;
    fn _Unwind_GetLanguageSpecificData(frame: *mut Context) -> *const u8;
}

/// One frame of a walk. Only [`walk`] makes it, and only lends it.
pub(crate) struct Frame {
    /// The unwinder's own, valid as long as this is lent.
    context: *mut Context,
}

impl Frame {
    /// The address of the stack at which the frame begins.
    pub(crate) fn stack_address(&self) -> usize {
        // SAFETY: here and below, the context is valid: only `visit` makes a `Frame`, of the context
        // that the unwinder just passed to it, and lends it for no longer than that call.
        unsafe { _Unwind_GetCFA(self.context) }
    }

    /// An address within the instruction at which the frame is stopped: its call, mostly.
    pub(crate) fn call(&self) -> usize {
        let mut is_before = 0;
        // SAFETY: as above; the unwinder writes one int.
        let address = unsafe { _Unwind_GetIPInfo(self.context, &mut is_before) };
        // A return address is that of the next instruction, which may belong to the next call site.
        if is_before == 0 {
            address.wrapping_sub(1)
        } else {
            address
        }
    }

    /// The address of the frame's function.
    pub(crate) fn function(&self) -> usize {
        // The address of the call, not the return address: that may belong to the next function.
        // SAFETY: the unwinder reads nothing there; it only looks the address up in its tables.
        let function =
            unsafe { _Unwind_FindEnclosingFunction(std::ptr::without_provenance_mut(self.call())) };
        function.addr()
    }

    /// The address that the function's table of call sites counts from.
    pub(crate) fn region_start(&self) -> usize {
        // SAFETY: as above.
        unsafe { _Unwind_GetRegionStart(self.context) }
    }

    /// The function's table of call sites (its LSDA); null if it has none.
    pub(crate) fn table(&self) -> *const u8 {
        // SAFETY: as above.
        unsafe { _Unwind_GetLanguageSpecificData(self.context) }
    }
}

/// Calls `look` with each frame of the call stack, innermost first, until it returns false.
///
/// The unwinder is safe to call from several threads. A lock of ours would make a forked child wait
/// forever if another thread held it at the fork.
pub(crate) fn walk<F: FnMut(&Frame) -> bool>(mut look: F) {
    // SAFETY: `visit::<F>` is what gets the pointer, so it casts it to the type that it points to.
    // `look` lives until the walk returns, and nothing else uses it meanwhile.
    unsafe { _Unwind_Backtrace(visit::<F>, (&raw mut look).cast()) };
}

unsafe extern "C-unwind" fn visit<F: FnMut(&Frame) -> bool>(
    context: *mut Context,
    look: *mut c_void,
) -> c_int {
    // SAFETY: the pointer is to the `look` of `walk`, of this type, and `walk` does not use it until
    // the unwinder returns. Frames are visited one after the other, so no second borrow exists.
    let look = unsafe { &mut *look.cast::<F>() };
    if look(&Frame { context }) {
        CONTINUE
    } else {
        STOP
    }
}
