//! The server's connections, for the inspector's page.

use crate::inspect::ask_clients;
use crate::reports::{ClientReport, Order};
use crate::serving_loop::ServingLoop;
use oneloop::inspector::{ConnectionAction, ConnectionInfo, ConnectionList, Connections};
use oneloop::sync::Distant;
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A name for a loop of the server, for the admin thread. Weak, as a loop must end without it.
type DistantLoop = Distant<Weak<ServingLoop>>;

/// The loops of the server, by their names.
pub(crate) type Serving = Arc<Mutex<Vec<(String, DistantLoop)>>>;

/// Asks each loop for its clients. No list of them is kept: see `inspect`.
pub(crate) struct ServerConnections {
    serving: Serving,
}

impl ServerConnections {
    pub(crate) fn new(serving: Serving) -> Self {
        ServerConnections { serving }
    }

    fn loops(&self) -> Vec<(String, DistantLoop)> {
        let serving = self.serving.lock().unwrap_or_else(PoisonError::into_inner);
        serving.clone()
    }
}

impl Connections for ServerConnections {
    fn list(&self, shown_max: usize) -> Pin<Box<dyn Future<Output = ConnectionList>>> {
        let loops = self.loops();
        Box::pin(async move {
            // All at once: a loop that is stuck holds up no other.
            let asked = loops
                .into_iter()
                .map(|(name, serving)| (name, ask(&serving, None)));
            let asked: Vec<_> = asked.collect();
            let (mut total, mut shown) = (0, Vec::new());
            for (name, answer) in asked {
                let clients = answer.await.unwrap_or_default();
                total += clients.len();
                shown.extend(clients.into_iter().map(|client| info_of(&name, client)));
            }
            // Those with output that waits, and then the busiest, are what an operator looks for.
            shown.sort_by_key(|one: &ConnectionInfo| {
                std::cmp::Reverse((one.is_paused, one.queued, one.received + one.sent))
            });
            shown.truncate(shown_max);
            ConnectionList { total, shown }
        })
    }

    fn act(&self, number: u64, action: ConnectionAction) {
        let order = match action {
            ConnectionAction::Pause => Order::Pause(number),
            ConnectionAction::Resume => Order::Resume(number),
            ConnectionAction::Close => Order::Close(number),
            _ => return,
        };
        for (_, serving) in self.loops() {
            let _ = serving.run(move |serving| {
                if let Some(serving) = serving.upgrade() {
                    let handle = serving.handle.clone();
                    handle.spawn_detached(async move {
                        ask_clients(&serving, Some(order)).await;
                    });
                }
            });
        }
    }
}

fn ask(
    serving: &Distant<Weak<ServingLoop>>,
    order: Option<Order>,
) -> impl Future<Output = Result<Vec<ClientReport>, oneloop::JoinError>> + use<> {
    serving.ask(move |serving: &Weak<ServingLoop>| {
        let serving: Option<Rc<ServingLoop>> = serving.upgrade();
        async move {
            match serving {
                Some(serving) => ask_clients(&serving, order).await.0,
                None => Vec::new(),
            }
        }
    })
}

fn info_of(name: &str, client: ClientReport) -> ConnectionInfo {
    ConnectionInfo {
        number: client.number,
        on_loop: name.to_owned(),
        peer: client.peer,
        age: Duration::from_millis(100) * client.age,
        received: client.traffic.moved.received,
        sent: client.traffic.moved.sent,
        queued: client.traffic.queued as u64,
        state: client.traffic.waits.to_owned(),
        is_paused: client.is_paused,
    }
}
