//! Listeners of the callback style may do anything: no borrow is in their way, and no event is
//! lost.

use oneloop::callback::net::{self, Error, Server, ServerOptions, Socket, SocketOptions, event};
use oneloop::callback::process::on_uncaught_exception;
use oneloop::callback::{
    self, AbortController, AbortSignal, next_tick, process, queue_microtask, run_on, set_immediate,
    set_timeout,
};
use oneloop::core::Phase;
use oneloop::{EventLoop, Handle, Options};
use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::panic::resume_unwind;
use std::rc::Rc;

/// What a listener does, mostly to the socket that it receives.
#[derive(Clone, Debug)]
enum Action {
    Write(usize),
    WriteThen(usize),
    End,
    Destroy,
    DestroyAnother(usize),
    DestroySoon,
    Reset,
    Pause,
    Resume,
    Read(usize),
    Cork,
    Uncork,
    Pipe(usize),
    UnpipeAll,
    TimeOut(u16),
    Unref,
    MakeRef,
    OnceData,
    OnceReadable,
    RetryWrite,
    ReadBytesMax(usize),
    MaxConnections(usize),
    Deafen,
    KeepListeners,
    Connect,
    Reconnect,
    CloseServer,
    CloseAll,
    Throw,
    Panic,
    InTick,
    InMicrotask,
    InImmediate,
    InTimer(u16),
    InTask,
}

fn action() -> impl Strategy<Value = Action> {
    use Action::*;
    prop_oneof![
        4 => (0..200_000_usize).prop_map(Write),
        2 => (0..1000_usize).prop_map(WriteThen),
        2 => Just(End),
        1 => Just(Destroy),
        1 => any::<usize>().prop_map(DestroyAnother),
        1 => Just(DestroySoon),
        1 => Just(Reset),
        1 => Just(Pause),
        2 => Just(Resume),
        1 => (0..100_usize).prop_map(Read),
        1 => Just(Cork),
        1 => Just(Uncork),
        1 => any::<usize>().prop_map(Pipe),
        1 => Just(UnpipeAll),
        1 => (0..100_u16).prop_map(TimeOut),
        1 => prop_oneof![Just(Unref), Just(MakeRef)],
        1 => prop_oneof![Just(OnceData), Just(OnceReadable)],
        1 => prop_oneof![Just(RetryWrite), (0..100_000_usize).prop_map(ReadBytesMax)],
        1 => (0..6_usize).prop_map(MaxConnections),
        1 => Just(Deafen),
        1 => Just(KeepListeners),
        2 => Just(Connect),
        1 => Just(Reconnect),
        1 => prop_oneof![Just(CloseServer), Just(CloseAll)],
        1 => Just(Throw),
        1 => Just(Panic),
        1 => Just(InTick),
        1 => Just(InMicrotask),
        1 => Just(InImmediate),
        1 => (0..100_u16).prop_map(InTimer),
        1 => Just(InTask),
    ]
}

/// What all listeners share.
#[derive(Default)]
struct World {
    actions: RefCell<VecDeque<Action>>,
    sockets: RefCell<Vec<Socket>>,
    server: RefCell<Option<Server>>,
    /// The number of connections that were begun, and of their 'close' events.
    begun: Cell<usize>,
    closed: Cell<usize>,
    uncaught: RefCell<Vec<String>>,
}

type Done = Result<(), Error>;

/// After this many turns, everything is closed.
const TURNS_MAX: usize = 3000;

impl World {
    fn connect(self: &Rc<Self>) -> Done {
        let port = self.server.borrow().as_ref().and_then(Server::port);
        let socket = net::connect(("127.0.0.1", port.unwrap_or(1)))?;
        self.listen(socket);
        Ok(())
    }

    /// Adds a listener of each event of a socket.
    fn listen(self: &Rc<Self>, socket: Socket) {
        self.begun.set(self.begun.get() + 1);
        let act = || {
            let world = Rc::clone(self);
            move |socket: Socket| world.act(&socket)
        };
        socket.on_connect(act());
        socket.on_end(act());
        socket.on_drain(act());
        socket.on_finish(act());
        socket.on_timeout(act());
        socket.on(event::Pause, act());
        socket.on(event::Resume, act());
        let at_data = act();
        socket.on_data(move |socket, _| at_data(socket));
        let at_error = act();
        socket.on_error(move |socket, _| at_error(socket));
        let (at_close, world) = (act(), Rc::clone(self));
        socket.on_close(move |socket, _| {
            world.closed.set(world.closed.get() + 1);
            at_close(socket)
        });
        self.sockets.borrow_mut().push(socket);
    }

    fn another(&self, pick: usize) -> Socket {
        let sockets = self.sockets.borrow();
        sockets[pick % sockets.len()].clone()
    }

    fn act(self: &Rc<Self>, socket: &Socket) -> Done {
        let Some(action) = self.actions.borrow_mut().pop_front() else {
            return Ok(());
        };
        let (world, later) = (Rc::clone(self), socket.clone());
        let act_later = move || world.act(&later);
        match action {
            Action::Write(bytes) => drop(socket.write(vec![b'x'; bytes])),
            Action::WriteThen(bytes) => {
                socket.write_then(vec![b'x'; bytes], move |_| act_later());
            }
            Action::End => drop(socket.end_then(move |_| act_later())),
            Action::Destroy => drop(socket.destroy()),
            Action::DestroyAnother(pick) => drop(self.another(pick).destroy_with("another's")),
            Action::DestroySoon => socket.destroy_soon(),
            Action::Reset => drop(socket.reset_and_destroy()),
            Action::Pause => drop(socket.pause()),
            Action::Resume => drop(socket.resume()),
            Action::Read(bytes) => drop(socket.read_bytes(bytes)),
            Action::Cork => drop(socket.cork()),
            Action::Uncork => drop(socket.uncork()),
            Action::Pipe(pick) => drop(socket.pipe(&self.another(pick))),
            Action::UnpipeAll => drop(socket.unpipe_all()),
            Action::TimeOut(ms) => drop(socket.set_timeout(ms)),
            Action::Unref => drop(socket.unref()),
            Action::MakeRef => drop(socket.make_ref()),
            Action::OnceData => {
                socket.once(event::Data, move |_| act_later());
            }
            Action::OnceReadable => {
                socket.once(event::Readable, move |_| act_later());
            }
            Action::RetryWrite => drop(socket.retry_write()),
            Action::ReadBytesMax(bytes) => drop(socket.set_read_bytes_max(bytes)),
            Action::MaxConnections(max) => {
                if let Some(server) = &*self.server.borrow() {
                    server.set_max_connections(Some(max));
                }
            }
            Action::Deafen => socket.remove_all_listeners(event::Data),
            Action::KeepListeners => drop(socket.keep_listeners()),
            Action::Connect => self.connect()?,
            Action::Reconnect => {
                if socket.is_destroyed() && socket.is_closed() && socket.is_pending() {
                    self.reconnect(socket)?;
                }
            }
            Action::CloseServer => drop(self.server.borrow().as_ref().map(|s| s.close().clone())),
            Action::CloseAll => {
                let server = self.server.borrow().clone();
                drop(server.map(|server| server.close_all().clone()));
            }
            Action::Throw => return Err("thrown".into()),
            Action::Panic => resume_unwind(Box::new("thrown")),
            Action::InTick => next_tick(act_later),
            Action::InMicrotask => queue_microtask(act_later),
            Action::InImmediate => drop(set_immediate(act_later)),
            Action::InTimer(ms) => drop(set_timeout(act_later, ms)),
            Action::InTask => {
                Handle::current().spawn_detached(async move { drop(act_later()) });
            }
        }
        Ok(())
    }

    /// Connects a socket again that emits nothing more of its earlier connection.
    fn reconnect(&self, socket: &Socket) -> Done {
        let port = self.server.borrow().as_ref().and_then(Server::port);
        match socket.connect(("127.0.0.1", port.unwrap_or(1))) {
            Ok(_) => self.begun.set(self.begun.get() + 1),
            // It has ended: its listeners are gone.
            Err(error) if error.code() == Some("ERR_LISTENERS_DROPPED") => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn begin(self: &Rc<Self>) -> Done {
        let world = Rc::clone(self);
        on_uncaught_exception(move |thrown, _| {
            world.uncaught.borrow_mut().push(thrown.to_string());
        });
        let (world, at_connection) = (Rc::clone(self), Rc::clone(self));
        let server = net::create_server(move |socket| {
            at_connection.listen(socket.clone());
            at_connection.act(&socket)
        });
        server
            .listen(("127.0.0.1", 0))?
            .on_listening(move |_| (0..4).try_for_each(|_| world.connect()));
        self.server.replace(Some(server));
        // Whatever the listeners did, the program ends here. The turns are counted as well, because
        // two pipes that pass the same bytes around let no virtual time pass.
        let world = Rc::clone(self);
        set_timeout(move || world.close_all(), 60_000);
        let world = Rc::clone(self);
        let handle = Handle::current();
        handle.clone().spawn_detached(async move {
            for _ in 0..TURNS_MAX {
                let mut check = handle.phase(Phase::Check);
                check.set_referenced(false);
                check.await;
            }
            next_tick(move || world.close_all());
        });
        Ok(())
    }

    fn close_all(&self) {
        self.actions.borrow_mut().clear();
        let sockets = self.sockets.borrow().clone();
        for socket in sockets {
            socket.destroy();
        }
        let server = self.server.take();
        drop(server.map(|server| server.close().clone()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn whatever_listeners_do_each_connection_closes_once(
        actions in prop::collection::vec(action(), 1..150),
    ) {
        let world = Rc::new(World::default());
        world.actions.borrow_mut().extend(actions);
        let inside = Rc::clone(&world);
        let mut event_loop = EventLoop::with(Options::virtual_time()).unwrap();
        let code = run_on(&mut event_loop, move || inside.begin()).unwrap();
        prop_assert_eq!(code, 0);
        let uncaught = world.uncaught.borrow();
        prop_assert!(uncaught.iter().all(|message| message == "thrown"), "{:?}", uncaught);
        prop_assert_eq!(world.closed.get(), world.begun.get());
    }
}

/// A closed socket that no code holds is dropped, and so are its listeners.
#[test]
fn a_closed_socket_leaves_nothing_behind() {
    let alive = Rc::new(());
    let held = Rc::clone(&alive);
    let mut event_loop = EventLoop::new().unwrap();
    let code = run_on(&mut event_loop, move || {
        let at_server = Rc::clone(&held);
        let server = net::create_server(move |socket| {
            let held = Rc::clone(&at_server);
            socket.on_data(move |_, _| assert!(Rc::strong_count(&held) > 1));
            socket.pipe(&socket);
        });
        server
            .listen(("127.0.0.1", 0))?
            .on_listening(move |server| {
                let client = net::connect(("127.0.0.1", server.port().expect("it listens")))?;
                let held = Rc::clone(&held);
                client.on_close(move |_, _| drop(Rc::clone(&held)));
                client.on_data(move |client, _| {
                    client.end();
                    server.close();
                });
                client.write("x");
                Ok::<_, Error>(())
            });
        Ok::<_, Error>(())
    })
    .unwrap();
    assert_eq!((code, Rc::strong_count(&alive)), (0, 1));
}

#[test]
fn a_servers_sockets_have_no_signal() {
    let program = || {
        let socket = SocketOptions {
            signal: Some(AbortSignal::aborted()),
            ..SocketOptions::default()
        };
        let options = ServerOptions {
            socket,
            ..ServerOptions::default()
        };
        let server = net::create_server_with(options, |socket| {
            assert!(!socket.is_destroyed());
            socket.end();
            socket.resume();
            socket.server().expect("it was accepted").close();
        });
        server.listen(("127.0.0.1", 0))?.on_listening(|server| {
            let port = server.port().expect("it listens");
            net::connect(("127.0.0.1", port))?.resume();
            Ok::<_, Error>(())
        });
        Ok::<_, Error>(())
    };
    assert_eq!(run_on(&mut EventLoop::new().unwrap(), program).unwrap(), 0);
}

#[test]
fn a_callback_may_never_return() {
    let thrown = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&thrown);
    let code = callback::run(move || {
        process::on_uncaught_exception(move |thrown, _| {
            log.borrow_mut().push(thrown.message().to_owned());
        });
        set_timeout(|| panic!("timeout"), 1);
        callback::clear_interval(callback::set_interval(|| panic!("never"), 1));
        callback::set_immediate(|| panic!("immediate"));
        callback::next_tick(|| panic!("tick"));
        callback::queue_microtask(|| panic!("microtask"));
        drop(callback::spawn_micro(async { panic!("promise") }));
        AbortController::new()
            .signal()
            .on_abort(|_| panic!("never"));
        callback::dns::lookup("127.0.0.1", Default::default(), |_| panic!("lookup"));
        callback::fs::exists("/", |_| panic!("exists"));
        callback::offload(|| 1, |_| panic!("offload"));
        let server = net::create_server(|_| panic!("connection"));
        server.on_error(|_, _| panic!("never"));
        server.get_connections(|_| panic!("connections"));
        server.close_then(|_| panic!("closed"));
        process::on_before_exit(|_| process::exit(7));
        process::on_exit(|code| process::exit(code));
    });
    assert_eq!(code.unwrap(), 7);
    let mut thrown = thrown.borrow().clone();
    thrown.sort();
    let expected =
        "closed,connections,exists,immediate,lookup,microtask,offload,promise,tick,timeout";
    assert_eq!(thrown.join(","), expected);
}

#[test]
fn a_program_may_never_return() {
    assert_eq!(callback::run(|| process::exit(3)).unwrap(), 3);
    assert_eq!(callback::run(|| panic!("main")).unwrap(), 1);
}

/// The loop may turn between 'beforeExit' and the next look at what it began: the number of tasks in
/// a turn is limited.
#[test]
fn what_before_exit_began_is_followed_by_before_exit_even_if_it_ends_at_once() {
    let log = Rc::new(RefCell::new(Vec::new()));
    let said = Rc::clone(&log);
    callback::run(move || {
        let begins = Cell::new(true);
        process::on_before_exit(move |_| {
            said.borrow_mut().push("beforeExit");
            if begins.replace(false) {
                let said = Rc::clone(&said);
                set_immediate(move || said.borrow_mut().push("immediate"));
                for _ in 0..1000 {
                    oneloop::aio::spawn(async {});
                }
            }
        });
    })
    .unwrap();
    assert_eq!(*log.borrow(), ["beforeExit", "immediate", "beforeExit"]);
}
