//! `EventEmitter`, typed: an event is a type, and its listeners are checked against its arguments.

use crate::thrown::{IntoResult, Thrown, callback_of};
use oneloop_core::drop_each;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

/// An event that an [`Emitter`] emits. (A flag that tasks wait for is `oneloop::sync::Event`.)
///
/// ```
/// use oneloop::callback::events::{Emitter, EmitterEvent};
///
/// struct Said; // emitter.on('said', (name, text) => …)
/// impl EmitterEvent for Said {
///     type Args<'a> = (&'a str, &'a str);
/// }
///
/// let emitter = Emitter::new();
/// emitter.on(Said, |(name, text)| println!("{name}: {text}"));
/// assert!(emitter.emit(Said, ("Ada", "hello"))?);
/// # Ok::<(), oneloop::callback::Thrown>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event",
    label = "for 'data', write `on_data(…)`, or `on(event::Data, …)`",
    note = "an event is a type: those of streams are in `oneloop::callback::stream::event`",
    note = "for an event of your own, declare `struct Said;`, implement \
            `oneloop::callback::events::EmitterEvent` for it, and write `on(Said, …)`"
)]
pub trait EmitterEvent: 'static {
    /// The arguments of its listeners.
    type Args<'a>: Clone;

    /// Called when there is no listener. By default it does nothing; an event that reports an error
    /// throws it, as Node's 'error' does.
    ///
    /// # Errors
    /// The error to throw.
    fn without_listener(args: Self::Args<'_>) -> Result<(), Thrown> {
        drop(args);
        Ok(())
    }
}

/// Names a listener, to remove it: see [`Emitter::off`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerId(u32);

/// A function that receives an event.
pub type Listener<E> = dyn for<'a> Fn(<E as EmitterEvent>::Args<'a>) -> Result<(), Thrown>;

/// An event whose listeners an emitter can keep as an `L`. Those of any event can be kept as
/// [`AnyListener`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event of this emitter",
    note = "an event is a type: declare `struct Said;`, implement \
            `oneloop::callback::events::EmitterEvent` for it, and write `on(Said, …)`"
)]
pub trait KeptAs<L>: EmitterEvent + Sized {
    /// Wraps a listener to be kept.
    fn wrap(listener: Rc<Listener<Self>>) -> L;

    /// The listener inside, if it is one of this event.
    fn unwrap(kept: &L) -> Option<&Rc<Listener<Self>>>;
}

/// A listener of any event: how an [`Emitter`] keeps them.
pub struct AnyListener(Box<dyn Any>);

/// The value in an [`AnyListener`]. It names the event: two events may have the same arguments, and
/// so the same type of listener.
struct ListenerOf<E: EmitterEvent>(Rc<Listener<E>>);

impl fmt::Debug for AnyListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnyListener")
    }
}

impl<E: EmitterEvent> KeptAs<AnyListener> for E {
    fn wrap(listener: Rc<Listener<E>>) -> AnyListener {
        AnyListener(Box::new(ListenerOf::<E>(listener)))
    }

    fn unwrap(kept: &AnyListener) -> Option<&Rc<Listener<E>>> {
        kept.0.downcast_ref::<ListenerOf<E>>().map(|of| &of.0)
    }
}

/// Keeps listeners, and calls them: Node's `EventEmitter`.
///
/// Listeners are called in the order of their registration, on the stack of the code that emits. A
/// listener that is added during an emit receives the next event; one that is removed during it
/// still receives this one. A listener that throws keeps the later ones from being called, and
/// `emit` returns its error. Listeners are `Fn`, as a listener may emit its own event: state that
/// they change is in a `Cell`.
#[doc(alias = "EventEmitter")]
pub struct Emitter<L = AnyListener> {
    /// In the order of registration. One list for all events: most emitters have a few listeners in
    /// all, and a map would cost each socket more than a search.
    registrations: RefCell<Vec<Registration<L>>>,
    next_id: Cell<u32>,
    /// The last event was emitted: no listener is called any more, so none is kept.
    ended: Cell<bool>,
}

/// A listener, and how an emit finds it.
struct Registration<L> {
    listener: L,
    id: u32,
    /// The listener is removed before its first call.
    once: bool,
    /// Another listener of the same event may follow. Without it, an emit stops its search here.
    has_more: bool,
}

/// Below this number of listeners, the list is exactly as long as needed: most sockets have a few
/// listeners, and a server has many sockets.
const EXACT_MAX: usize = 8;

/// Where a new listener is called.
enum Position {
    First,
    Last,
}

impl<L> Default for Emitter<L> {
    fn default() -> Self {
        Emitter {
            registrations: RefCell::default(),
            next_id: Cell::new(0),
            ended: Cell::new(false),
        }
    }
}

impl<L> fmt::Debug for Emitter<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Emitter({} listeners)",
            self.registrations.borrow().len()
        )
    }
}

impl Emitter {
    /// An emitter without listeners.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<L> Emitter<L> {
    /// Adds a listener of an event, which is called after those that were added before.
    #[doc(alias = "addListener")]
    pub fn on<E: KeptAs<L>, O: IntoResult>(
        &self,
        event: E,
        f: impl for<'a> Fn(E::Args<'a>) -> O + 'static,
    ) -> ListenerId {
        drop(event); // its type says which event it is
        self.add::<E>(rc_listener::<E, O>(f), false, Position::Last)
    }

    /// Adds a listener of an event, which is called before all others.
    #[doc(alias = "prependListener")]
    pub fn prepend<E: KeptAs<L>, O: IntoResult>(
        &self,
        event: E,
        f: impl for<'a> Fn(E::Args<'a>) -> O + 'static,
    ) -> ListenerId {
        drop(event);
        self.add::<E>(rc_listener::<E, O>(f), false, Position::First)
    }

    /// Adds a listener of the next such event only: it is removed before it is called.
    pub fn once<E: KeptAs<L>, O: IntoResult>(
        &self,
        event: E,
        f: impl for<'a> FnOnce(E::Args<'a>) -> O + 'static,
    ) -> ListenerId {
        drop(event);
        let of = callback_of(&f);
        let f = Cell::new(Some(f));
        // An emit within the emit works on its own snapshot, in which this listener may stand, too.
        let call = move |args: E::Args<'_>| match f.take() {
            Some(f) => of.result(f(args)),
            None => Ok(()),
        };
        self.add::<E>(rc_listener::<E, _>(call), true, Position::Last)
    }

    fn add<E: KeptAs<L>>(
        &self,
        listener: Rc<Listener<E>>,
        once: bool,
        position: Position,
    ) -> ListenerId {
        // Wrapping: two listeners share a number only if 2^32 were added between them.
        let id = self.next_id.get();
        self.next_id.set(id.wrapping_add(1));
        if self.ended.get() {
            return ListenerId(id); // it could never be called: dropped, with what it captures
        }
        let mut registrations = self.registrations.borrow_mut();
        let mut has_others = false;
        for other in registrations.iter_mut() {
            if E::unwrap(&other.listener).is_some() {
                // Without this mark, each emit to a single listener would search the whole list.
                // It may be set where no other listener follows, which costs only that search.
                other.has_more = true;
                has_others = true;
            }
        }
        let registration = Registration {
            listener: E::wrap(listener),
            id,
            once,
            has_more: has_others,
        };
        // `Vec` would reserve room for four with the first listener.
        if registrations.len() < EXACT_MAX {
            registrations.reserve_exact(1);
        }
        let index = match position {
            Position::First => 0,
            Position::Last => registrations.len(),
        };
        registrations.insert(index, registration);
        ListenerId(id)
    }

    /// Removes a listener. Returns false if it was removed already.
    #[doc(alias = "removeListener")]
    pub fn off(&self, id: ListenerId) -> bool {
        let mut registrations = self.registrations.borrow_mut();
        let index = registrations.iter().position(|other| other.id == id.0);
        let removed = index.map(|index| registrations.remove(index));
        drop(registrations); // dropping a closure may run code of the program
        removed.is_some()
    }

    /// Returns false once a listener is removed.
    pub(crate) fn has(&self, id: ListenerId) -> bool {
        let registrations = self.registrations.borrow();
        registrations.iter().any(|other| other.id == id.0)
    }

    /// Removes all listeners of an event.
    #[doc(alias = "removeAllListeners")]
    pub fn remove_all<E: KeptAs<L>>(&self, event: E) {
        drop(event);
        let mut registrations = self.registrations.borrow_mut();
        let is_of_event = |other: &Registration<L>| E::unwrap(&other.listener).is_some();
        // Closures are dropped after the borrow, as they may own any value of the program.
        let (removed, kept) = registrations.drain(..).partition(is_of_event);
        *registrations = kept;
        drop(registrations);
        drop::<Vec<Registration<L>>>(removed);
    }

    /// Ends the emitter after its last event, mostly 'close': drops all listeners, and from now on
    /// each listener that is added. Nothing is emitted any more, not even an error to throw.
    ///
    /// A listener that captures its own emitter keeps it in memory until this call.
    pub fn end(&self) {
        self.ended.set(true);
        // After the borrow, and one by one: their drops may run any code of the program, and panic.
        let removed = self.registrations.take();
        drop_each(removed);
    }

    /// True once the emitter has ended: see [`Emitter::end`].
    pub fn is_ended(&self) -> bool {
        self.ended.get()
    }

    /// Keeps and calls listeners again, after an end.
    pub(crate) fn begin_again(&self) {
        self.ended.set(false);
    }

    /// Returns the number of listeners of an event.
    pub fn listener_count<E: KeptAs<L>>(&self, event: E) -> usize {
        drop(event);
        let registrations = self.registrations.borrow();
        let of_event = registrations
            .iter()
            .filter(|other| E::unwrap(&other.listener).is_some());
        of_event.count()
    }

    /// Calls the listeners of an event. Returns true if there are any.
    ///
    /// # Errors
    /// The error that a listener throws; without a listener, that of [`EmitterEvent::without_listener`].
    pub fn emit<E: KeptAs<L>>(&self, event: E, args: E::Args<'_>) -> Result<bool, Thrown> {
        drop(event);
        // A snapshot, so that nothing is borrowed while the listeners run.
        let (first, others) = self.snapshot::<E>();
        let Some(mut next) = first else {
            if !self.ended.get() {
                E::without_listener(args).map_err(Thrown::without_listener::<E>)?;
            }
            return Ok(false);
        };
        // The last listener gets the arguments themselves; only several listeners need clones.
        for other in others {
            self.call::<E>(next, args.clone())?;
            next = other;
        }
        self.call::<E>(next, args)?;
        Ok(true)
    }

    /// The first listener of an event, and the others: mostly there are none, and an empty `Vec`
    /// allocates nothing.
    fn snapshot<E: KeptAs<L>>(&self) -> (Option<Listening<E>>, Vec<Listening<E>>) {
        let registrations = self.registrations.borrow();
        let mut of_event = registrations.iter().filter_map(|registration| {
            // Shared: a listener that is removed while it runs must not drop its own closure.
            let listener = Rc::clone(E::unwrap(&registration.listener)?);
            let once = registration.once.then_some(ListenerId(registration.id));
            Some((Listening { once, listener }, registration.has_more))
        });
        match of_event.next() {
            None => (None, Vec::new()),
            Some((first, false)) => (Some(first), Vec::new()),
            Some((first, true)) => (Some(first), of_event.map(|(other, _)| other).collect()),
        }
    }

    fn call<E: KeptAs<L>>(&self, listening: Listening<E>, args: E::Args<'_>) -> Result<(), Thrown> {
        if let Some(id) = listening.once {
            self.off(id); // before the call, as in Node: the listener may count the others
        }
        (listening.listener)(args)
    }
}

/// A listener in the snapshot of an emit.
struct Listening<E: EmitterEvent> {
    /// Its name, if it listens once.
    once: Option<ListenerId>,
    listener: Rc<Listener<E>>,
}

fn rc_listener<E: EmitterEvent, O: IntoResult>(
    f: impl for<'a> Fn(E::Args<'a>) -> O + 'static,
) -> Rc<Listener<E>> {
    let of = callback_of(&f);
    Rc::new(move |args: E::Args<'_>| of.result(f(args)))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Word;
    impl EmitterEvent for Word {
        type Args<'a> = &'a str;
    }

    struct Failed;
    impl EmitterEvent for Failed {
        type Args<'a> = &'a str;
        fn without_listener(args: &str) -> Result<(), Thrown> {
            Err(args.into())
        }
    }

    /// The events that were received, and listeners that add to it.
    #[derive(Clone, Default)]
    struct Log(Rc<RefCell<Vec<String>>>);

    impl Log {
        fn listener(&self, name: &'static str) -> impl Fn(&str) + use<> {
            let log = self.clone();
            move |word| log.0.borrow_mut().push(format!("{name} {word}"))
        }
    }

    #[test]
    fn listeners_are_called_in_the_order_of_registration() {
        let log = Log::default();
        let emitter = Emitter::new();
        emitter.on(Word, log.listener("b"));
        emitter.once(Word, log.listener("c"));
        emitter.prepend(Word, log.listener("a"));
        assert!(emitter.emit(Word, "1").unwrap());
        assert!(emitter.emit(Word, "2").unwrap());
        assert_eq!(*log.0.borrow(), ["a 1", "b 1", "c 1", "a 2", "b 2"]);
    }

    #[test]
    fn an_emit_reaches_the_listeners_of_the_moment_at_which_it_began() {
        let log = Log::default();
        let emitter = Rc::new(Emitter::new());
        let late = Cell::new(Some(log.listener("late")));
        let inside = Rc::clone(&emitter);
        let id = Rc::new(Cell::new(None));
        let id_inside = Rc::clone(&id);
        emitter.on(Word, move |_| {
            if let Some(late) = late.take() {
                inside.on(Word, late);
            }
            id_inside.get().map(|id| inside.off(id));
        });
        id.set(Some(emitter.on(Word, log.listener("gone"))));
        emitter.emit(Word, "1").unwrap();
        emitter.emit(Word, "2").unwrap();
        assert_eq!(*log.0.borrow(), ["gone 1", "late 2"]);
        emitter.remove_all(Word);
        assert_eq!(emitter.listener_count(Word), 0);
    }

    #[test]
    fn a_listener_for_once_is_called_once_even_if_it_emits_the_event_itself() {
        let emitter = Rc::new(Emitter::new());
        let inside = Rc::clone(&emitter);
        let count = Rc::new(Cell::new(0));
        let counted = Rc::clone(&count);
        emitter.once(Word, move |_| {
            counted.set(counted.get() + 1);
            inside.emit(Word, "again").map(drop)
        });
        assert!(emitter.emit(Word, "1").unwrap());
        assert!(!emitter.emit(Word, "2").unwrap());
        assert_eq!(count.get(), 1);
    }

    #[test]
    fn a_listener_that_throws_keeps_the_later_ones_from_being_called() {
        let log = Log::default();
        let emitter = Emitter::new();
        emitter.on(Word, |_| Err::<(), _>("thrown"));
        emitter.on(Word, log.listener("never"));
        let thrown = emitter.emit(Word, "1").unwrap_err();
        assert_eq!((thrown.message(), log.0.borrow().len()), ("thrown", 0));
    }

    #[test]
    fn an_error_without_a_listener_is_thrown() {
        let emitter = Emitter::new();
        assert_eq!(emitter.emit(Failed, "x").unwrap_err().message(), "x");
        emitter.on(Failed, |_| ());
        assert!(emitter.emit(Failed, "x").unwrap());
    }
}
