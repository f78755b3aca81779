//! HTTP in Node's words, against curl, wrk and Node itself.

use crate::harness::peer;
use oneloop::EventLoop;
use oneloop::callback::http::{self, Error, IncomingMessage, RequestOptions, Server};
use oneloop::callback::{Thrown, child_process, run, run_on, spawn_micro};
use oneloop::chaos::{Plan, check, check_plans};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

fn url(server: &Server) -> String {
    format!("http://127.0.0.1:{}/", server.port().unwrap())
}

/// Echoes a body, or answers with what it was asked.
fn serve() -> Server {
    http::create_server(|req, res| {
        if req.method() == "POST" {
            req.pipe(&res);
        } else {
            res.end_with(format!("{} {}\n", req.method(), req.url()));
        }
    })
}

/// Runs a server, and programs against it.
fn against(clients: impl AsyncFnOnce(String) + 'static) {
    let code = run(|| {
        serve().listen_then(("127.0.0.1", 0), |server| {
            drop(spawn_micro(async move {
                clients(url(&server)).await;
                server.close();
                server.close_all_connections();
            }));
        })
    });
    assert_eq!(code.unwrap(), 0);
}

#[test]
fn curl_is_served() {
    let body = "x".repeat(1 << 20);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &body).unwrap();
    against(async move |url| {
        let data = format!("@{}", file.path().display());
        let Some(printed) = peer("curl", &["-s", "--data-binary", &data, &url]).await else {
            return;
        };
        assert!(printed == body);
        // curl waits for `100 Continue` then.
        let expect = [
            "-s",
            "-H",
            "Expect: 100-continue",
            "--data-binary",
            &data,
            &url,
        ];
        assert!(peer("curl", &expect).await.unwrap() == body);
        let chunked = [
            "-s",
            "-H",
            "Transfer-Encoding: chunked",
            "--data-binary",
            &data,
            &url,
        ];
        assert!(peer("curl", &chunked).await.unwrap() == body);
        let twice = ["-s", "-w", "%{num_connects} ", &url, &url];
        let printed = peer("curl", &twice).await.unwrap();
        assert_eq!(printed, "GET /\n1 GET /\n0 ");
        let old = peer("curl", &["-s", "-0", &url]).await.unwrap();
        assert_eq!(old, "GET /\n");
    });
}

#[test]
fn wrk_is_served_without_an_error() {
    against(async |url| {
        if let Some(report) = peer("wrk", &["-t1", "-c64", "-d1s", &url]).await {
            assert!(report.contains("Requests/sec"), "{report}");
            let is_clean = !report.contains("errors") && !report.contains("Non-2xx");
            assert!(is_clean, "{report}");
        }
    });
}

#[test]
fn a_client_in_node_is_served() {
    let client = "const http = require('http');
        const ask = (options, body, done) => http.request(process.argv[1], options, (res) => {
          let all = ''; res.on('data', (d) => { all += d; });
          res.on('end', () => { console.log(res.statusCode, res.headers.connection, all.length); done(); });
        }).end(body);
        ask({}, undefined, () => ask({ method: 'POST' }, 'x'.repeat(300000), () =>
          ask({ method: 'POST', headers: { 'Transfer-Encoding': 'chunked' } }, 'chunks', () => {})));";
    against(async move |url| {
        if let Some(printed) = peer("node", &["-e", client, &url]).await {
            assert_eq!(
                printed,
                "200 keep-alive 6\n200 keep-alive 300000\n200 keep-alive 6\n"
            );
        }
    });
}

/// Collects a body, and calls a function with it at 'end'.
fn on_body<O: oneloop::callback::IntoResult>(
    message: &IncomingMessage,
    f: impl Fn(&[u8]) -> O + 'static,
) {
    let body = Rc::new(RefCell::new(Vec::new()));
    let parts = Rc::clone(&body);
    message.on_data(move |_, bytes| parts.borrow_mut().extend_from_slice(bytes));
    message.on_end(move |_| f(&body.borrow()).into_result());
}

#[test]
fn a_server_in_node_is_asked() {
    const SERVER: &str = "const http = require('http');
        const s = http.createServer((req, res) => { req.pipe(res); });
        s.listen(0, '127.0.0.1', () => console.log(s.address().port));";
    let echoed = Rc::new(Cell::new(0));
    let counted = Rc::clone(&echoed);
    let code = run(move || {
        let node = child_process::spawn("node", ["-e", SERVER])?;
        let skipped = Rc::clone(&counted);
        node.on_error(move |_, _| {
            eprintln!("skipped: node is not installed");
            skipped.set(3);
        });
        let Some(stdout) = node.stdout() else {
            return Ok(());
        };
        stdout.on_lines(80, move |_, port| {
            let port: u16 = port.parse()?;
            post_again(port, Rc::clone(&counted), node.clone())?;
            Ok::<_, Thrown>(())
        });
        Ok::<_, Thrown>(())
    });
    assert_eq!((code.unwrap(), echoed.get()), (0, 3));
}

fn post_again(
    port: u16,
    echoed: Rc<Cell<u32>>,
    node: child_process::ChildProcess,
) -> Result<(), Error> {
    let options = RequestOptions {
        host: "127.0.0.1".into(),
        port,
        method: "POST".into(),
        ..RequestOptions::default()
    };
    let req = http::request_then(options, move |res| {
        on_body(&res, move |body| {
            assert_eq!(body.len(), 300_000);
            echoed.set(echoed.get() + 1);
            if echoed.get() == 3 {
                node.kill(15)?;
                return Ok(());
            }
            post_again(port, Rc::clone(&echoed), node.clone())?;
            Ok::<_, Thrown>(())
        });
    })?;
    req.write(vec![b'x'; 100_000]);
    req.end_with(vec![b'x'; 200_000]);
    Ok(())
}

const SEEDS: u64 = 60;

/// Requests of several kinds, under chaos. Returns how many were answered in full.
fn ask_under_chaos(event_loop: &mut EventLoop) -> u32 {
    let answered = Rc::new(Cell::new(0));
    let counted = Rc::clone(&answered);
    let code = run_on(event_loop, move || {
        let server = serve();
        server.on_error(|_, _| ()); // it may not even listen
        server.listen_then(("127.0.0.1", 0), move |server| {
            let left = Rc::new(Cell::new(4));
            for bytes in [0, 10, 70_000, 200_000] {
                let mut options = RequestOptions::of_url(&url(&server))?;
                options.method = "POST".into();
                let answered = Rc::clone(&counted);
                let req = http::request_then(options, move |res| {
                    on_body(&res, move |body| {
                        if body.len() == bytes {
                            answered.set(answered.get() + 1);
                        }
                    });
                })?;
                req.on_error(|_, _| ());
                // A server that lacks fds may leave a client to wait.
                req.set_timeout_then(600_000, |req| {
                    req.destroy();
                });
                let (left, server) = (Rc::clone(&left), server.clone());
                req.on_close(move |_| {
                    left.set(left.get() - 1);
                    if left.get() == 0 {
                        server.close();
                        server.close_all_connections();
                    }
                });
                req.end_with(vec![b'x'; bytes]);
            }
            Ok::<_, Error>(())
        })?;
        Ok::<_, Error>(())
    });
    assert_eq!(code.unwrap(), 0);
    answered.get()
}

#[test]
fn requests_are_exact_under_chaos() {
    check(0..SEEDS, |event_loop| {
        assert_eq!(ask_under_chaos(event_loop), 4)
    });
}

#[test]
fn whatever_fails_is_an_event_and_the_program_ends() {
    let plans = (0..SEEDS).map(Plan::with_failures);
    check_plans(plans, |event_loop| {
        ask_under_chaos(event_loop);
    });
}
