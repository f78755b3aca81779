//! async-nats, which has nothing but tokio, around the loop: messages, a request with its answer, and
//! a task of the loop that receives.
//!
//! `cargo run -p oneloop-tokio --example nats_client nats://localhost:4222`

use async_nats::{Client, Message, Subscriber};
use bytes::Bytes;
use futures_core::Stream;
use oneloop::aio::spawn;
use std::env;
use std::error::Error;
use std::future::poll_fn;
use std::pin::Pin;

/// `Send`, so that tasks of tokio may call these functions as well.
type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Result<()> {
    let url = env::args().nth(1);
    let url = url.unwrap_or("nats://localhost:4222".to_owned());
    // Tasks of the loop and those of async-nats share this thread.
    oneloop_tokio::block_on(async move { show(&url).await })
}

/// Shows what a client does.
pub(crate) async fn show(url: &str) -> Result<()> {
    let client = async_nats::connect(url).await?;
    let numbers = client.subscribe("example.numbers").await?;
    let receiving = spawn(sum(numbers, 1_000));
    publish(&client, "example.numbers", 1_000).await?;
    let sum = receiving.await.map_err(|error| error.to_string())??;
    println!("the sum of all numbers is {sum}");

    let questions = client.subscribe("example.shout").await?;
    spawn(answer(client.clone(), questions));
    client.flush().await?;
    let answer = client.request("example.shout", "tea".into()).await?;
    println!("{}", String::from_utf8_lossy(&answer.payload));
    Ok(())
}

/// Publishes numbers from 1 on.
pub(crate) async fn publish(client: &Client, subject: &'static str, count: u64) -> Result<()> {
    for number in 1..=count {
        let bytes = Bytes::from(number.to_string());
        client.publish(subject, bytes).await?;
    }
    client.flush().await?;
    Ok(())
}

/// Adds the numbers that arrive.
pub(crate) async fn sum(mut numbers: Subscriber, count: u64) -> Result<u64> {
    let mut sum = 0;
    for _ in 0..count {
        let message = next(&mut numbers)
            .await
            .ok_or("the subscription has ended")?;
        sum += str::from_utf8(&message.payload)?.parse::<u64>()?;
    }
    Ok(sum)
}

/// Answers each request with its text in capital letters.
async fn answer(client: Client, mut questions: Subscriber) {
    while let Some(question) = next(&mut questions).await {
        let text = String::from_utf8_lossy(&question.payload).to_uppercase();
        if let Some(reply) = question.reply
            && client.publish(reply, text.into()).await.is_err()
        {
            return; // the connection has ended
        }
    }
}

/// The next message of a subscription, which is a `Stream`.
async fn next(messages: &mut Subscriber) -> Option<Message> {
    poll_fn(|cx| Pin::new(&mut *messages).poll_next(cx)).await
}
