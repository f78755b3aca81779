//! `&str` is not an event of this socket
//! for 'data', write `on_data(…)`, or `on(event::Data, …)`
//! an event is a type, in `oneloop::callback::net::event`

use oneloop::callback::net::create_server;

fn main() {
    create_server(|socket| {
        socket.on("data", |bytes| println!("{bytes:?}"));
    });
}
