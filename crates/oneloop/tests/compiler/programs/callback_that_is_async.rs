//! a callback cannot return `{async block@
//! a future does nothing until it is awaited, so a semicolon would lose it
//! write `let _ = oneloop::callback::spawn_micro(async move { … });`

use oneloop::callback::net::create_server;

fn main() {
    create_server(|socket| async move {
        socket.end_with("hello");
    });
}
