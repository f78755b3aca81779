//! No connection is lost between the accept and the loop that serves it. Both loops of these tests
//! run on the thread of the test, so the test decides which of them runs when.

use crate::harness::{accept_now, connect_unix, members, pair, raise_fds, unix_name};
use oneloop::cluster::Cluster;
use std::io::Read;
use std::net::TcpStream;
use std::time::Duration;

#[test]
fn a_loop_with_more_than_is_fair_hands_connections_to_the_other() {
    let [(mut first, one), (mut second, two)] = pair();
    let name = unix_name("fair");
    let (here, there) = (one.listen(&name).unwrap(), two.listen(&name).unwrap());
    let clients = connect_unix(&name, 20);
    let (kept, _) = accept_now(&mut first, &here);
    let counted = one.cluster().connections();
    assert_eq!(counted, [kept.len(), 20 - kept.len()], "on their way, too");
    assert!(kept.len() <= 11, "{counted:?}");
    let (handed, _) = accept_now(&mut second, &there);
    assert_eq!(handed.len(), 20 - kept.len());
    drop((kept, handed));
    assert_eq!(one.cluster().connections(), [0, 0]);
    for mut client in clients {
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
    }
}

#[test]
fn of_a_burst_that_one_loop_accepts_each_of_8_loops_has_what_is_fair() {
    let name = unix_name("burst");
    let mut members = members(&Cluster::new(8));
    let listen = |(_, member): &(_, oneloop::cluster::Member)| member.listen(&name).unwrap();
    let listeners: Vec<_> = members.iter().map(listen).collect();
    let _clients = connect_unix(&name, 64);
    let (first, member) = &mut members[0];
    let (kept, _) = accept_now(first, &listeners[0]);
    let counted = member.cluster().connections();
    assert_eq!((kept.len(), counted.iter().sum()), (counted[0], 64));
    assert!(
        counted.iter().all(|count| (7..=9).contains(count)),
        "{counted:?}"
    );
}

#[test]
fn a_loop_whose_mailbox_is_full_gets_no_more() {
    if !raise_fds(2048) {
        println!("skipped: the limit of open files is too low");
        return;
    }
    let [(mut first, one), (mut second, two)] = pair();
    let name = unix_name("full");
    let (here, there) = (one.listen(&name).unwrap(), two.listen(&name).unwrap());
    let _clients = connect_unix(&name, 400);
    let (kept, _) = accept_now(&mut first, &here);
    assert_eq!(kept.len(), 400 - 128, "the mailbox has room for 128");
    let (handed, _) = accept_now(&mut second, &there);
    assert_eq!(handed.len(), 128);
    assert_eq!(one.cluster().connections(), [272, 128]);
}

#[test]
fn a_loop_that_does_not_listen_gets_nothing() {
    let [(mut first, one), (_second, two)] = pair();
    let name = unix_name("alone");
    let here = one.listen(&name).unwrap();
    let _clients = connect_unix(&name, 20);
    let (kept, _) = accept_now(&mut first, &here);
    assert_eq!((kept.len(), two.connections()), (20, 0));
}

#[test]
fn a_loop_that_has_just_ended_gets_nothing_and_returns_what_was_on_its_way() {
    let [(mut first, one), (second, two)] = pair();
    let name = unix_name("ended");
    let (here, there) = (one.listen(&name).unwrap(), two.listen(&name).unwrap());
    let _clients = connect_unix(&name, 20);
    let (mut kept, _) = accept_now(&mut first, &here);
    assert!(two.connections() >= 9);
    // As when its loop panics: the listener is dropped with its task.
    second.handle().spawn(async move {
        let _there = there;
        std::future::pending::<()>().await
    });
    drop(second);
    let (returned, _) = accept_now(&mut first, &here);
    kept.extend(returned);
    let _more = connect_unix(&name, 20);
    kept.extend(accept_now(&mut first, &here).0);
    assert_eq!(one.cluster().connections(), [40, 0]);
    assert_eq!(kept.len(), 40);
}

#[test]
fn the_backlog_of_a_loop_that_ends_moves_to_another_loop() {
    let [(mut first, one), (second, two)] = pair();
    let (here, there) = (one.listen("127.0.0.1:0"), two.listen("127.0.0.1:0"));
    let (here, there) = (here.unwrap(), there.unwrap());
    let addr = here.local_addr().inet().unwrap();
    // The kernel puts about half of them into each backlog.
    let connect = |_| TcpStream::connect(addr).unwrap();
    let clients: Vec<_> = (0..40).map(connect).collect();
    drop((there, two, second));
    let (kept, _) = accept_now(&mut first, &here);
    assert_eq!(kept.len(), 40);
    // The socket lives on with the loop that took it, and so does what the kernel sends there.
    let more: Vec<_> = (0..40).map(connect).collect();
    let (kept_later, _) = accept_now(&mut first, &here);
    assert_eq!(kept_later.len(), 40);
    drop((clients, more));
}

#[test]
fn a_stop_accepts_the_backlog_and_what_is_on_its_way() {
    let [(mut first, one), (mut second, two)] = pair();
    let name = unix_name("stop");
    let (here, there) = (one.listen(&name).unwrap(), two.listen(&name).unwrap());
    let _on_their_way = connect_unix(&name, 20);
    let (kept, _) = accept_now(&mut first, &here);
    let _in_the_backlog = connect_unix(&name, 20);
    one.stop(Duration::from_secs(60));
    let loops = [(&mut first, &one, &here), (&mut second, &two, &there)];
    let [(last, over), (handed, over_there)] = loops.map(|(event_loop, member, listener)| {
        member.run(event_loop, member.shutdown().requested()); // is notified while it runs
        accept_now(event_loop, listener)
    });
    assert!(over && over_there);
    assert_eq!(kept.len() + last.len() + handed.len(), 40);
}

#[test]
fn a_loop_that_stops_later_keeps_what_it_accepts_for_one_that_has_stopped() {
    let [(mut first, one), (mut second, two)] = pair();
    let name = unix_name("later");
    let (here, there) = (one.listen(&name).unwrap(), two.listen(&name).unwrap());
    there.close();
    let (nothing, is_over) = accept_now(&mut second, &there);
    assert!(nothing.is_empty() && is_over);
    let _clients = connect_unix(&name, 20);
    let (kept, _) = accept_now(&mut first, &here);
    assert_eq!((kept.len(), two.connections()), (20, 0));
}
