//! A callback may never return: it ends in `process::exit`, `panic!` or `todo!`, in every function
//! that takes one.

use oneloop::callback::dgram::{self, Kind, UnixSocket};
use oneloop::callback::events::{Emitter, EmitterEvent};
use oneloop::callback::net::{self, ConnectOptions, ListenOptions, Server, ServerOptions, Socket};
use oneloop::callback::process::exit;
use oneloop::callback::stream::{ReadStream, WriteStream, event};
use oneloop::callback::{
    AbortSignal, Thrown, child_process, dns, fs, next_tick, offload, offload_to, process,
    queue_microtask, run, run_on, set_immediate, set_interval, set_interval_with_self, set_timeout,
    set_timeout_with_self, spawn_micro, watch_fd,
};
use oneloop::core::{Class, Direction};
use oneloop::{EventLoop, Options};

#[test]
fn a_timer_ends_the_program_by_an_exit() {
    let mut event_loop = EventLoop::with(Options::virtual_time()).unwrap();
    let program = || {
        set_timeout(|| exit(1), 2000);
    };
    assert_eq!(run_on(&mut event_loop, program).unwrap(), 1);
}

/// The functions of a program: it compiles, and that is the test.
#[expect(dead_code, reason = "it only has to compile")]
fn of_the_program() -> Result<(), Thrown> {
    run(|| exit(1))?;
    run_on(&mut EventLoop::new()?, || todo!())?;
    set_timeout(|| exit(1), 2000);
    set_timeout(|| panic!("late"), 2000);
    set_timeout(|| todo!(), 2000);
    set_timeout(|| unreachable!(), 2000);
    set_interval(|| exit(1), 1);
    set_timeout_with_self(|_| exit(1), 1);
    set_interval_with_self(|_| todo!(), 1);
    set_immediate(|| exit(1));
    next_tick(|| exit(1));
    queue_microtask(|| exit(1));
    drop(spawn_micro(async { exit(1) }));
    offload(|| 1, |_| exit(1));
    offload_to(Class::Fs, || 1, |_| exit(1));
    offload(|| panic!("elsewhere"), |_: Result<u8, _>| todo!());
    process::on_uncaught_exception(|_, _| exit(1));
    process::on_before_exit(|_| exit(1));
    process::on_exit(|code| exit(code));
    process::on_signal(15, |_| exit(1))?;
    process::once_signal(15, |_| exit(1))?;
    AbortSignal::timeout(1).on_abort(|_| exit(1));
    watch_fd(std::io::stdin(), Direction::Read, |_, _| exit(1));
    struct Said;
    impl EmitterEvent for Said {
        type Args<'a> = (&'a str, u8);
    }
    let emitter = Emitter::new();
    emitter.on(Said, |_| exit(1));
    emitter.on(Said, |(_, _)| todo!());
    emitter.once(Said, |_| exit(1));
    emitter.prepend(Said, |_| exit(1));
    Ok(())
}

#[expect(dead_code, reason = "it only has to compile")]
fn of_sockets(socket: Socket, server: Server) -> Result<(), Thrown> {
    net::create_server(|_| exit(1));
    net::create_server_with(ServerOptions::default(), |_| exit(1));
    net::connect_then(1, |_| exit(1))?;
    net::connect_with_then(1, ConnectOptions::default(), |_| exit(1))?;
    server.listen_then(1, |_| exit(1))?;
    server.listen_with_then(1, ListenOptions::default(), |_| exit(1))?;
    server.on_connection(|_| exit(1)).on_listening(|_| exit(1));
    server.on_error(|_, _| exit(1)).on_close(|_| exit(1));
    server.on_drop(|_, _| exit(1));
    server.close_then(|_| exit(1));
    server.get_connections(|_| exit(1));
    server.on(net::event::Listening, |_| exit(1));
    socket.connect_then(1, |_| exit(1))?;
    socket.connect_with_then(1, ConnectOptions::default(), |_| exit(1))?;
    socket.on_connect(|_| exit(1)).on_ready(|_| exit(1));
    socket.on_data(|_, _| exit(1)).on_readable(|_| exit(1));
    socket.on_end(|_| exit(1)).on_finish(|_| exit(1));
    socket.on_drain(|_| exit(1)).on_timeout(|_| exit(1));
    socket.on_error(|_, _| exit(1)).on_close(|_, _| exit(1));
    socket.on_lines(80, |_, _| exit(1));
    socket.on_byte_lines(80, |_, _| todo!());
    socket.on(net::event::Data, |_| exit(1));
    socket.once(net::event::Data, |(_, _)| exit(1));
    socket.prepend(net::event::End, |_| exit(1));
    socket.write_then("x", |_| exit(1));
    socket.end_then(|_| exit(1));
    socket.end_with_then("x", |_| exit(1));
    socket.set_timeout_then(1, |_| exit(1));
    Ok(())
}

#[expect(dead_code, reason = "it only has to compile")]
fn of_files(reader: ReadStream, writer: WriteStream) -> Result<(), Thrown> {
    reader.on_open(|_| exit(1)).on_data(|_, _| exit(1));
    reader.on_error(|_, _| exit(1)).on_close(|_| exit(1));
    reader.on_ready(|_| exit(1)).on_end(|_| exit(1));
    reader.on_readable(|_| exit(1));
    reader.on_lines(80, |_, _| exit(1));
    reader.on_byte_lines(80, |_, _| exit(1));
    reader.once(event::End, |_| exit(1));
    reader.close_then(|_| exit(1));
    writer.on_open(|_| exit(1)).on_drain(|_| exit(1));
    writer.on_finish(|_| exit(1)).on_pipe(|_, _| exit(1));
    writer.on_ready(|_| exit(1)).on_unpipe(|_, _| exit(1));
    writer.on_close(|_| exit(1));
    writer.end_then(|_| exit(1));
    writer.end_with_then("x", |_| exit(1));
    writer.on_resize(|_| exit(1)).on_error(|_, _| exit(1));
    writer.write_then("x", |_| exit(1));
    writer.close_then(|_| exit(1));
    fs::write_file("x", "y", |_| exit(1));
    fs::exists("x", |_| exit(1));
    fs::open("x", "r", |_| exit(1))?;
    let watcher = fs::watch_with("x", Default::default(), |_, _| exit(1))?;
    watcher.once(fs::event::Close, |_| exit(1));
    let watcher = fs::watch("x", |_, _| exit(1))?;
    watcher.on_change(|_, _| exit(1)).on_error(|_| exit(1));
    watcher.on_close(|| exit(1));
    Ok(())
}

#[expect(dead_code, reason = "it only has to compile")]
fn of_names(file: fs::FileHandle) {
    macro_rules! each {
        ($($name:ident($($arg:expr),+);)+) => {$( fs::$name($($arg,)+ |_| exit(1)); )+};
    }
    each! {
        read_file("x"); stat("x"); lstat("x"); readdir("x"); rename("x", "y"); copy_file("x", "y");
        unlink("x"); rm("x"); rmdir("x"); rm_with("x", Default::default()); mkdir("x");
        mkdir_with("x", Default::default()); mkdtemp("x"); access("x");
        access_with("x", Default::default()); link("x", "y"); symlink("x", "y"); readlink("x");
        realpath("x"); append_file("x", "y");
    }
    file.read(vec![0], None, |_| exit(1));
    file.write("x", None, |_| exit(1));
    file.stat(|_| exit(1));
    file.truncate(1, |_| exit(1));
    file.sync(|_| exit(1));
    file.close(|_| exit(1));
}

#[expect(dead_code, reason = "it only has to compile")]
fn of_the_rest(unix: UnixSocket) -> Result<(), Thrown> {
    let udp = dgram::create_socket_then(Kind::Udp4, |_, _, _| exit(1));
    udp.on_message(|_, _, _| exit(1)).on_listening(|_| exit(1));
    udp.on_error(|_, _| exit(1)).on_close(|_| exit(1));
    udp.on_connect(|_| exit(1));
    udp.bind_then(1, |_| exit(1))?;
    udp.connect_then(1, |_| exit(1))?;
    udp.send_then("x", |_| exit(1))?;
    udp.send_to_then("x", 1, |_| exit(1))?;
    udp.close_then(|_| exit(1))?;
    unix.on_message(|_, _| exit(1)).on_close(|_| exit(1));
    unix.on_end(|_| exit(1)).on_error(|_, _| exit(1));
    unix.send_to_then("x", "y", |_| exit(1));
    unix.send_fds_then("x", Vec::new(), |_| exit(1));
    unix.send_then("x", |_| exit(1));
    unix.close_then(|_| exit(1));
    UnixSocket::connect("x", |_| exit(1));
    UnixSocket::listen("x", |_| exit(1))?;
    let child = child_process::spawn("x", ["y"])?;
    child.on_spawn(|_| exit(1)).on_exit(|_, _, _| exit(1));
    child.on_error(|_, _| exit(1)).on_close(|_, _, _| exit(1));
    child_process::exec("x", |_, _, _| exit(1))?;
    child_process::exec_with("x", Default::default(), |_, _, _| exit(1))?;
    child_process::exec_file_with("x", ["y"], Default::default(), |_, _, _| exit(1))?;
    child_process::exec_file("x", ["y"], |_, _, _| exit(1))?;
    dns::lookup("x", Default::default(), |_| exit(1));
    dns::lookup_all("x", Default::default(), |_| exit(1));
    dns::lookup_service("127.0.0.1".parse()?, 1, |_| exit(1));
    Ok(())
}
