//! Sockets of the callback style: reads, writes, pipes, ends and destroys in any order, also inside
//! of listeners.

use crate::input::Input;
use oneloop::callback::net::{Socket, SocketOptions, event};
use oneloop::callback::stream::Readable;
use oneloop::callback::{Error, run_on, set_immediate, set_timeout};
use oneloop::{EventLoop, Options};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

/// Two pairs: the peer of 0 is 1, and the peer of 2 is 3.
const SOCKETS: usize = 4;

const STEPS_MAX: usize = 100;

/// The bytes that are written repeat after so many: a prime, so that no buffer has that length.
const PERIOD: usize = 251;

thread_local! {
    static NUMBERS: Vec<u8> = (0..PERIOD as u8).cycle().take(PERIOD + LENGTHS[7]).collect();
}

/// Virtual time passes only when nothing else is left to do.
const AT_REST_MS: u32 = 1000;

/// Lengths of writes in bytes. The kernel takes about 200 KiB.
const LENGTHS: [usize; 8] = [0, 1, 2, 10, 100, 5000, 70_000, 150_000];

/// Each socket receives what its peer wrote, byte for byte, up to the end or the error that it
/// reports; events come in Node's order, none twice, and 'close' last; each write is answered once,
/// in order.
pub fn run(input: &[u8]) {
    let mut event_loop = EventLoop::with(Options {
        loopback_grace: Duration::ZERO,
        ..Options::virtual_time()
    })
    .unwrap();
    let bytes = input.to_vec();
    let streams = Rc::new(RefCell::new(None));
    let kept = Rc::clone(&streams);
    let code = run_on(&mut event_loop, move || {
        let streams = Streams::new(&bytes);
        kept.replace(Some(Rc::clone(&streams)));
        streams.play();
    });
    assert_eq!(code.unwrap(), 0, "a listener threw");
    let streams = streams.take().expect("the program began");
    (0..SOCKETS).for_each(|at| streams.check_end(at));
}

struct Streams {
    /// The choices that are left.
    script: RefCell<VecDeque<u8>>,
    steps: Cell<usize>,
    sides: Vec<Side>,
    /// A source and a destination each, in the order in which the pipes were made.
    pipes: RefCell<Vec<(usize, usize)>>,
    has_pipes: Cell<bool>,
}

/// A socket, and what the model knows of it.
struct Side {
    socket: Socket,
    /// What was written to it.
    written: RefCell<Vec<u8>>,
    /// How many bytes of what its peer wrote it has received.
    received: Cell<usize>,
    /// The numbers of the writes that are not answered.
    writes: RefCell<VecDeque<usize>>,
    writes_begun: Cell<usize>,
    /// A call of `read` is under way: it emits 'data' as well.
    reads: Cell<bool>,
    /// A write returned false.
    needs_drain: Cell<bool>,
    /// Pipes wrote to it as well.
    was_piped: Cell<bool>,
    prefinished: Cell<bool>,
    finished: Cell<bool>,
    ended: Cell<bool>,
    /// It was destroyed by a step.
    destroyed: Cell<bool>,
    failed: Cell<bool>,
    closed: Cell<bool>,
}

impl Side {
    fn new(stream: UnixStream, options: SocketOptions) -> Self {
        let socket = oneloop::net::Socket::from_fd(stream.into()).unwrap();
        Side {
            socket: Socket::from_connected(socket, options),
            written: RefCell::default(),
            received: Cell::default(),
            writes: RefCell::default(),
            writes_begun: Cell::default(),
            reads: Cell::default(),
            needs_drain: Cell::default(),
            was_piped: Cell::default(),
            prefinished: Cell::default(),
            finished: Cell::default(),
            ended: Cell::default(),
            destroyed: Cell::default(),
            failed: Cell::default(),
            closed: Cell::default(),
        }
    }

    fn finish(&self) {
        self.socket.resume();
        self.socket.end();
    }

    fn destroy(&self) {
        if !self.closed.get() {
            self.destroyed.set(true);
            self.socket.destroy();
        }
    }

    fn note_written(&self, bytes: &[u8]) {
        if self.socket.is_writable() {
            self.written.borrow_mut().extend_from_slice(bytes);
        }
    }
}

fn peer(at: usize) -> usize {
    at ^ 1
}

impl Streams {
    fn new(bytes: &[u8]) -> Rc<Self> {
        let mut input = Input::new(bytes);
        let mut sides = Vec::new();
        for _ in 0..SOCKETS / 2 {
            let (a, b) = UnixStream::pair().unwrap();
            for stream in [a, b] {
                stream.set_nonblocking(true).unwrap();
                let options = SocketOptions {
                    allow_half_open: input.is(),
                    high_water_mark: [16 * 1024, 1, 100, 100_000][input.below(4)],
                    ..SocketOptions::default()
                };
                sides.push(Side::new(stream, options));
            }
        }
        let streams = Rc::new(Streams {
            script: RefCell::new(input.rest().iter().copied().collect()),
            steps: Cell::new(0),
            sides,
            pipes: RefCell::default(),
            has_pipes: Cell::default(),
        });
        (0..SOCKETS).for_each(|at| streams.listen(at));
        streams
    }

    /// Does a few steps in each turn, until all are done.
    fn play(self: &Rc<Self>) {
        for _ in 0..=self.choose(3) {
            self.step();
        }
        let streams = Rc::clone(self);
        if self.is_over() {
            set_immediate(move || streams.finish());
        } else {
            set_immediate(move || streams.play());
        }
    }

    /// Resumes and ends every socket. A pipe whose destination is gone leaves its source paused,
    /// so what is open when nothing moves any more is resumed once again, and then destroyed.
    fn finish(self: &Rc<Self>) {
        self.sides.iter().for_each(Side::finish);
        let streams = Rc::clone(self);
        let at_rest = move || {
            let open = || streams.sides.iter().filter(|side| !side.closed.get());
            assert!(
                streams.has_pipes.get() || open().count() == 0,
                "a socket never ends"
            );
            open().for_each(Side::finish);
            let streams = Rc::clone(&streams);
            set_timeout(
                move || streams.sides.iter().for_each(Side::destroy),
                AT_REST_MS,
            );
        };
        set_timeout(at_rest, AT_REST_MS);
    }

    fn is_over(&self) -> bool {
        self.script.borrow().is_empty() || self.steps.get() >= STEPS_MAX
    }

    fn choose(&self, end: usize) -> usize {
        if self.is_over() {
            return 0;
        }
        let byte = self.script.borrow_mut().pop_front();
        usize::from(byte.unwrap_or(0)) % end
    }

    /// A step inside of a listener, perhaps.
    fn step_inside(self: &Rc<Self>) {
        if self.choose(3) == 1 {
            self.step();
        }
    }

    fn step(self: &Rc<Self>) {
        if self.is_over() {
            return;
        }
        self.steps.set(self.steps.get() + 1);
        let kind = self.choose(24);
        let at = self.choose(SOCKETS);
        let side = &self.sides[at];
        let socket = &side.socket;
        match kind {
            0..=3 => self.write(at, LENGTHS[self.choose(LENGTHS.len())]),
            4..=6 => self.write_then(at, LENGTHS[self.choose(LENGTHS.len())]),
            7 => {
                socket.cork();
            }
            8 | 9 => {
                socket.uncork();
            }
            10 => {
                socket.pause();
            }
            11 | 12 => {
                socket.resume();
            }
            13 => self.read(at, None),
            14 => self.read(at, Some(1 + self.choose(200))),
            15 => self.read_when_readable(at),
            16 | 17 => self.pipe(at, self.choose(SOCKETS)),
            18 => {
                socket.unpipe(&self.sides[self.choose(SOCKETS)].socket);
            }
            19 => {
                socket.end();
            }
            20 => {
                let bytes = self.bytes(at, LENGTHS[self.choose(LENGTHS.len())]);
                side.note_written(&bytes);
                socket.end_with(bytes);
            }
            21 => {
                side.destroyed.set(true);
                socket.destroy();
            }
            22 if self.choose(4) == 0 => {
                side.destroyed.set(true);
                socket.destroy_with(Error::from(std::io::Error::other("a step")));
            }
            _ => self.check_state(at),
        }
    }

    /// Bytes that differ from those before and behind them.
    fn bytes(&self, at: usize, length: usize) -> Vec<u8> {
        let start = self.sides[at].written.borrow().len() % PERIOD;
        NUMBERS.with(|numbers| numbers[start..start + length].to_vec())
    }

    fn write(&self, at: usize, length: usize) {
        let side = &self.sides[at];
        let bytes = self.bytes(at, length);
        side.note_written(&bytes);
        let is_writable = side.socket.is_writable();
        if !side.socket.write(bytes) && is_writable {
            side.needs_drain.set(true);
        }
    }

    fn write_then(self: &Rc<Self>, at: usize, length: usize) {
        let side = &self.sides[at];
        let bytes = self.bytes(at, length);
        side.note_written(&bytes);
        let number = side.writes_begun.get();
        side.writes_begun.set(number + 1);
        let is_writable = side.socket.is_writable();
        if is_writable {
            side.writes.borrow_mut().push_back(number);
        }
        let streams = Rc::clone(self);
        let flows = side.socket.write_then(bytes, move |written| {
            let side = &streams.sides[at];
            if is_writable {
                let first = side.writes.borrow_mut().pop_front();
                assert_eq!(first, Some(number), "writes are answered in order");
                let mut ends = [&side.socket, &streams.sides[peer(at)].socket].into_iter();
                let is_broken = ends.any(Socket::is_destroyed);
                assert!(written.is_ok() || is_broken, "{written:?}");
            } else {
                assert!(written.is_err(), "it was ended or destroyed");
            }
            streams.step_inside();
        });
        if !flows && is_writable {
            side.needs_drain.set(true);
        }
    }

    /// The listener of 'data' sees the same bytes.
    fn read(&self, at: usize, count: Option<usize>) {
        let side = &self.sides[at];
        let before = side.received.get();
        let is_nested = side.reads.replace(true);
        let bytes = match count {
            Some(count) => side.socket.read_bytes(count),
            None => side.socket.read(),
        };
        side.reads.set(is_nested);
        // A destroyed stream still returns what it has, and emits it only until 'error' or 'close'.
        if side.socket.is_destroyed() && side.received.get() == before {
            return;
        }
        let length = bytes.map_or(0, |bytes| bytes.len());
        assert_eq!(
            side.received.get() - before,
            length,
            "'data' has what is read"
        );
    }

    fn read_when_readable(self: &Rc<Self>, at: usize) {
        let streams = Rc::clone(self);
        self.sides[at].socket.on_readable(move |_| {
            let side = &streams.sides[at];
            assert!(!side.closed.get());
            loop {
                let before = side.received.get();
                streams.read(at, None);
                if side.received.get() == before {
                    break;
                }
            }
            streams.step_inside();
        });
    }

    /// No pipes in a circle: bytes flow to sockets with larger numbers only.
    fn pipe(&self, from: usize, to: usize) {
        if peer(to) > from {
            self.has_pipes.set(true); // also one to a closed socket, which emits no 'pipe'
            self.sides[from].socket.pipe(&self.sides[to].socket);
        }
    }

    fn listen(self: &Rc<Self>, at: usize) {
        let socket = &self.sides[at].socket;
        let streams = Rc::clone(self);
        // The first listener: it knows of the bytes before a pipe writes them.
        socket.on_data(move |_, bytes| streams.on_data(at, bytes));
        socket.pause();
        self.on(
            at,
            |socket, f| {
                socket.on_end(f);
            },
            Streams::on_end,
        );
        self.on(
            at,
            |socket, f| {
                socket.on_drain(f);
            },
            Streams::on_drain,
        );
        self.on(
            at,
            |socket, f| {
                socket.on_finish(f);
            },
            Streams::on_finish,
        );
        self.on(
            at,
            |socket, f| {
                socket.on(event::Prefinish, f);
            },
            Streams::on_prefinish,
        );
        let streams = Rc::clone(self);
        socket.on_error(move |_, _| {
            let side = &streams.sides[at];
            assert!(!side.failed.replace(true), "'error' comes once");
            assert!(!side.closed.get(), "'close' is last");
            streams.step_inside();
        });
        let streams = Rc::clone(self);
        socket.on_close(move |_, had_error| {
            let side = &streams.sides[at];
            assert!(!side.closed.replace(true), "'close' comes once");
            assert_eq!(had_error, side.failed.get());
            streams.step_inside();
        });
        let streams = Rc::clone(self);
        socket.on(event::Pipe, move |(_, source): (Socket, Readable)| {
            let pipe = (streams.index_of(&source), at);
            streams.sides[at].was_piped.set(true);
            streams.pipes.borrow_mut().push(pipe);
        });
        let streams = Rc::clone(self);
        socket.on(event::Unpipe, move |(_, source): (Socket, Readable)| {
            let pipe = (streams.index_of(&source), at);
            let mut pipes = streams.pipes.borrow_mut();
            let index = pipes.iter().position(|other| *other == pipe);
            pipes.remove(index.expect("it was piped"));
        });
    }

    /// Adds a listener without arguments. Nothing comes behind 'close'.
    fn on(
        self: &Rc<Self>,
        at: usize,
        add: impl FnOnce(&Socket, Box<dyn Fn(Socket)>),
        f: fn(&Self, &Side, usize),
    ) {
        let streams = Rc::clone(self);
        let listener = Box::new(move |_| {
            let side = &streams.sides[at];
            assert!(!side.closed.get(), "'close' is last");
            f(&streams, side, at);
            streams.step_inside();
        });
        add(&self.sides[at].socket, listener);
    }

    fn index_of(&self, source: &Readable) -> usize {
        let is_it = |side: &Side| Readable::from(side.socket.clone()) == *source;
        self.sides
            .iter()
            .position(is_it)
            .expect("it is one of ours")
    }

    fn on_data(&self, at: usize, bytes: &[u8]) {
        let side = &self.sides[at];
        assert!(
            !side.ended.get() && !side.closed.get(),
            "'end' is behind all data"
        );
        let flows = side.socket.readable_flowing() == Some(true);
        assert!(flows || side.reads.get(), "it was paused");
        let start = side.received.get();
        side.received.set(start + bytes.len());
        let written = self.sides[peer(at)].written.borrow();
        let expected = written.get(start..start + bytes.len());
        assert!(expected == Some(bytes), "other bytes than were written");
        drop(written);
        for (_, to) in self.pipes.borrow().iter().filter(|(from, _)| *from == at) {
            self.sides[*to].note_written(bytes);
        }
        // What the pipes do with these bytes must not depend on what happens here.
        match self.choose(8) {
            1 => {
                side.socket.pause();
            }
            2 => {
                side.socket.resume();
            }
            _ => {}
        }
    }

    fn on_end(&self, side: &Side, at: usize) {
        assert!(!side.ended.replace(true), "'end' comes once");
        let peer = &self.sides[peer(at)];
        if peer.finished.get() {
            let written = peer.written.borrow().len();
            assert_eq!(side.received.get(), written, "'end' is behind all data");
        } else {
            assert!(peer.socket.is_destroyed() || peer.socket.is_writable_ended());
        }
    }

    fn on_drain(&self, side: &Side, _: usize) {
        let needed = side.needs_drain.replace(false);
        assert!(needed || side.was_piped.get(), "no write returned false");
    }

    fn on_prefinish(&self, side: &Side, _: usize) {
        assert!(!side.prefinished.replace(true), "'prefinish' comes once");
        assert!(!side.finished.get());
    }

    fn on_finish(&self, side: &Side, _: usize) {
        assert!(!side.finished.replace(true), "'finish' comes once");
        assert!(side.prefinished.get() && side.socket.is_writable_ended());
        assert!(
            side.writes.borrow().is_empty(),
            "'finish' is behind all answers"
        );
        assert_eq!(side.socket.writable_length(), 0);
    }

    fn check_state(&self, at: usize) {
        let side = &self.sides[at];
        let socket = &side.socket;
        assert!(!socket.is_writable() || !side.finished.get());
        assert!(socket.is_writable_finished() || !side.finished.get());
        assert!(!side.closed.get() || socket.is_destroyed());
        assert!(!side.ended.get() || socket.is_readable_ended());
    }

    fn check_end(&self, at: usize) {
        let (side, peer) = (&self.sides[at], &self.sides[peer(at)]);
        assert!(side.closed.get(), "'close' never came");
        assert!(side.writes.borrow().is_empty(), "a write is not answered");
        let is_whole = |side: &Side| !side.destroyed.get() && !side.failed.get();
        if is_whole(side) && is_whole(peer) {
            assert!(side.ended.get() && side.finished.get());
            assert_eq!(side.received.get(), peer.written.borrow().len());
        }
    }
}
