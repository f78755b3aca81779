//! `&str` is not an event
//! for 'data', write `on_data(…)`, or `on(event::Data, …)`
//! an event is a type: those of streams are in `oneloop::callback::stream::event`

use oneloop::callback::{fs, process};

fn main() {
    fs::create_read_stream("log").on("data", |_| {});
    process::stdout().on("drain", |_| {});
}
