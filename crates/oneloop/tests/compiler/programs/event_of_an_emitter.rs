//! `&str` is not an event of this emitter
//! declare `struct Said;`, implement `oneloop::callback::events::EmitterEvent` for it

use oneloop::callback::events::Emitter;

fn main() {
    Emitter::new().on("said", |text| println!("{text}"));
}
