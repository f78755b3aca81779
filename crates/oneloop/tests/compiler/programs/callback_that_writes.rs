//! a callback cannot return `bool`
//! a callback returns nothing, which a semicolon after its last expression does

use oneloop::callback::net::create_server;

fn main() {
    create_server(|socket| {
        socket.on_data(|socket, data| socket.write(data));
    });
}
