//! The end of an emitter: its last event, and then every callback that it holds is dropped.
//!
//! A callback may capture its own emitter, which then keeps itself in memory. Nothing calls a
//! callback after 'close', so each emitter passes through [`emit_last`], and the cycle ends there.
//! An emitter that never closes ends with its program.

use crate::events::{Emitter, KeptAs};
use crate::runtime::{OfProgram, Runtime};
use crate::thrown::Thrown;
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

/// What the clones of an emitter share, as its end sees it.
///
/// ```text
/// open ──emit_last──▶ ended: no callback is left, and none is kept
///  │ ▲       └─ it was opened again meanwhile ──▶ open
///  └─┴── end of the program ──▶ ended
/// ```
pub(crate) trait Ends: 'static {
    /// Drops all callbacks, and from now on each that is added.
    fn end(&self);

    /// False if the emitter emits more after 'close', because it was opened again.
    fn is_over(&self) -> bool {
        true
    }
}

/// Emits 'close', and ends the emitter a tick later: what a listener of 'close' does, and what it
/// leaves to a tick, still finds the listeners, as in Node.
pub(crate) fn emit_last<L, E: KeptAs<L>, T: Ends>(
    runtime: &Runtime,
    emitter: &Rc<T>,
    events: &Emitter<L>,
    event: E,
    args: E::Args<'_>,
) -> Result<(), Thrown> {
    let _at_end = EndInTick {
        runtime,
        end: Some(EndAtDrop(Rc::clone(emitter))),
    };
    events.emit(event, args).map(drop)
}

/// Queues the end behind the ticks of the listeners: also if one throws or unwinds.
struct EndInTick<'a, T: Ends> {
    runtime: &'a Runtime,
    end: Option<EndAtDrop<T>>,
}

impl<T: Ends> Drop for EndInTick<'_, T> {
    fn drop(&mut self) {
        let end = self.end.take();
        self.runtime.next_tick(move || {
            drop(end);
            Ok(())
        });
    }
}

/// Ends its emitter when the tick runs, and when it never will because the program ends.
struct EndAtDrop<T: Ends>(Rc<T>);

impl<T: Ends> Drop for EndAtDrop<T> {
    fn drop(&mut self) {
        if self.0.is_over() {
            self.0.end();
        }
    }
}

/// The emitters of a program that end with it, if they have not ended before. An accepted socket is
/// not among them: its task ends it, and so it costs nothing here.
#[derive(Default)]
pub(crate) struct Emitters {
    emitters: RefCell<Vec<Weak<dyn Ends>>>,
    /// The length at which those that are gone are removed.
    sweep_at: Cell<usize>,
}

/// Fewer emitters are not worth a sweep.
const SWEEP_MIN: usize = 64;

/// Ends an emitter with its program, if it has not ended before.
pub(crate) fn end_with_program<T: Ends>(runtime: &Runtime, emitter: &Rc<T>) {
    let emitter: Weak<T> = Rc::downgrade(emitter);
    runtime.part::<Emitters>().add(emitter);
}

impl Emitters {
    fn add(&self, emitter: Weak<dyn Ends>) {
        let mut emitters = self.emitters.borrow_mut();
        // A `Weak` keeps the memory of what is gone. Sweeping at twice the length costs each
        // emitter a constant time.
        if emitters.len() >= self.sweep_at.get().max(SWEEP_MIN) {
            emitters.retain(|emitter| emitter.strong_count() > 0);
            self.sweep_at.set(2 * emitters.len());
        }
        emitters.push(emitter);
    }
}

impl OfProgram for Emitters {
    fn forget_all(&self) -> bool {
        let emitters = self.emitters.take();
        let alive: Vec<_> = emitters.iter().filter_map(Weak::upgrade).collect();
        alive.iter().for_each(|emitter| emitter.end());
        !alive.is_empty()
    }
}
