//! a callback cannot return `{async block@
//! async code runs in a task: `let _ = oneloop::callback::spawn_micro(async move { … });`

use oneloop::callback::net::create_server;

fn main() {
    create_server(|socket| async move {
        socket.end_with("hello");
    });
}
