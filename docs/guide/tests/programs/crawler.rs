//! The crawler: a small site on loopback, and the summary of both programs.

use crate::harness::both;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// What the site sees of the fetchers.
#[derive(Default)]
struct Load {
    /// The requests that are under way now, and the most that ever were.
    now: usize,
    most: usize,
    requests: BTreeMap<String, usize>,
}

#[derive(Default)]
struct Site {
    load: Mutex<Load>,
    arrived: Condvar,
}

impl Site {
    /// Serves on a free port until the test program ends.
    fn serve() -> (Arc<Self>, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let site = Arc::new(Site::default());
        let shared = Arc::clone(&site);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let site = Arc::clone(&shared);
                thread::spawn(move || site.answer(stream.unwrap()));
            }
        });
        (site, address)
    }

    fn answer(&self, stream: TcpStream) {
        let mut lines = BufReader::new(&stream).lines().map(Result::unwrap);
        let request = lines.next().unwrap();
        let path = request.strip_prefix("GET ").unwrap();
        let path = path.strip_suffix(" HTTP/1.0").unwrap();
        assert!(lines.any(|line| line.is_empty()), "the head ends");
        let mut load = self.load.lock().unwrap();
        load.now += 1;
        load.most = load.most.max(load.now);
        *load.requests.entry(path.to_owned()).or_default() += 1;
        self.arrived.notify_all();
        if path.starts_with("/pair/") {
            // Two fetchers have to be here at once.
            load = self.arrived.wait_while(load, |load| load.most < 2).unwrap();
        }
        drop(load);
        if path == "/never" {
            // Until the crawler has closed the connection.
            assert_eq!((&stream).read(&mut [0]).unwrap_or(0), 0);
        }
        // Before the answer: the fetcher may begin its next page once it has this one.
        self.load.lock().unwrap().now -= 1;
        // The crawler that has lost patience has closed the connection.
        let _ = (&stream).write_all(page(path).as_bytes());
    }
}

fn page(path: &str) -> String {
    let body = match path {
        "/" => "<a href=\"/pair/1\">1</a> <a href=\"/pair/2\">2</a> <a href=\"/never\">3</a>",
        "/pair/1" => "<a href=\"/\">home</a> <a href=\"/missing\">?</a>",
        "/pair/2" => "<a href=\"http://example.org/\">elsewhere</a> <a href=\"/empty\">",
        "/empty" => "",
        _ => return "HTTP/1.0 404 Not Found\r\nServer: test\r\n\r\nno such page".into(),
    };
    format!("HTTP/1.0 200 OK\r\nServer: test\r\n\r\n{body}")
}

/// The line of the summary for a page of the site.
fn fetched(path: &str) -> String {
    let answer = page(path);
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    let script = format!("printf %s '{body}' | sha256sum");
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    let hash = String::from_utf8(output.stdout).unwrap();
    let hash = hash.split(' ').next().unwrap();
    format!("{path}: {} bytes, {hash}\n", body.len())
}

#[test]
fn each_page_is_fetched_once_by_two_fetchers_and_the_summary_is_sorted() {
    let expected = [
        fetched("/"),
        fetched("/empty"),
        "/missing: HTTP/1.0 404 Not Found\n".into(),
        "/never: timed out\n".into(),
        fetched("/pair/1"),
        fetched("/pair/2"),
    ];
    for mut command in both("crawler") {
        let (site, address) = Site::serve();
        command.args([&format!("http://{address}"), "2", "3"]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected.concat());
        let load = site.load.lock().unwrap();
        assert_eq!(load.most, 2, "two fetchers");
        assert!(load.requests.values().all(|times| *times == 1));
    }
}
