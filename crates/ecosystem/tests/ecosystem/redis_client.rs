//! The crate redis against a Redis server.

use crate::https_server::MADE;
use crate::servers::{Server, redis as server, redis_over_tls};
use oneloop::EventLoop;
use oneloop::aio::{TcpStream, UnixStream, block_on, local, spawn, timeout, try_join_all};
use oneloop::tls::{ClientOptions, Roots, TlsConnector};
use redis::aio::{MultiplexedConnection, PubSub};
use redis::{
    AsyncCommands, AsyncConnectionConfig, ConnectionInfo, IntoConnectionInfo, RedisResult, cmd,
    pipe,
};
use std::error::Error;
use std::time::Duration;

#[allow(dead_code)] // `main`
#[path = "../../examples/redis_client.rs"]
mod example;

impl Server {
    fn info(&self) -> ConnectionInfo {
        let url = format!("redis://127.0.0.1:{}", self.port);
        url.into_connection_info().unwrap()
    }

    /// A connection whose pushes are not read.
    async fn connection(&self) -> MultiplexedConnection {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        example::connect(&self.info(), stream).await.unwrap().0
    }
}

#[test]
fn ten_thousand_commands_side_by_side_get_their_own_answers() {
    let Some(server) = server() else { return };
    block_on(async {
        let path = server.dir.path().join("redis.sock");
        let local = UnixStream::connect(path).await.unwrap();
        let (local, _pushes) = example::connect(&server.info(), local).await.unwrap();
        for (name, connection) in [("tcp", server.connection().await), ("unix", local)] {
            let visits = example::visit(&connection, name, 10_000).await.unwrap();
            assert_eq!(visits, (1..=10_000).collect::<Vec<_>>());
            let written = (0..10_000).map(async |i: usize| {
                let mut connection = connection.clone();
                let key = format!("{name}:{}", i % 100);
                connection
                    .set::<_, _, ()>(&key, i.to_string().repeat(i % 50))
                    .await?;
                RedisResult::Ok(())
            });
            try_join_all(written).await.unwrap();
            let mut connection = connection;
            let last: String = connection.get(format!("{name}:49")).await.unwrap();
            assert_eq!(last, "9949".repeat(49));
        }
    });
}

#[test]
fn a_pipeline_is_answered_command_by_command_and_whole() {
    let Some(server) = server() else { return };
    block_on(async {
        let mut connection = server.connection().await;
        let mut numbers = pipe();
        for number in 0..5_000 {
            numbers.cmd("RPUSH").arg("numbers").arg(number).ignore();
        }
        let numbers = numbers.lrange("numbers", 0, -1).llen("numbers");
        let (list, length): (Vec<i64>, i64) = numbers.query_async(&mut connection).await.unwrap();
        assert_eq!(list, (0..5_000).collect::<Vec<_>>());
        assert_eq!(length, 5_000);
        // A pipeline with `atomic` is a transaction: none of it happens if a command is rejected.
        let rejected: RedisResult<()> = pipe()
            .atomic()
            .set("half", 1)
            .cmd("NONSENSE")
            .query_async(&mut connection)
            .await;
        assert!(rejected.unwrap_err().to_string().contains("NONSENSE"));
        assert!(!connection.exists::<_, bool>("half").await.unwrap());
    });
}

#[test]
fn messages_of_a_subscription_come_beside_the_answers_of_commands() {
    let Some(server) = server() else { return };
    block_on(async {
        let stream = example::open(&server.info()).await.unwrap();
        let (mut reader, pushes) = example::connect(&server.info(), stream).await.unwrap();
        reader.subscribe("numbers").await.unwrap();
        reader.psubscribe("other.*").await.unwrap();
        let mut writer = server.connection().await;
        let publishing = spawn(async move {
            for number in 0..1_000 {
                let receivers: i64 = writer.publish("numbers", number).await?;
                assert_eq!(receivers, 1);
            }
            writer.publish::<_, _, i64>("other.words", "end").await
        });
        for number in 0..1_000 {
            let message = example::next_message(&pushes).await.unwrap();
            assert_eq!(message.get_payload::<i64>().unwrap(), number);
            if number % 100 == 0 {
                let pong: String = cmd("PING").query_async(&mut reader).await.unwrap();
                assert_eq!(pong, "PONG");
            }
        }
        let message = example::next_message(&pushes).await.unwrap();
        assert_eq!(message.get_channel_name(), "other.words");
        publishing.await.unwrap().unwrap();
    });
}

#[test]
fn an_error_of_the_server_is_that_of_its_command_alone() {
    let Some(server) = server() else { return };
    block_on(async {
        let mut connection = server.connection().await;
        let () = connection.set("text", "tea").await.unwrap();
        let error = connection.incr::<_, _, i64>("text", 1).await.unwrap_err();
        assert!(error.to_string().contains("not an integer"), "{error}");
        let error = connection.llen::<_, i64>("text").await.unwrap_err();
        assert_eq!(error.code(), Some("WRONGTYPE"));
        let text: String = connection.get("text").await.unwrap();
        assert_eq!(text, "tea");
    });
}

#[test]
fn a_timeout_of_the_loop_ends_the_wait_for_a_command() {
    let Some(server) = server() else { return };
    block_on(async {
        let mut waits = server.connection().await;
        let popped = waits.blpop::<_, Option<(String, String)>>("jobs", 0.0);
        assert!(timeout(Duration::from_millis(10), popped).await.is_err());
        // The server still waits, and gives the next job to an answer that is dropped.
        let () = server
            .connection()
            .await
            .rpush("jobs", "a job")
            .await
            .unwrap();
        let pong: String = cmd("PING").query_async(&mut waits).await.unwrap();
        assert_eq!(pong, "PONG");
        assert_eq!(waits.llen::<_, i64>("jobs").await.unwrap(), 0);
    });
}

#[test]
fn a_connection_that_the_server_ends_fails_its_commands() {
    let Some(server) = server() else { return };
    block_on(async {
        let (mut connection, mut other) = (server.connection().await, server.connection().await);
        let id: i64 = cmd("CLIENT")
            .arg("ID")
            .query_async(&mut connection)
            .await
            .unwrap();
        let mut kill = cmd("CLIENT");
        let killed: i64 = kill
            .arg("KILL")
            .arg("ID")
            .arg(id)
            .query_async(&mut other)
            .await
            .unwrap();
        assert_eq!(killed, 1);
        let error = connection
            .get::<_, Option<String>>("tea")
            .await
            .unwrap_err();
        assert!(error.is_connection_dropped(), "{error}");
    });
}

#[test]
fn the_drop_of_the_last_clone_ends_its_connection_and_the_loop() {
    let Some(server) = server() else { return };
    let mut event_loop = EventLoop::new().unwrap();
    let info = server.info();
    let used = event_loop.handle().spawn(async move {
        let stream = example::open(&info).await?;
        let (mut connection, pushes) = example::connect(&info, stream).await?;
        let clone = connection.clone();
        let () = connection.set("teapot", "full").await?;
        drop((connection, clone));
        assert!(pushes.receive().await.is_none(), "its task has ended");
        Ok::<_, Box<dyn Error>>(())
    });
    event_loop.run().unwrap(); // returns once nothing is left
    assert!(used.is_finished());
    event_loop.block_on(used).unwrap().unwrap();
}

#[test]
fn what_needs_tokios_context_panics_with_the_name_of_enter() {
    let Some(server) = server() else { return };
    block_on(async {
        let info = server.info();
        let (first, second) = (example::open(&info).await, example::open(&info).await);
        let (first, second) = (local(first.unwrap()), local(second.unwrap()));
        let settings = info.redis_settings().clone();
        // It spawns a task.
        let subscribes = spawn(async move { PubSub::new(&settings, first).await.is_ok() });
        let settings = info.redis_settings().clone();
        // Its timeout for an answer is on by default.
        let asks = spawn(async move {
            let config = AsyncConnectionConfig::default();
            let connected = MultiplexedConnection::new_with_config(&settings, second, config);
            let (mut connection, driver) = connected.await?;
            spawn(driver);
            connection.exists::<_, bool>("tea").await
        });
        for error in [subscribes.await.unwrap_err(), asks.await.unwrap_err()] {
            let message = error.panic_message().unwrap();
            assert!(message.contains("oneloop_tokio::enter"), "{message}");
        }
    });
}

#[test]
fn the_example_runs() {
    let Some(server) = server() else { return };
    block_on(example::show(&server.info())).unwrap();
}

#[test]
fn commands_and_pushes_go_over_tls() {
    let Some(server) = redis_over_tls() else {
        return;
    };
    block_on(async {
        let roots = Roots::from_pem(&MADE.0).unwrap();
        let connector = TlsConnector::new(roots, ClientOptions::default()).unwrap();
        let open = async || {
            let stream = TcpStream::connect(("127.0.0.1", server.port))
                .await
                .unwrap();
            connector.connect("localhost", stream).await.unwrap()
        };
        let (mut reader, pushes) = example::connect(&server.info(), open().await)
            .await
            .unwrap();
        reader.subscribe("news").await.unwrap();
        let (mut writer, _pushes) = example::connect(&server.info(), open().await)
            .await
            .unwrap();
        let visits = example::visit(&writer, "tls", 1_000).await.unwrap();
        assert_eq!(visits, (1..=1_000).collect::<Vec<_>>());
        let large = "x".repeat(1 << 20);
        let _: i64 = writer.publish("news", &large).await.unwrap();
        let message = example::next_message(&pushes).await.unwrap();
        assert!(message.get_payload::<String>().unwrap() == large);
    });
}
