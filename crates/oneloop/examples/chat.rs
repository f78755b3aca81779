//! A chat server in the callback style: `cargo run --example chat -- [HOST:PORT] [FILE] [IDLE_MS]`.
//! It also sends the lines that are appended to a file. Node's program with the same features is
//! `docs/guide/peers/chat_node.js`.

use oneloop::callback::fs::{self, ReadStreamOptions};
use oneloop::callback::net::{self, Socket};
use oneloop::callback::stream::ReadStream;
use oneloop::callback::{Thrown, clear_timeout, process, run, set_timeout};
use oneloop::signal::{SIGINT, SIGTERM};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::rc::Rc;

const LINE_BYTES_MAX: usize = 1024;
const WAITING_BYTES_MAX: usize = 64 * 1024;

#[derive(Default)]
struct Chat {
    clients: RefCell<BTreeMap<u32, Socket>>,
    guests: Cell<u32>,
}

impl Chat {
    fn tell_all(&self, text: &str, except: Option<u32>) {
        for (number, client) in self.clients.borrow().iter() {
            if Some(*number) == except {
                continue;
            }
            client.write(format!("{text}\n"));
            // A client that does not read must not fill our memory.
            if client.writable_length() > WAITING_BYTES_MAX {
                client.destroy();
            }
        }
    }

    fn serve(self: Rc<Self>, socket: Socket, idle_ms: u32) {
        let number = self.guests.get() + 1;
        self.guests.set(number);
        self.clients.borrow_mut().insert(number, socket.clone());
        socket.write(format!("* you are guest{number}\n"));
        self.tell_all(&format!("* guest{number} joined"), Some(number));
        let client = socket.clone();
        let dismiss = move || {
            client.write("* you are idle: goodbye\n");
            client.destroy_soon();
        };
        let idle = set_timeout(dismiss, idle_ms);
        let chat = Rc::clone(&self);
        socket.on_lines(LINE_BYTES_MAX, move |_, line| {
            idle.refresh();
            chat.tell_all(&format!("guest{number}: {line}"), Some(number));
        });
        socket.on_error(move |_, error| eprintln!("guest{number}: {error}"));
        socket.on_close(move |_, _| {
            clear_timeout(idle);
            self.clients.borrow_mut().remove(&number);
            self.tell_all(&format!("* guest{number} left"), None);
        });
    }
}

/// Tells all the lines that are appended to a file from now on.
fn tail(chat: Rc<Chat>, path: &str) -> Result<ReadStream, Thrown> {
    let options = ReadStreamOptions {
        start: Some(std::fs::metadata(path)?.len()),
        follow: true,
        ..Default::default()
    };
    let log = fs::create_read_stream_with(path, options);
    log.on_lines(LINE_BYTES_MAX, move |_, line| {
        chat.tell_all(&format!("log: {line}"), None)
    });
    log.on_error(|_, error| eprintln!("{error}"));
    Ok(log)
}

fn start(address: &str, path: Option<String>, idle_ms: u32) -> Result<(), Thrown> {
    let chat = Rc::new(Chat::default());
    let clients = Rc::clone(&chat);
    let server = net::create_server(move |socket| Rc::clone(&clients).serve(socket, idle_ms));
    server.on_listening(|server| println!("listening on {}", server.address().unwrap()));
    server.listen(address.parse::<SocketAddr>()?)?;
    let log = path.map(|path| tail(Rc::clone(&chat), &path)).transpose()?;
    for signal in [SIGINT, SIGTERM] {
        let (chat, server, log) = (Rc::clone(&chat), server.clone(), log.clone());
        process::once_signal(signal, move |_| {
            chat.tell_all("* the server stops", None);
            for client in chat.clients.borrow().values() {
                client.destroy_soon();
            }
            server.close_then(|_| println!("stopped"));
            if let Some(log) = &log {
                log.destroy();
            }
        })?;
    }
    Ok(())
}

fn main() -> std::io::Result<ExitCode> {
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or("127.0.0.1:8080".into());
    let path = args.next();
    let idle_ms = args
        .next()
        .map_or(300_000, |ms| ms.parse().expect("milliseconds"));
    let code = run(move || start(&address, path, idle_ms))?;
    Ok(ExitCode::from(code))
}
