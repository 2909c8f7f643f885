//! Vector, with the program behind it.

use std::{fs, path::Path};

use http::StatusCode;
use serde_json::{Value, json};
use tokio::time::{Duration, sleep, timeout};

use crate::{
    given,
    pipeline::{PATIENCE, Pipeline},
    support::Sender,
    updates::{ROUNDS, UPDATES, of_round, profile},
};

/// Customers in a request to Vector.
const BATCH: u64 = 1000;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn vector_loses_nothing_over_its_own_protocol_when_programs_are_killed() {
    survive("vector.yaml").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn vector_loses_nothing_over_http_when_programs_are_killed() {
    survive("vector-http.yaml").await;
}

/// Sends customers to the source of Vector's example, as often as it takes each time, while the
/// program or Vector itself is killed and started again.
async fn survive(example: &str) {
    let Some(vector) = given("VECTOR_BIN", "Vector") else { return };
    let mut pipeline = Pipeline::new(None).await;
    for port in [9000, 8080] {
        pipeline.listen_elsewhere(port);
    }
    let crm = pipeline.listen_elsewhere(8687);
    let mut process = pipeline.run(example);
    fs::create_dir(pipeline.path("vector-data")).unwrap();
    let config = pipeline.example(&format!("senders/{example}"));
    let run = || pipeline.run_other(&vector, [Path::new("-c"), &config]);
    let mut other = run();

    let sender = Sender::new(crm);
    for first in (0..UPDATES).step_by(usize::try_from(BATCH).unwrap()) {
        let customers: Vec<_> = (first..first + BATCH).map(customer).collect();
        let post = tokio::spawn(post(sender.clone(), Value::from(customers).to_string()));
        let round = first / (UPDATES / ROUNDS);
        if round < ROUNDS - 1 && first + BATCH == of_round(round).end {
            pipeline.sees_begin(round).await;
            if round.is_multiple_of(2) {
                let retries = || pipeline.log().matches("Retrying after error").count();
                let before = retries();
                process.kill();
                // Away for so long that the customers on their way depend on it.
                pipeline.wait_until("Vector has missed it", || retries() > before).await;
                process = pipeline.run(example);
            } else {
                other.kill();
                other = run();
            }
        }
        let acknowledged = timeout(PATIENCE, post).await.is_ok_and(|posted| posted.is_ok());
        assert!(acknowledged, "{}", pipeline.log());
    }
    pipeline.has_everything(UPDATES).await;
    assert!(other.runs());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn with_a_buffer_in_memory_vector_confirms_what_the_program_has_on_disk() {
    let Some(vector) = given("VECTOR_BIN", "Vector") else { return };
    let mut pipeline = Pipeline::new(None).await;
    pipeline.listen_elsewhere(9000);
    let crm = pipeline.listen_elsewhere(8687);
    let mut process = pipeline.run("vector.yaml");
    fs::create_dir(pipeline.path("vector-data")).unwrap();
    let in_memory = |text: String| text.replace("type: disk", "type: memory");
    let config = pipeline.changed("senders/vector.yaml", in_memory);
    let _other = pipeline.run_other(&vector, [Path::new("-c"), &config]);

    let sender = Sender::new(crm);
    for first in (0..5 * BATCH).step_by(usize::try_from(BATCH).unwrap()) {
        let customers: Vec<_> = (first..first + BATCH).map(customer).collect();
        post(sender.clone(), Value::from(customers).to_string()).await;
        process.kill();
        process = pipeline.run("vector.yaml");
    }
    pipeline.has_everything(5 * BATCH).await;
}

/// Posts until it is acknowledged.
async fn post(sender: Sender, body: String) {
    let json = [("content-type", "application/json")];
    loop {
        match sender.post_as(&json, body.clone()).await {
            Some((StatusCode::OK, _)) => return,
            // Vector is not there, or not yet.
            None => sleep(Duration::from_millis(20)).await,
            Some((status, body)) => panic!("{status}: {body}"),
        }
    }
}

fn customer(update: u64) -> Value {
    // Milliseconds after a point in time.
    let (seconds, millis) = (update / 1000, update % 1000);
    json!({
        "customer_id": format!("c-{}", profile(update)), "first_name": format!("Ada {update}"),
        "last_name": "Example", "email": "ada@example.org", "tier": "gold",
        "updated_at": format!("2024-01-02T03:{:02}:{:02}.{millis:03}Z", seconds / 60, seconds % 60),
    })
}
