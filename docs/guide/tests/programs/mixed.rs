//! The program in three styles: what it counts, and how it ends.

use crate::harness::{Client, Running, both};
use std::io::Write;
use std::net::TcpListener;
use std::thread;

/// Sends a text to the one that connects, in two parts. Returns the address.
fn text(parts: [&'static str; 2]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        for part in parts {
            stream.write_all(part.as_bytes()).unwrap();
        }
    });
    addr
}

#[test]
fn both_programs_count_all_orders_before_they_end() {
    for command in both("mixed") {
        let mut program = Running::start(command);
        let address = program.printed("listening on ");
        let [mut ada, mut bob] = [(); 2].map(|()| Client::connect(&address));

        let tea = text(["green\nwhite bla", "ck\n"]);
        ada.send(&format!("{tea}\n"));
        assert_eq!(program.printed(&tea), " has 3 words");

        let closed = TcpListener::bind("127.0.0.1:0").unwrap();
        let refused = closed.local_addr().unwrap().to_string();
        drop(closed);
        bob.send(&format!("{refused}\n"));
        assert_eq!(
            program.printed(&refused),
            ": Connection refused (os error 111)"
        );

        // The clients that are connected may still order something.
        ada.send("quit\n");
        drop(ada);
        let toast = text(["", "toast"]);
        bob.send(&format!("{toast}\n"));
        assert_eq!(program.printed(&toast), " has 1 words");
        drop(bob);
        assert_eq!(program.printed("4 words in all"), "");
        assert!(program.child.wait().unwrap().success());
    }
}

#[test]
fn a_signal_ends_both_programs() {
    for command in both("mixed") {
        let mut program = Running::start(command);
        program.printed("listening on ");
        program.terminate();
        assert_eq!(program.printed("0 words in all"), "");
        assert!(program.child.wait().unwrap().success());
    }
}
