//! What tokio-console receives about the tasks of a loop, by its own protocol.

use console_api::instrument::InstrumentRequest;
use console_api::instrument::instrument_client::InstrumentClient;
use oneloop::EventLoop;
use oneloop::aio::{sleep, spawn, yield_now};
use oneloop::sync::OneShot;
use std::net::TcpListener;
use std::time::Duration;

/// What a row of tokio-console says.
#[derive(Clone, Debug, Default)]
struct Row {
    file: String,
    polls: u64,
    wakes: u64,
    self_wakes: u64,
    wakers: u64,
}

/// Reads updates until a task of this name has been polled often enough.
async fn row_of(address: String, name: &str) -> Row {
    let mut client = loop {
        if let Ok(client) = InstrumentClient::connect(address.clone()).await {
            break client;
        }
        std::thread::sleep(Duration::from_millis(20)); // the server's thread starts
    };
    let updates = client.watch_updates(InstrumentRequest {}).await.unwrap();
    let (mut updates, mut row, mut id) = (updates.into_inner(), Row::default(), None);
    while let Some(update) = updates.message().await.unwrap() {
        let Some(tasks) = update.task_update else {
            continue;
        };
        for task in tasks.new_tasks {
            if task.fields.iter().any(|field| field.to_string().contains(name)) {
                row.file = task.location.unwrap().file.unwrap_or_default();
                id = task.id.map(|id| id.id);
            }
        }
        let Some(stats) = id.and_then(|id| tasks.stats_update.get(&id)) else {
            continue;
        };
        row.polls = stats.poll_stats.as_ref().map_or(0, |stats| stats.polls);
        (row.wakes, row.self_wakes) = (stats.wakes, stats.self_wakes);
        row.wakers = stats.waker_clones - stats.waker_drops;
        if row.polls >= 20 {
            return row;
        }
    }
    panic!("the console ended");
}

async fn watched_task() {
    loop {
        yield_now().await;
        sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn tokio_console_sees_a_task_with_its_place_polls_wakes_and_wakers() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    console_subscriber::ConsoleLayer::builder()
        .server_addr(([127, 0, 0, 1], port))
        .publish_interval(Duration::from_millis(50))
        .init();
    let mut event_loop = EventLoop::new().unwrap();
    oneloop::tracing::trace_tasks(&event_loop.handle());
    let row = event_loop.block_on(async {
        spawn(watched_task());
        let answer = OneShot::new();
        let distant = answer.remote();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let address = format!("http://127.0.0.1:{port}");
            let row = runtime.unwrap().block_on(row_of(address, "watched_task"));
            distant.run(|answer| answer.send(row).unwrap()).unwrap();
        });
        answer.get().await
    });
    println!("{row:?}");
    assert!(row.file.ends_with("wire.rs"));
    assert!(row.wakes >= 19 && row.self_wakes > 0 && row.self_wakes < row.wakes);
    assert!(row.wakers <= 1);
}
