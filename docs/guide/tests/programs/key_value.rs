//! The key-value store: what its clients see, and how it stops.

use crate::harness::{Client, Running, both};

fn ask(client: &mut Client, request: &str) -> String {
    client.send(&format!("{request}\n"));
    client.receive()
}

#[test]
fn both_stores_answer_the_same_and_stop_gracefully() {
    for mut command in both("key_value") {
        let mut program = Running::start({
            command.arg("127.0.0.1:0");
            command
        });
        let address = program.printed("listening on ");
        let [mut ada, mut bob] = [(); 2].map(|()| Client::connect(&address));

        assert_eq!(ask(&mut ada, "GET tea"), "NONE");
        assert_eq!(ask(&mut ada, "SET tea green"), "OK");
        assert_eq!(ask(&mut bob, "GET tea"), "VALUE green");
        assert_eq!(ask(&mut bob, "DEL tea\r"), "OK");
        assert_eq!(ask(&mut bob, "DEL tea"), "NONE");
        assert_eq!(ask(&mut ada, "SET tea black 0"), "OK");
        assert_eq!(ask(&mut ada, "GET tea"), "NONE");
        assert_eq!(ask(&mut ada, "SET tea white 1"), "OK");
        while ask(&mut bob, "GET tea") == "VALUE white" {}
        let error = "ERROR soon is not a number of seconds";
        assert_eq!(ask(&mut ada, "SET tea white soon"), error);
        let error = "ERROR send GET key, SET key value [seconds] or DEL key";
        assert_eq!(ask(&mut ada, "PUT tea"), error);

        // Requests that arrive together, and in parts.
        ada.send("SET tea oolong\nGET tea\nGE");
        ada.send("T tea\n");
        ada.expect("OK");
        ada.expect("VALUE oolong");
        ada.expect("VALUE oolong");

        // A new client, because the line has to fit into the rest of the peer's buffer: a server
        // that closes before it has read all bytes resets the connection.
        let mut eve = Client::connect(&address);
        assert_eq!(
            ask(&mut eve, &"a".repeat(2000)),
            "ERROR the line is too long"
        );
        eve.expect_end();
        let longest = "a".repeat(1000 - "SET tea ".len());
        assert_eq!(ask(&mut ada, &format!("SET tea {longest}")), "OK");

        program.terminate();
        ada.expect_end();
        assert_eq!(program.printed("stopped"), "");
        assert!(program.child.wait().unwrap().success());
    }
}
