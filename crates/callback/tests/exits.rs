//! What a program of the callback style leaves behind when it exits in the middle of its work. This
//! is one test, alone in its process, because it counts open files.

use oneloop::EventLoop;
use oneloop::callback::net::{self, Error};
use oneloop::callback::process::exit;
use oneloop::callback::run_on;

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Exits with sockets in every state: connecting, writing, reading, closing, not connected.
fn exit_with_sockets() -> Result<(), Error> {
    let server = net::create_server(|socket| {
        socket.set_timeout(1000);
        socket.write(vec![0; 8 << 20]);
    });
    server.listen(("127.0.0.1", 0))?.on_listening(|server| {
        let port = server.port().expect("it listens");
        for _ in 0..3 {
            net::connect(("127.0.0.1", port))?.on_data(|_, _| {});
        }
        net::connect(("127.0.0.1", port))?.on_data(move |socket, _| {
            socket.destroy();
            net::connect(("127.0.0.1", port))?;
            if true {
                exit(3);
            }
            Ok::<_, Error>(())
        });
        Ok::<_, Error>(())
    });
    Ok(())
}

#[test]
fn an_exit_leaves_no_file_open_and_its_loop_runs_further_programs() {
    let before = open_files();
    for _ in 0..10 {
        let mut event_loop = EventLoop::new().unwrap();
        for _ in 0..3 {
            assert_eq!(run_on(&mut event_loop, exit_with_sockets).unwrap(), 3);
        }
        assert_eq!(run_on(&mut event_loop, || ()).unwrap(), 0);
    }
    assert_eq!(open_files(), before);
}
