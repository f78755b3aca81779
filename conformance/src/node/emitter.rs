//! `EventEmitter`, typed.

use oneloop::callback::Thrown;
use oneloop::callback::events::{Emitter, EmitterEvent, ListenerId};
use std::cell::Cell;
use std::rc::Rc;

struct X;
impl EmitterEvent for X {
    type Args<'a> = &'a str;
}

struct Y;
impl EmitterEvent for Y {
    type Args<'a> = ();
}

struct Failed;
impl EmitterEvent for Failed {
    type Args<'a> = &'a str;
    fn without_listener(message: &str) -> Result<(), Thrown> {
        Err(message.into())
    }
}

pub(super) fn emitter() -> Result<(), Thrown> {
    let e = Rc::new(Emitter::new());
    e.on(X, |v| println!("1 {v}"));
    e.prepend(X, |v| println!("0 {v}"));
    e.once(X, |v| println!("once {v}"));
    let off = Rc::new(Cell::new(None::<ListenerId>));
    let (inside, gone) = (Rc::downgrade(&e), Rc::clone(&off));
    e.on(X, move |_| {
        let e = inside.upgrade().expect("it emits");
        e.off(gone.get().expect("it is set"));
        e.on(X, |w| println!("late {w}"));
    });
    off.set(Some(e.on(X, |v| println!("off {v}"))));
    let emitted = e.emit(X, "a")?;
    println!("{emitted} {}", e.listener_count(X));
    println!("{}", e.emit(X, "b")?);
    println!("{}", e.emit(Y, ())?);
    if let Err(thrown) = e.emit(Failed, "unheard") {
        println!("thrown {thrown}");
    }
    e.on(Failed, |message| println!("heard {message}"));
    e.emit(Failed, "now")?;
    e.remove_all(X);
    println!("{}", e.emit(X, "c")?);
    Ok(())
}
