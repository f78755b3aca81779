//! Crawls a site over HTTP/1.0: `cargo run --example crawler URL [FETCHERS] [PAGE_SECONDS]`

use oneloop::green::net::TcpStream;
use oneloop::green::process::Command;
use oneloop::green::{JoinHandle, Pool, RunError, run, timeout};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::rc::Rc;
use std::time::Duration;

/// The body of a page.
fn fetch(address: &str, path: &str) -> io::Result<Vec<u8>> {
    let mut connection = TcpStream::connect(address)?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    connection.write_all(request.as_bytes())?;
    let mut head = Vec::new();
    connection.read_to_end(&mut head)?;
    let end = head.windows(4).position(|four| four == b"\r\n\r\n");
    let body = head.split_off(end.ok_or(io::ErrorKind::UnexpectedEof)? + 4);
    let head = String::from_utf8_lossy(&head);
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        return Err(io::Error::other(status));
    }
    Ok(body)
}

/// What sha256sum(1) says of a page.
fn sha256(body: &[u8]) -> io::Result<String> {
    let output = Command::new("sha256sum").input(body).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let hash = text.split_once(' ').map(|(hash, _)| hash.to_owned());
    hash.ok_or_else(|| io::Error::other(format!("sha256sum: {}", output.status)))
}

struct Crawler {
    address: String,
    page_time: Duration,
    pool: Pool,
    pages: RefCell<BTreeMap<String, JoinHandle<io::Result<String>>>>,
}

impl Crawler {
    fn add(self: &Rc<Self>, path: String) {
        if !self.pages.borrow().contains_key(&path) {
            let (crawler, name) = (Rc::clone(self), path.clone());
            let page = self.pool.submit(move || crawler.visit_in_time(&name));
            self.pages.borrow_mut().insert(path, page);
        }
    }

    fn visit(self: &Rc<Self>, path: &str) -> io::Result<String> {
        let body = fetch(&self.address, path)?;
        let page = String::from_utf8_lossy(&body);
        let links = page.split("href=\"/").skip(1);
        for (link, _) in links.filter_map(|link| link.split_once('"')) {
            self.add(format!("/{link}"));
        }
        Ok(format!("{} bytes, {}", body.len(), sha256(&body)?))
    }

    fn visit_in_time(self: &Rc<Self>, path: &str) -> io::Result<String> {
        let visited = timeout(self.page_time, || self.visit(path));
        visited.map_err(io::Error::from).flatten()
    }
}

fn main() -> Result<(), RunError> {
    let mut args = std::env::args().skip(1);
    let url = args.next().expect("a URL");
    let fetchers = args.next().map_or(4, |n| n.parse().expect("a number"));
    let seconds = args.next().map_or(10.0, |s| s.parse().expect("seconds"));
    let site = url.strip_prefix("http://").expect("a URL with http:");
    let (address, path) = site.split_once('/').unwrap_or((site, ""));
    let crawler = Rc::new(Crawler {
        address: address.to_owned(),
        page_time: Duration::from_secs_f64(seconds),
        pool: Pool::new(fetchers),
        pages: RefCell::default(),
    });
    let path = format!("/{path}");
    run(move || {
        crawler.add(path);
        crawler.pool.join();
        for (path, page) in crawler.pages.take() {
            let visited = page.join().map_err(io::Error::from).flatten();
            let result = visited.unwrap_or_else(|error| error.to_string());
            println!("{path}: {result}");
        }
    })
}
