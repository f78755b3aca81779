//! The first program of every Node tutorial, and its twin.

use crate::programs::Program;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// The program in the first comment of the example.
fn script() -> String {
    let example = include_str!("../../examples/hello_http.rs");
    let lines = example.lines().skip_while(|line| *line != "//! ```js");
    let lines = lines.skip(1).take_while(|line| *line != "//! ```");
    let lines: Vec<_> = lines
        .map(|line| line.trim_start_matches("//!").trim_start_matches(' '))
        .collect();
    lines.join("\n")
}

/// What a client receives, but for the time of day.
fn answers(port: &str, requests: &[&str]) -> String {
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    let limit = Some(Duration::from_secs(60));
    stream.set_read_timeout(limit).unwrap();
    stream.write_all(requests.concat().as_bytes()).unwrap();
    let mut received = String::new();
    stream.read_to_string(&mut received).unwrap();
    let is_date = |line: &&str| line.starts_with("Date: ");
    assert!(received.lines().any(|line| is_date(&line)), "{received}");
    let lines = received.split_inclusive("\r\n");
    lines.filter(|line| !is_date(line)).collect()
}

#[test]
fn the_first_program_of_every_node_tutorial_has_a_twin_that_answers_the_same() {
    const PORT: [(&str, &str); 1] = [("PORT", "0")];
    let mut ours = Program::example("hello_http", &[], &PORT);
    let port = ours.printed("listening on port ");
    let get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let conversations: [&[&str]; 5] = [
        &[
            get,
            get,
            "GET /a?b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        ],
        &["HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"],
        &["GET / HTTP/1.0\r\n\r\n"],
        &[
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\ntea",
            "PUT / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        ],
        &["GET / HTTP/1.1\r\n\r\n"], // which needs a host
    ];
    let answered = conversations.map(|requests| answers(&port, requests));
    assert_eq!(answered[0].matches("Hello World\n").count(), 3);
    assert!(answered[4].starts_with("HTTP/1.1 400 "), "{}", answered[4]);
    let Some(mut node) = Program::node(&script(), &PORT) else {
        return;
    };
    let port = node.printed("listening on port ");
    for (requests, ours) in conversations.iter().zip(answered) {
        // To an older client, Node answers in its own version, and hyper in the client's.
        let ours = ours.replacen("HTTP/1.0", "HTTP/1.1", 1);
        assert_eq!(ours, answers(&port, requests), "{requests:?}");
    }
}
