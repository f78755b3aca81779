//! `&str` is not an event of this server
//! for 'connection', write `on_connection(…)`, or `on(event::Connection, …)`

use oneloop::callback::net::create_server;

fn main() {
    let server = create_server(|_socket| {});
    server.once("connection", |_| {});
}
