//! `/metrics`, `/healthz` and `/readyz`.

use crate::access_log;
use crate::admin::family::Format;
use crate::admin::health::{self, Health};
use crate::admin::metrics::{self, ProcessSnapshot, ServiceSnapshot, Snapshot};
use crate::admin::os;
use crate::admin::probe::Probes;
use crate::logging;
use crate::server::{Lifecycle, Server};
use oneloop::inspector::{Answer, Asked, Inspector, StatusCode};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How long a loop may take to answer. Less than the second for which Kubernetes' probes wait, and
/// far more than a loop that turns ever takes.
const PATIENCE: Duration = Duration::from_millis(500);

/// Adds the routes. The server comes a moment after them.
pub(crate) fn add(
    inspector: &mut Inspector,
    server: &Arc<OnceLock<Arc<Server>>>,
    probes: &Arc<Probes>,
) {
    let (on, ask) = (Arc::clone(server), Arc::clone(probes));
    inspector.add_route("/metrics", move |asked| {
        let probes = Arc::clone(&ask);
        with(&on, |server| async move {
            metrics(&asked, &server, &probes).await
        })
    });
    let (on, ask) = (Arc::clone(server), Arc::clone(probes));
    inspector.add_route("/healthz", move |_| {
        let probes = Arc::clone(&ask);
        with(&on, |_| async move {
            answer(health::liveness(&probes.ask(PATIENCE).await))
        })
    });
    let on = Arc::clone(server);
    inspector.add_route("/readyz", move |_| {
        with(&on, |server| async move { answer(readiness(&server)) })
    });
}

/// Answers once there is a server.
fn with<F: Future<Output = Answer> + 'static>(
    server: &OnceLock<Arc<Server>>,
    answer_with: impl FnOnce(Arc<Server>) -> F,
) -> Pin<Box<dyn Future<Output = Answer>>> {
    match server.get() {
        Some(server) => Box::pin(answer_with(Arc::clone(server))),
        None => Box::pin(async { answer(Health::Bad("starting".to_owned())) }),
    }
}

fn answer(health: Health) -> Answer {
    match health {
        Health::Good(said) => Answer::text(said + "\n"),
        Health::Bad(said) => Answer::text(said + "\n").with_status(StatusCode::SERVICE_UNAVAILABLE),
    }
}

fn readiness(server: &Server) -> Health {
    let services = server.services.iter();
    let listeners = services.map(|service| service.tally.listeners());
    health::readiness(server.has_reached(Lifecycle::Draining), listeners.sum())
}

async fn metrics(asked: &Asked, server: &Server, probes: &Probes) -> Answer {
    let format = Format::accepted(asked.header("accept"));
    let mut families = metrics::families(&snapshot(server, probes).await);
    families.extend(os::families());
    Answer::of(format.content_type(), format.text_of(families))
}

async fn snapshot(server: &Server, probes: &Probes) -> Snapshot {
    let loops = probes.ask(PATIENCE).await;
    let services = server.services.iter().map(|service| ServiceSnapshot {
        name: service.label(),
        mode: service.mode.to_string(),
        style: service.style.to_string(),
        counters: service.tally.loops(),
        accept_errors: service.tally.accept_errors(),
        listeners: service.tally.listeners(),
    });
    Snapshot {
        services: services.collect(),
        loops,
        process: ProcessSnapshot {
            connections_max: server.connections_max(),
            queued: server.budget.bytes(),
            queued_max: server.budget.bytes_max(),
            is_draining: server.has_reached(Lifecycle::Draining),
            refused: server
                .refusals
                .by_reason()
                .map(|(reason, count)| (reason.name(), count))
                .collect(),
            shed: server.count_shed(0),
            lost_lines: vec![
                ("access", access_log::lost_lines()),
                ("server", logging::lost_lines()),
            ],
        },
    }
}
