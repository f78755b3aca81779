//! What a chat server keeps of clients that have left: `cargo run --release --example chat_churn --
//! [CLIENTS]`. Each client is a struct that owns its socket, and whose listeners own it.

use oneloop::callback::net::{self, Error, Server, Socket};
use oneloop::callback::{Thrown, run};
use std::cell::{Cell, RefCell};
use std::process::ExitCode;
use std::rc::Rc;

/// Clients that are connected at the same time.
const CONCURRENT: u32 = 50;

struct Client {
    socket: Socket,
    name: String,
}

type Clients = Rc<RefCell<Vec<Rc<Client>>>>;

fn serve(clients: &Clients, socket: Socket, name: String) {
    let client = Rc::new(Client { socket, name });
    clients.borrow_mut().push(Rc::clone(&client));
    let (own, others) = (Rc::clone(&client), Rc::clone(clients));
    client.socket.on_lines(1024, move |_, line| {
        let others = others.borrow();
        for other in others.iter().filter(|other| other.socket.is_writable()) {
            other.socket.write(format!("{}: {line}\n", own.name));
        }
    });
    let (own, others) = (Rc::clone(&client), Rc::clone(clients));
    client.socket.on_close(move |_, _| {
        others.borrow_mut().retain(|other| !Rc::ptr_eq(other, &own));
    });
    client.socket.on_error(|_, _| ()); // a client that leaves resets what it has not read
}

/// Connects a client, which says hello and leaves; then comes the next one.
fn visit(server: Server, left: Rc<Cell<u32>>) -> Result<(), Error> {
    if left.get() == 0 {
        server.close();
        return Ok(());
    }
    left.set(left.get() - 1);
    let port = server.port().unwrap_or_default();
    let socket = net::connect(("127.0.0.1", port))?;
    socket.write("hello\n");
    let own = socket.clone();
    socket.on_lines(1024, move |_, _| {
        own.end();
    });
    socket.on_error(|_, _| ());
    socket.on_close(move |_, _| visit(server.clone(), Rc::clone(&left)));
    Ok(())
}

/// Returns how many clients are still known when the last one has left.
fn chat(visits: u32) -> std::io::Result<usize> {
    let clients = Clients::default();
    let registry = Rc::clone(&clients);
    run(move || {
        let last = Cell::new(0);
        let server = net::create_server(move |socket| {
            last.set(last.get() + 1);
            serve(&registry, socket, format!("guest{}", last.get()));
        });
        server.listen_then(("127.0.0.1", 0), move |server| {
            let left = Rc::new(Cell::new(visits));
            let concurrent = CONCURRENT.min(visits);
            (0..concurrent).try_for_each(|_| visit(server.clone(), Rc::clone(&left)))
        })?;
        Ok::<_, Thrown>(())
    })?;
    Ok(clients.borrow().len())
}

/// The memory of this process in KiB.
fn resident_kib() -> std::io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.and_then(|number| number.parse().ok()).unwrap_or(0))
}

fn main() -> std::io::Result<ExitCode> {
    let visits = std::env::args().nth(1);
    let visits = visits.map_or(1000, |visits| visits.parse().expect("a number of clients"));
    chat(1000)?; // fills the pools
    let before = resident_kib()?;
    let known = chat(visits)?;
    let after = resident_kib()?;
    println!("{visits} clients came and went: {before} KiB before, {after} KiB after");
    Ok(ExitCode::from(u8::from(known > 0)))
}
