//! closure is expected to take 2 arguments, but it takes 1 argument

use oneloop::callback::net::create_server;

fn main() {
    create_server(|socket| {
        socket.on_data(|bytes| println!("{bytes:?}"));
    });
}
