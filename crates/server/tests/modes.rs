//! What each mode sends to its clients.

mod harness;

use harness::chat::Guest;
use harness::client::{self, echo, expect_end};
use harness::pattern;
use harness::server::Server;
use jiff::ZonedDateTime;
use std::collections::HashSet;
use std::io::{BufRead, Read, Write};
use std::net::Shutdown;
use std::thread;

#[test]
fn echo_sends_each_client_its_own_words() {
    let server = Server::start(&["--mode", "echo"]);
    let clients = server.connect_echoed(10);
    for (number, client) in clients.iter().enumerate() {
        echo(client, format!("I am number {number}\r\n").as_bytes());
    }
    clients.into_iter().for_each(client::leave);
    server.finish();
}

#[test]
fn echo_preserves_every_byte() {
    let server = Server::start(&[]);
    let bytes: Vec<u8> = (0..=255).collect();
    echo(server.connect(), &bytes);
    server.finish();
}

#[test]
fn discard_reads_everything_and_sends_nothing() {
    let server = Server::start(&["--mode", "discard"]);
    for _ in 0..2 {
        let client = server.connect();
        pattern::write(&client, 8 << 20);
        assert!(client::is_silent(&client));
        client::leave(client);
    }
    server.drain();
}

/// RFC 864: lines of 72 of the 95 printable characters, each of which begins one character later.
fn rfc_864(line: usize) -> Vec<u8> {
    let ring = (b' '..=b'~').cycle().skip(line % 95).take(72);
    ring.chain(*b"\r\n").collect()
}

#[track_caller]
fn expect_chargen(mut from: impl Read, lines: usize) {
    let mut text = vec![0; lines * 74];
    from.read_exact(&mut text).unwrap();
    for (number, line) in text.chunks(74).enumerate() {
        assert!(
            line == rfc_864(number),
            "line {number}: {}",
            line.escape_ascii()
        );
    }
}

#[test]
fn chargen_sends_the_pattern_of_rfc_864_without_end() {
    let server = Server::start(&["--mode", "chargen"]);
    expect_chargen(server.connect(), 100_000);
    expect_chargen(server.connect(), 3);
    server.drain();
}

#[test]
fn chargen_reads_and_drops_its_input() {
    let server = Server::start(&["--mode", "chargen"]);
    let client = server.connect();
    thread::scope(|scope| {
        scope.spawn(|| pattern::write(&client, 16 << 20));
        expect_chargen(&client, 10_000);
    });
    drop(client);
    server.drain();
}

#[test]
fn chargen_ends_with_its_client() {
    let mut server = Server::start(&["--mode", "chargen", "--log-level", "debug"]);
    let client = server.connect();
    expect_chargen(&client, 10);
    drop(client);
    server.stderr.wait_for("closed number=1");
    let client = server.connect();
    client.shutdown(Shutdown::Write).unwrap();
    client::read_until_closed(&client);
    server.stderr.wait_for("closed number=2");
    expect_chargen(server.connect(), 10);
    server.drain();
}

#[test]
fn daytime_sends_one_line_and_closes() {
    let server = Server::start(&["--mode", "daytime"]);
    let today = ZonedDateTime::now().strftime("%A, %B %d, %Y ").to_string();
    let line = std::io::read_to_string(server.connect()).unwrap();
    assert!(
        line.ends_with("\r\n") && line.lines().count() == 1,
        "{line:?}"
    );
    if ZonedDateTime::now().strftime("%A, %B %d, %Y ").to_string() == today {
        assert!(line.starts_with(&today), "{line:?}, but it is {today}");
    }
    server.drain();
}

#[test]
fn daytime_does_not_wait_forever_for_its_client_to_close() {
    let mut server = Server::start(&["--mode", "daytime", "--log-level", "debug"]);
    let mut client = server.connect();
    client.read_to_end(&mut Vec::new()).unwrap();
    let line = server.stderr.wait_for("closed");
    assert!(line.contains("the client did not"), "{line}");
    server.drain();
}

#[test]
fn daytime_reaches_a_client_that_talks_first() {
    let server = Server::start(&["--mode", "daytime"]);
    for _ in 0..20 {
        let mut client = server.connect();
        // The server may have closed already: its answer counts, not our input.
        let _ = client.write_all(b"what time is it?\n");
        let line = std::io::read_to_string(&client).unwrap();
        assert!(line.ends_with("\r\n"), "{line:?}");
    }
    server.drain();
}

#[test]
fn in_a_chat_the_others_receive_what_one_says() {
    for threads in ["1", "2"] {
        let server = Server::start(&["--mode", "chat", "--threads", threads]);
        let mut anna = Guest::join(&server, &mut []);
        let mut berta = Guest::join(&server, &mut [&mut anna]);
        let mut clara = Guest::join(&server, &mut [&mut anna, &mut berta]);
        anna.write(b"I am Anna\n");
        assert_eq!(
            (berta.next_line(), clara.next_line()),
            ("I am Anna".into(), "I am Anna".into())
        );
        berta.write(b"and I am Berta\n");
        // If Anna received her own line, that would come first.
        assert_eq!(
            (anna.next_line(), clara.next_line()),
            ("and I am Berta".into(), "and I am Berta".into())
        );
        drop((anna, berta, clara));
        fresh_guests_can_talk(&server);
        server.drain();
    }
}

#[track_caller]
fn fresh_guests_can_talk(server: &Server) {
    let mut one = Guest::join(server, &mut []);
    drop(Guest::join(server, &mut [&mut one]));
}

#[test]
fn in_a_chat_the_lines_of_two_members_do_not_mix() {
    const LINES: usize = 2000;
    let server = Server::start(&["--mode", "chat"]);
    let mut reader = Guest::join(&server, &mut []);
    let mut anna = Guest::join(&server, &mut [&mut reader]);
    let mut berta = Guest::join(&server, &mut [&mut reader, &mut anna]);
    let talk = |guest: &mut Guest, name: &str| {
        for number in 0..LINES {
            guest.write(format!("{name} says").as_bytes());
            guest.write(format!(" number {number}\n").as_bytes());
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| talk(&mut anna, "Anna"));
        scope.spawn(|| talk(&mut berta, "Berta"));
        let mut next = [0, 0];
        for _ in 0..2 * LINES {
            let line = reader.next_line();
            let speaker = usize::from(line.starts_with("Berta"));
            let name = ["Anna", "Berta"][speaker];
            assert_eq!(line, format!("{name} says number {}", next[speaker]));
            next[speaker] += 1;
        }
    });
    drop((anna, berta, reader));
    fresh_guests_can_talk(&server);
    server.drain();
}

#[test]
fn in_a_chat_last_words_need_no_end_of_line() {
    let server = Server::start(&["--mode", "chat"]);
    let mut anna = Guest::join(&server, &mut []);
    let mut berta = Guest::join(&server, &mut [&mut anna]);
    berta.write(b"farewell");
    berta.end();
    client::expect_bytes(anna.stream(), b"farewell");
    expect_end(berta.stream());
    server.drain();
}

#[test]
fn in_a_chat_text_that_waits_for_many_is_stored_once() {
    let server = Server::start(&["--mode", "chat"]);
    let mut anna = Guest::join(&server, &mut []);
    let mut berta = Guest::join(&server, &mut [&mut anna]);
    let silent: Vec<_> = (0..60).map(|_| server.connect()).collect();
    let line = format!("{}\n", "x".repeat(64 * 1024 - 1));
    for _ in 0..320 {
        anna.write(line.as_bytes());
        assert_eq!(berta.next_line().len(), line.len() - 1);
    }
    // 20 MiB were said. The kernel holds some of it for each member that does not read; the server
    // stores the rest once, not sixty times.
    assert!(
        server.resident_kib() < 80 * 1024,
        "{} KiB",
        server.resident_kib()
    );
    drop((anna, berta, silent));
    server.drain();
}

#[test]
fn in_a_chat_a_member_that_reads_nothing_is_closed_and_the_others_continue() {
    let server_args = [
        "--mode",
        "chat",
        "--out-soft",
        "16KiB",
        "--out-hard",
        "256KiB",
    ];
    let mut server = Server::start(&server_args);
    let mut anna = Guest::join(&server, &mut []);
    let mut berta = Guest::join(&server, &mut [&mut anna]);
    let mut sleeper = Guest::join(&server, &mut [&mut anna, &mut berta]);
    let line = format!("{}\n", "x".repeat(32 * 1024 - 1));
    // The kernel takes some megabytes for the sleeper before its output waits in the server.
    let rounds = (1..).take_while(|round| {
        anna.write(line.as_bytes());
        assert_eq!(berta.next_line().len(), line.len() - 1, "round {round}");
        !server.stderr.has_come("--out-hard")
    });
    let rounds = rounds.take(4096).count();
    assert!(
        rounds < 4096,
        "128 MiB wait for a member that reads nothing"
    );
    let received = client::read_until_closed(sleeper.stream().get_ref());
    assert!(received < (rounds + 1) * line.len());
    drop((anna, berta));
    fresh_guests_can_talk(&server);
    server.drain();
}

#[test]
fn in_a_chat_guests_on_different_threads_can_talk() {
    let args = ["--mode", "chat", "--threads", "2", "--log-level", "debug"];
    let mut server = Server::start(&args);
    let mut speaker = Guest::join(&server, &mut []);
    let mut threads = HashSet::from([thread_of(&server.stderr.wait_for("connected"))]);
    let mut others = Vec::new();
    while threads.len() < 2 || others.len() < 8 {
        assert!(
            others.len() < 200,
            "the kernel spreads connections over threads"
        );
        let mut present: Vec<&mut Guest> = others.iter_mut().collect();
        present.insert(0, &mut speaker);
        let guest = Guest::join(&server, &mut present);
        others.push(guest);
        threads.insert(thread_of(&server.stderr.wait_for("connected")));
    }
    speaker.write(b"is this line received?\n");
    for other in &mut others {
        assert_eq!(other.next_line(), "is this line received?");
    }
    drop((speaker, others));
    server.drain();
}

/// The name of the thread that logged a line: the third word, where there is more than one thread.
fn thread_of(line: &str) -> String {
    line.split_whitespace().nth(2).expect("a thread").to_owned()
}

#[test]
fn in_a_chat_a_line_of_a_megabyte_arrives_whole() {
    let server = Server::start(&["--mode", "chat"]);
    let mut anna = Guest::join(&server, &mut []);
    let mut berta = Guest::join(&server, &mut [&mut anna]);
    let line = "y".repeat(1 << 20);
    thread::scope(|scope| {
        scope.spawn(|| anna.write(format!("{line}\n").as_bytes()));
        let mut received = String::new();
        berta.stream().read_line(&mut received).unwrap();
        assert_eq!(received.len(), line.len() + 1);
    });
    server.drain();
}

#[test]
fn in_a_chat_control_characters_reach_no_terminal() {
    let said: [(&[u8], &str); 4] = [
        (
            b"\x1b]52;c;aGk=\x07 \x1b[2J\r\n",
            "\\u{1b}]52;c;aGk=\\u{7} \\u{1b}[2J\r",
        ),
        (
            b"\x9b2J \xc2\x9b2J \xff\xf4\n",
            "\\x9b2J \\u{9b}2J \\xff\\xf4",
        ),
        (b"hidden\rshown\x08\x7f\n", "hidden\\u{d}shown\\u{8}\\u{7f}"),
        ("grüße\t🎉 \u{202e}\n".as_bytes(), "grüße\t🎉 \\u{202e}"),
    ];
    let server = Server::start(&["--mode", "chat"]);
    let mut anna = Guest::join(&server, &mut []);
    let mut berta = Guest::join(&server, &mut [&mut anna]);
    for (line, received) in said {
        anna.write(line);
        assert_eq!(berta.next_line(), received);
    }
    // A sequence in two parts, and one without an end of line.
    let long = [&b"\x1b".repeat(5000)[..], b"\x1b[2J"].concat();
    anna.write(&long);
    anna.end();
    let mut received = vec![0; 5001 * "\\u{1b}".len() + "[2J".len()];
    berta.stream().read_exact(&mut received).unwrap();
    assert!(!received.contains(&0x1b) && received.ends_with(b"\\u{1b}[2J"));
    drop((anna, berta));
    server.drain();
}

#[test]
fn in_a_raw_chat_every_byte_arrives_as_it_is() {
    let server = Server::start(&["--mode", "chat", "--raw"]);
    let mut anna = Guest::join(&server, &mut []);
    let mut berta = Guest::join(&server, &mut [&mut anna]);
    let line: Vec<u8> = (0..=u8::MAX)
        .filter(|byte| *byte != b'\n')
        .chain(*b"\n")
        .collect();
    anna.write(&line);
    client::expect_bytes(berta.stream(), &line);
    drop((anna, berta));
    server.drain();
}

/// A client that sends and then half-closes, as `nc` does, still receives what was said before.
#[test]
fn in_a_chat_a_member_that_ends_receives_what_was_said_before() {
    let server = Server::start(&["--mode", "chat"]);
    let mut anna = Guest::join(&server, &mut []);
    let mut berta = Guest::join(&server, &mut [&mut anna]);
    let mut clara = Guest::join(&server, &mut [&mut anna, &mut berta]);
    let line = format!("{}\n", "z".repeat(64 * 1024 - 1));
    // More than the kernel takes, so that some waits in the server when Berta ends.
    for _ in 0..128 {
        anna.write(line.as_bytes());
        assert_eq!(clara.next_line().len(), line.len() - 1);
    }
    berta.write(b"farewell");
    let all = 128 * line.len();
    berta.end();
    let mut received = vec![0; all];
    berta.stream().read_exact(&mut received).unwrap();
    client::expect_bytes(anna.stream(), b"farewell");
    drop((anna, berta, clara));
    server.drain();
}
