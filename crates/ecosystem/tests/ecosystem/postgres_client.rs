//! tokio-postgres against a PostgreSQL server.

use crate::https_server::MADE;
use crate::servers::{Server, postgres};
use oneloop::EventLoop;
use oneloop::aio::{UnixStream, block_on, join_all};
use oneloop::tls::Roots;
use std::error::Error;
use std::time::Duration;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls};

#[allow(dead_code)] // `main`
#[path = "../../examples/postgres_client.rs"]
mod example;

impl Server {
    fn config(&self) -> Config {
        let mut config = Config::new();
        config.host("127.0.0.1").port(self.port).user("postgres");
        config
    }

    /// A client whose notifications are not read.
    async fn client(&self) -> Client {
        let config = self.config();
        let stream = example::open(&config).await.unwrap();
        example::connect(&config, stream, NoTls).await.unwrap().0
    }
}

/// A table of teas that other sessions see. Each test has one of its own.
async fn create_teas(client: &Client, schema: &str) {
    let statements = format!(
        "CREATE SCHEMA {schema}; SET search_path TO {schema};
        CREATE TABLE teas (name TEXT PRIMARY KEY, minutes INT NOT NULL)"
    );
    client.batch_execute(&statements).await.unwrap();
}

fn code(error: &tokio_postgres::Error) -> &SqlState {
    error.code().unwrap_or_else(|| panic!("{error:?}"))
}

#[test]
fn ten_thousand_rows_come_over_tcp_and_over_a_unix_socket() {
    let Some(server) = postgres() else { return };
    block_on(async {
        let config = server.config();
        let socket = server.dir.path().join(format!(".s.PGSQL.{}", server.port));
        let stream = UnixStream::connect(socket).await.unwrap();
        let (local, _notifications) = example::connect(&config, stream, NoTls).await.unwrap();
        for client in [server.client().await, local] {
            let select = "SELECT i, repeat('x', i % 100) FROM generate_series(1, $1) AS i";
            let select = client.prepare(select).await.unwrap();
            // A statement that is prepared once serves any number of queries.
            for count in [10_000, 0, 1] {
                let rows = client.query(&select, &[&count]).await.unwrap();
                assert_eq!(rows.len() as i32, count);
                for (row, number) in rows.iter().zip(1..) {
                    assert_eq!(row.get::<_, i32>(0), number);
                    assert_eq!(row.get::<_, &str>(1), "x".repeat(number as usize % 100));
                }
            }
        }
    });
}

#[test]
fn a_thousand_queries_on_one_connection_get_their_own_answers() {
    let Some(server) = postgres() else { return };
    block_on(async {
        let client = server.client().await;
        create_teas(&client, "pipelined").await;
        let insert = "INSERT INTO teas SELECT 'tea ' || i, i FROM generate_series(0, 999) AS i";
        assert_eq!(client.execute(insert, &[]).await.unwrap(), 1_000);
        let names: Vec<_> = (0..1_000).rev().map(|i| format!("tea {i}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let minutes = example::minutes(&client, &names).await.unwrap();
        assert_eq!(minutes, (0..1_000).rev().collect::<Vec<_>>());
    });
}

#[test]
fn others_see_a_transaction_once_it_commits_and_are_notified() {
    let Some(server) = postgres() else { return };
    block_on(async {
        let (mut writer, config) = (server.client().await, server.config());
        create_teas(&writer, "transactions").await;
        let stream = example::open(&config).await.unwrap();
        let (reader, notifications) = example::connect(&config, stream, NoTls).await.unwrap();
        let listen = "SET search_path TO transactions; LISTEN teas";
        reader.batch_execute(listen).await.unwrap();

        let transaction = writer.transaction().await.unwrap();
        let insert = "INSERT INTO teas VALUES ('white', 5)";
        assert_eq!(transaction.execute(insert, &[]).await.unwrap(), 1);
        drop(transaction); // which rolls it back
        let twice = example::add(&mut writer, &[("black", 4), ("black", 3)]).await;
        assert_eq!(code(&twice.unwrap_err()), &SqlState::UNIQUE_VIOLATION);
        example::add(&mut writer, &[("black", 4), ("green", 2)])
            .await
            .unwrap();

        // No query asks for these.
        for expected in ["black", "green"] {
            let notification = notifications.receive().await.unwrap();
            let said = (notification.channel(), notification.payload());
            assert_eq!(said, ("teas", expected));
        }
        let rows = reader.query("SELECT name FROM teas ORDER BY name", &[]);
        let rows = rows.await.unwrap();
        let names: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!(names, ["black", "green"]);
    });
}

#[test]
fn a_statement_that_takes_too_long_is_canceled_at_the_server() {
    let Some(server) = postgres() else { return };
    block_on(async {
        let (client, config) = (server.client().await, server.config());
        let (limit, sleep) = (Duration::from_millis(10), "SELECT pg_sleep(3600)");
        let slept = example::execute_within(limit, &client, (&config, &NoTls), sleep).await;
        let error = slept.unwrap_err();
        assert_eq!(
            code(error.downcast_ref().unwrap()),
            &SqlState::QUERY_CANCELED
        );
        let hour = Duration::from_secs(3600);
        let quick = example::execute_within(hour, &client, (&config, &NoTls), "SELECT 1");
        quick.await.unwrap();
    });
}

#[test]
fn an_error_has_its_sqlstate_and_the_connection_serves_on() {
    let Some(server) = postgres() else { return };
    block_on(async {
        let client = server.client().await;
        create_teas(&client, "errors").await;
        for (statement, expected, words) in [
            ("SELEC 1", SqlState::SYNTAX_ERROR, "SELEC"),
            (
                "SELECT 1 / 0",
                SqlState::DIVISION_BY_ZERO,
                "division by zero",
            ),
            (
                "SELECT * FROM coffees",
                SqlState::UNDEFINED_TABLE,
                "coffees",
            ),
            (
                "INSERT INTO teas VALUES ('x')",
                SqlState::NOT_NULL_VIOLATION,
                "minutes",
            ),
        ] {
            let error = client.query(statement, &[]).await.unwrap_err();
            assert_eq!(code(&error), &expected);
            let message = error.as_db_error().unwrap().message();
            assert!(message.contains(words), "{message}");
        }
        // An error does not end the queries beside it.
        let queries =
            ["SELECT 1", "SELECT 1 / 0", "SELECT 3"].map(|query| client.query(query, &[]));
        let results = join_all(queries).await;
        let succeeded = results.iter().map(Result::is_ok);
        assert!(succeeded.eq([true, false, true]));
    });
}

#[test]
fn a_connection_that_the_server_ends_fails_its_queries() {
    let Some(server) = postgres() else { return };
    block_on(async {
        let (config, other) = (server.config(), server.client().await);
        let stream = example::open(&config).await.unwrap();
        let (client, notifications) = example::connect(&config, stream, NoTls).await.unwrap();
        let row = client.query_one("SELECT pg_backend_pid()", &[]).await;
        let process: i32 = row.unwrap().get(0);
        let end = format!("SELECT pg_terminate_backend({process})");
        other.batch_execute(&end).await.unwrap();
        let failed = client.batch_execute("SELECT pg_sleep(3600)").await;
        assert!(failed.is_err());
        assert!(
            notifications.receive().await.is_none(),
            "its task has ended"
        );
        assert!(client.is_closed());
    });
}

#[test]
fn the_drop_of_the_client_ends_its_connection_and_the_loop() {
    let Some(server) = postgres() else { return };
    let mut event_loop = EventLoop::new().unwrap();
    let config = server.config();
    let used = event_loop.handle().spawn(async move {
        let stream = example::open(&config).await?;
        let (client, notifications) = example::connect(&config, stream, NoTls).await?;
        client.batch_execute("SELECT 1").await?;
        drop(client);
        assert!(
            notifications.receive().await.is_none(),
            "its task has ended"
        );
        Ok::<_, Box<dyn Error>>(())
    });
    event_loop.run().unwrap(); // returns once nothing is left
    assert!(used.is_finished());
    event_loop.block_on(used).unwrap().unwrap();
}

#[test]
fn the_example_runs() {
    let Some(server) = postgres() else { return };
    block_on(example::show(&server.config(), &NoTls)).unwrap();
}

#[test]
fn everything_runs_over_tls() {
    let Some(server) = postgres() else { return };
    let mut config = Config::new();
    config.host("localhost").port(server.port).user("postgres");
    config.ssl_mode(SslMode::Require);
    block_on(async {
        let roots = Roots::from_pem(&MADE.0).unwrap();
        let tls = example::Tls::new(&config, roots).unwrap();
        let stream = example::open(&config).await.unwrap();
        let connected = example::connect(&config, stream, tls.clone()).await;
        let (client, _notifications) = connected.unwrap();
        let own = "SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        let row = client.query_one(own, &[]).await.unwrap();
        assert_eq!((row.get(0), row.get(1)), (true, "TLSv1.3"));
        let select = "SELECT repeat('x', i) FROM generate_series(1, 3000) AS i";
        for (row, length) in client.query(select, &[]).await.unwrap().iter().zip(1..) {
            assert_eq!(row.get::<_, &str>(0).len(), length);
        }
        example::show(&config, &tls).await.unwrap(); // it cancels over TLS, too

        let stream = example::open(&config).await.unwrap();
        let untrusted = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let roots = Roots::from_pem(untrusted.cert.pem()).unwrap();
        let tls = example::Tls::new(&config, roots).unwrap();
        let error = example::connect(&config, stream, tls).await.unwrap_err();
        let cause = error.source().unwrap().to_string();
        assert!(cause.contains("certificate"), "{cause}");
    });
}
