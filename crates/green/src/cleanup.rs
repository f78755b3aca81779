//! Whether this stack unwinds already: a second unwinding would abort the process.
//!
//! `thread::panicking` counts for the whole OS thread: it is true for all green threads while one
//! of them waits in its drops. The frames of a stack are exact. Where the compiler calls a drop
//! because of an unwinding, it forbids unwinding out of that call: in the function's table of call
//! sites (its LSDA), the actions of the call include a *filter*, which lets no exception pass, also
//! where the drop is inlined. So if a walk up the stack finds a frame stopped at such a call, the
//! stack unwinds. The walk takes a microsecond or two a frame, and happens only before a throw
//! while `thread::panicking` is true.
//!
//! If a table is not understood, its call counts as one that forbids unwinding: nothing is thrown
//! until the other stacks have unwound.

use crate::unwinder::{Frame, walk};
use std::ops::Range;

/// True if a payload that the caller throws can unwind that part of the stack, up to its base.
pub(crate) fn can_unwind(stack: Range<usize>) -> bool {
    let mut was_inside = false;
    let mut lets_pass = true;
    walk(|frame| {
        if !stack.contains(&frame.stack_address()) {
            return !was_inside;
        }
        was_inside = true;
        lets_pass = frame_lets_pass(frame);
        lets_pass
    });
    lets_pass
}

fn frame_lets_pass(frame: &Frame) -> bool {
    let table = frame.table();
    // Without a table there is nothing to drop or to catch.
    table.is_null()
        || lets_pass(
            Table { next: table },
            frame.call().wrapping_sub(frame.region_start()),
        )
}

/// The encodings of numbers in the table: `DW_EH_PE_…`.
mod encoding {
    pub(super) const OMIT: u8 = 0xff;
    pub(super) const FORMAT: u8 = 0x0f;
    pub(super) const POINTER: u8 = 0x00;
    pub(super) const ULEB128: u8 = 0x01;
    pub(super) const DATA2: u8 = 0x02;
    pub(super) const DATA4: u8 = 0x03;
    pub(super) const DATA8: u8 = 0x04;
    pub(super) const SIGNED: u8 = 0x08;
}

/// True if an exception may unwind out of the call at that offset in its function; false if the
/// table is not understood. C and C++ functions on the stack use the same form of table.
fn lets_pass(mut table: Table, offset: usize) -> bool {
    site_lets_pass(&mut table, offset).unwrap_or(false)
}

/// Looks up the call as the standard library's `find_eh_action` does.
fn site_lets_pass(table: &mut Table, offset: usize) -> Option<bool> {
    let landing_base = table.byte();
    if landing_base != encoding::OMIT {
        table.number(landing_base)?;
    }
    if table.byte() != encoding::OMIT {
        table.uleb128()?; // the offset of the types: Rust's catches have none
    }
    let sites = table.byte();
    let sites_bytes = table.uleb128()?;
    let actions = table.next.wrapping_add(sites_bytes);
    while table.next < actions {
        let start = table.number(sites)?;
        let len = table.number(sites)?;
        let landing = table.number(sites)?;
        let action = table.uleb128()?;
        if offset < start {
            break; // the sites are sorted
        }
        if offset - start < len {
            // Actions are numbered from 1; 0 is a cleanup without a catch or a filter.
            let first = actions.wrapping_add(action.wrapping_sub(1));
            return Some(landing == 0 || action == 0 || !has_filter(first)?);
        }
    }
    Some(false) // no site: the compiler has marked this call as one that never unwinds
}

/// True if there is a filter in a chain of actions. One behind a catch counts as well: after
/// inlining, it is that of the outer function, and a caught payload may be thrown again.
fn has_filter(mut action: *const u8) -> Option<bool> {
    loop {
        let mut table = Table { next: action };
        // The type filter: 0 for a cleanup, positive for a catch, negative for a filter.
        if table.sleb128()? < 0 {
            return Some(true);
        }
        let link = table.next;
        match table.sleb128()? {
            0 => return Some(false),
            distance => action = link.wrapping_offset(distance),
        }
    }
}

/// A function's LSDA, from the next byte on.
struct Table {
    next: *const u8,
}

impl Table {
    fn byte(&mut self) -> u8 {
        // SAFETY: the compiler made the table, whose own lengths limit how far this reads.
        let byte = unsafe { self.next.read() };
        self.next = self.next.wrapping_add(1);
        byte
    }

    fn uleb128(&mut self) -> Option<usize> {
        Some(self.leb128()?.0)
    }

    fn sleb128(&mut self) -> Option<isize> {
        let (value, bits) = self.leb128()?;
        let above = usize::BITS.saturating_sub(bits); // filled with the sign
        Some((value << above).cast_signed() >> above)
    }

    /// A number, and the count of its encoded bits; `None` if a `usize` has fewer.
    fn leb128(&mut self) -> Option<(usize, u32)> {
        let (mut value, mut bits) = (0, 0);
        loop {
            let byte = self.byte();
            value |= usize::from(byte & 0x7f).checked_shl(bits)?;
            bits += 7;
            if byte & 0x80 == 0 {
                return Some((value, bits));
            }
        }
    }

    /// An unsigned number in that encoding.
    fn number(&mut self, encoding: u8) -> Option<usize> {
        let bytes = match encoding & encoding::FORMAT & !encoding::SIGNED {
            encoding::POINTER => size_of::<usize>(),
            encoding::ULEB128 if encoding & encoding::SIGNED == 0 => return self.uleb128(),
            encoding::DATA2 => 2,
            encoding::DATA4 => 4,
            encoding::DATA8 => 8,
            _ => return None,
        };
        let mut value = [0; 8];
        for byte in &mut value[..bytes] {
            *byte = self.byte();
        }
        let value = if cfg!(target_endian = "big") {
            u64::from_be_bytes(value) >> (64 - 8 * bytes)
        } else {
            u64::from_le_bytes(value)
        };
        usize::try_from(value).ok()
    }
}
