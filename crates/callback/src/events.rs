//! `EventEmitter`, typed: an event is a type, and its listeners are checked against its arguments.

use crate::thrown::{Outcome, Thrown};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

/// Something that can be emitted and heard.
///
/// ```
/// use oneloop_callback::events::{Emitter, Event};
///
/// struct Said; // emitter.on('said', (name, text) => …)
/// impl Event for Said {
///     type Args<'a> = (&'a str, &'a str);
/// }
///
/// let emitter = Emitter::new();
/// emitter.on(Said, |(name, text)| println!("{name}: {text}"));
/// assert!(emitter.emit(Said, ("Ada", "hello"))?);
/// # Ok::<(), oneloop_callback::Thrown>(())
/// ```
pub trait Event: 'static {
    /// What its listeners are given.
    type Args<'a>: Clone;

    /// What it means that nobody listens. By default nothing; an error is thrown instead, as Node's
    /// 'error' is.
    ///
    /// # Errors
    /// What is thrown.
    fn unheard(args: Self::Args<'_>) -> Result<(), Thrown> {
        drop(args);
        Ok(())
    }
}

/// Names a listener, to take it off again: see [`Emitter::off`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerId(u32);

/// A function that hears an event.
pub type Listener<E> = dyn for<'a> Fn(<E as Event>::Args<'a>) -> Result<(), Thrown>;

/// An event whose listeners an emitter can keep as an `L`: all can be kept as [`AnyListener`].
pub trait HeardAs<L>: Event + Sized {
    /// How its listener is kept.
    fn wrap(listener: Rc<Listener<Self>>) -> L;

    /// The listener inside, if it is one of this event.
    fn unwrap(kept: &L) -> Option<&Rc<Listener<Self>>>;
}

/// A listener of any event: how an [`Emitter`] keeps them.
pub struct AnyListener(Box<dyn Any>);

/// What is in there: events whose arguments are the same are different events.
struct Of<E: Event>(Rc<Listener<E>>);

impl fmt::Debug for AnyListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnyListener")
    }
}

impl<E: Event> HeardAs<AnyListener> for E {
    fn wrap(listener: Rc<Listener<E>>) -> AnyListener {
        AnyListener(Box::new(Of::<E>(listener)))
    }

    fn unwrap(kept: &AnyListener) -> Option<&Rc<Listener<E>>> {
        kept.0.downcast_ref::<Of<E>>().map(|of| &of.0)
    }
}

/// One who listens, in the order of registration.
struct Entry<L> {
    listener: L,
    id: u32,
    once: bool,
    /// Others of the same event may come behind it; without this, an emit stops looking here.
    has_more: bool,
}

/// Who listens to what, and tells them: Node's `EventEmitter`.
///
/// Listeners hear in the order in which they were registered, on the stack of whoever emits. Who is
/// added during an emit hears the next one; who is taken off during it still hears this one. A
/// listener that throws keeps the later ones from hearing, and `emit` gives its error. Listeners are
/// `Fn`, as they may well emit what they hear: what they change is in a `Cell`.
pub struct Emitter<L = AnyListener> {
    entries: RefCell<Vec<Entry<L>>>,
    next_id: Cell<u32>,
}

impl<L> Default for Emitter<L> {
    fn default() -> Self {
        Emitter {
            entries: RefCell::default(),
            next_id: Cell::new(0),
        }
    }
}

impl<L> fmt::Debug for Emitter<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Emitter({} listeners)", self.entries.borrow().len())
    }
}

impl Emitter {
    /// An emitter to which nobody listens.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<L> Emitter<L> {
    /// Has a function hear every such event from now on.
    pub fn on<E: HeardAs<L>, O: Outcome>(
        &self,
        event: E,
        f: impl for<'a> Fn(E::Args<'a>) -> O + 'static,
    ) -> ListenerId {
        drop(event);
        self.add::<E>(rc_listener::<E, O>(f), false, Place::Last)
    }

    /// Like [`Emitter::on`], before all who listen already.
    pub fn prepend<E: HeardAs<L>, O: Outcome>(
        &self,
        event: E,
        f: impl for<'a> Fn(E::Args<'a>) -> O + 'static,
    ) -> ListenerId {
        drop(event);
        self.add::<E>(rc_listener::<E, O>(f), false, Place::First)
    }

    /// Has a function hear the next such event, and no other.
    pub fn once<E: HeardAs<L>, O: Outcome>(
        &self,
        event: E,
        f: impl for<'a> FnOnce(E::Args<'a>) -> O + 'static,
    ) -> ListenerId {
        drop(event);
        let f = Cell::new(Some(f));
        let hear = move |args: E::Args<'_>| match f.take() {
            Some(f) => f(args).into_result(),
            None => Ok(()),
        };
        self.add::<E>(rc_listener::<E, _>(hear), true, Place::Last)
    }

    fn add<E: HeardAs<L>>(
        &self,
        listener: Rc<Listener<E>>,
        once: bool,
        place: Place,
    ) -> ListenerId {
        let id = self.next_id.get();
        self.next_id.set(id.wrapping_add(1));
        let mut entries = self.entries.borrow_mut();
        let mut has_others = false;
        for entry in entries.iter_mut() {
            if E::unwrap(&entry.listener).is_some() {
                entry.has_more = true;
                has_others = true;
            }
        }
        let entry = Entry {
            listener: E::wrap(listener),
            id,
            once,
            has_more: has_others,
        };
        if entries.len() < EXACT_MAX {
            entries.reserve_exact(1);
        }
        let index = match place {
            Place::First => 0,
            Place::Last => entries.len(),
        };
        entries.insert(index, entry);
        ListenerId(id)
    }

    /// Takes a listener off. False if it is off already.
    pub fn off(&self, id: ListenerId) -> bool {
        let mut entries = self.entries.borrow_mut();
        let index = entries.iter().position(|entry| entry.id == id.0);
        let gone = index.map(|index| entries.remove(index));
        drop(entries);
        gone.is_some()
    }

    /// Takes all listeners of an event off.
    pub fn remove_all<E: HeardAs<L>>(&self, event: E) {
        drop(event);
        let mut entries = self.entries.borrow_mut();
        let is_gone = |entry: &Entry<L>| E::unwrap(&entry.listener).is_some();
        let (gone, kept) = entries.drain(..).partition(is_gone);
        *entries = kept;
        drop(entries);
        drop::<Vec<Entry<L>>>(gone);
    }

    /// Takes all listeners off.
    pub(crate) fn forget_all(&self) {
        let gone = self.entries.take();
        drop(gone);
    }

    /// How many listen to an event.
    pub fn listener_count<E: HeardAs<L>>(&self, event: E) -> usize {
        drop(event);
        let entries = self.entries.borrow();
        let heard = entries
            .iter()
            .filter(|entry| E::unwrap(&entry.listener).is_some());
        heard.count()
    }

    /// Tells everybody who listens to it. True if anybody does.
    ///
    /// # Errors
    /// What a listener throws, or [`Event::unheard`].
    pub fn emit<E: HeardAs<L>>(&self, event: E, args: E::Args<'_>) -> Result<bool, Thrown> {
        drop(event);
        // A snapshot, so that nothing is borrowed while they hear.
        let (first, others) = self.listening::<E>();
        let Some(mut next) = first else {
            E::unheard(args)?;
            return Ok(false);
        };
        for other in others {
            self.tell::<E>(next, args.clone())?;
            next = other;
        }
        self.tell::<E>(next, args)?;
        Ok(true)
    }

    /// The first listener of an event, and the others: mostly there are none, and nothing is
    /// allocated for them.
    fn listening<E: HeardAs<L>>(&self) -> (Option<Heard<E>>, Vec<Heard<E>>) {
        let entries = self.entries.borrow();
        let mut listening = entries.iter().filter_map(|entry| {
            let listener = Rc::clone(E::unwrap(&entry.listener)?);
            let once = entry.once.then_some(ListenerId(entry.id));
            Some((Heard { once, listener }, entry.has_more))
        });
        match listening.next() {
            None => (None, Vec::new()),
            Some((first, false)) => (Some(first), Vec::new()),
            Some((first, true)) => (Some(first), listening.map(|(heard, _)| heard).collect()),
        }
    }

    fn tell<E: HeardAs<L>>(&self, heard: Heard<E>, args: E::Args<'_>) -> Result<(), Thrown> {
        if let Some(id) = heard.once {
            self.off(id);
        }
        (heard.listener)(args)
    }
}

/// So many listeners take no more memory than they need: most sockets have a few, and there are many
/// sockets.
const EXACT_MAX: usize = 8;

enum Place {
    First,
    Last,
}

/// A listener on its way to be told.
struct Heard<E: Event> {
    once: Option<ListenerId>,
    listener: Rc<Listener<E>>,
}

fn rc_listener<E: Event, O: Outcome>(
    f: impl for<'a> Fn(E::Args<'a>) -> O + 'static,
) -> Rc<Listener<E>> {
    Rc::new(move |args: E::Args<'_>| f(args).into_result())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Word;
    impl Event for Word {
        type Args<'a> = &'a str;
    }

    struct Failed;
    impl Event for Failed {
        type Args<'a> = &'a str;
        fn unheard(args: &str) -> Result<(), Thrown> {
            Err(args.into())
        }
    }

    /// What was heard, and listeners that add to it.
    #[derive(Clone, Default)]
    struct Log(Rc<RefCell<Vec<String>>>);

    impl Log {
        fn listener(&self, name: &'static str) -> impl Fn(&str) + use<> {
            let log = self.clone();
            move |word| log.0.borrow_mut().push(format!("{name} {word}"))
        }
    }

    #[test]
    fn listeners_hear_in_the_order_of_registration() {
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
    fn an_emit_goes_to_those_who_listened_when_it_began() {
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
    fn once_is_once_even_from_within() {
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
    fn a_throw_keeps_the_later_ones_from_hearing() {
        let log = Log::default();
        let emitter = Emitter::new();
        emitter.on(Word, |_| Err::<(), _>("thrown"));
        emitter.on(Word, log.listener("never"));
        let thrown = emitter.emit(Word, "1").unwrap_err();
        assert_eq!((thrown.message(), log.0.borrow().len()), ("thrown", 0));
    }

    #[test]
    fn what_is_unheard_may_be_thrown() {
        let emitter = Emitter::new();
        assert_eq!(emitter.emit(Failed, "x").unwrap_err().message(), "x");
        emitter.on(Failed, |_| ());
        assert!(emitter.emit(Failed, "x").unwrap());
    }
}
