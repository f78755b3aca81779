//! for 'message', write `on_message(…)`, or `on(event::Message, …)`
//! for 'message', write `on_message(…)`, or `on(event::MessageReceived, …)`

use oneloop::callback::dgram::{Socket, UnixSocket};

fn listen(udp: Socket, unix: UnixSocket) {
    udp.on("message", |_| {});
    unix.on("message", |_| {});
}

fn main() {
    let _ = listen;
}
