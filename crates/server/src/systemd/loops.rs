//! What each loop answers: that it turns, and on which sockets it listens.

use super::all_loops::Named;
use crate::serving_loop::ServingLoop;
use oneloop::core::Direction;
use oneloop::net::Listener;
use std::io;
use std::rc::{Rc, Weak};

/// A listener of a loop, and the name under which a successor gets its socket.
pub(crate) type ListenerName = (String, Weak<Listener>);

/// Starts the tasks that answer for this loop, which has that number.
pub(crate) fn answer(serving: &Rc<ServingLoop>, number: usize, listeners: Vec<ListenerName>) {
    let all = &serving.server.all_loops;
    let mut turns = all.turns.join(number);
    serving.spawn_endless(async move {
        loop {
            turns.asked().await;
            turns.answer(());
        }
    });
    let mut sockets = all.sockets.join(number);
    serving.spawn_endless(async move {
        loop {
            sockets.asked().await;
            sockets.answer(duplicate(&listeners));
        }
    });
}

/// Duplicates the sockets of this loop.
fn duplicate(listeners: &[ListenerName]) -> io::Result<Vec<Named>> {
    let live = listeners.iter();
    let live = live.filter_map(|(name, listener)| Some((name, listener.upgrade()?)));
    live.map(|(name, listener)| {
        // A process that was to take over may have been woken for a connection in this one's place,
        // and has failed since then.
        listener.source().assume_ready(Direction::Read);
        listener.source().wake_waiting();
        Ok((name.clone(), listener.try_clone_fd()?))
    })
    .collect()
}
