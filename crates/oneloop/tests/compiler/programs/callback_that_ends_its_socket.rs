//! a callback cannot return `&oneloop::callback::net::Socket`
//! a callback returns nothing, which a semicolon after its last expression does

use oneloop::callback::net::create_server;
use oneloop::callback::set_timeout;

fn main() {
    create_server(|socket| {
        socket.on_end(|socket| socket.end());
        set_timeout(move || socket.end_with("bye"), 1000);
    });
}
