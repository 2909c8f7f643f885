//! Vector, with the program behind it.

use std::{fs, net::TcpStream, path::Path};

use http::StatusCode;
use serde_json::{Value, json};

use crate::{
    given,
    pipeline::Pipeline,
    support::Sender,
    updates::{ROUNDS, UPDATES, of_round, profile},
};

/// Customers in a request to Vector.
const BATCH: u64 = 1000;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn vector_loses_nothing_over_its_own_protocol_when_the_program_is_killed() {
    survive("vector.yaml").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn vector_loses_nothing_over_http_when_the_program_is_killed() {
    survive("vector-http.yaml").await;
}

/// Sends customers to the source of Vector's example while the program is killed and started again.
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
    let mut other = pipeline.run_other(&vector, [Path::new("-c"), &config]);
    pipeline
        .wait_until("Vector listens", || {
            assert!(other.runs(), "{}", pipeline.log());
            TcpStream::connect(crm).is_ok()
        })
        .await;

    let sender = Sender::new(crm);
    for first in (0..UPDATES).step_by(usize::try_from(BATCH).unwrap()) {
        let customers: Vec<_> = (first..first + BATCH).map(customer).collect();
        let post = tokio::spawn({
            let sender = sender.clone();
            async move {
                let json = [("content-type", "application/json")];
                sender.post_as(&json, Value::from(customers).to_string()).await
            }
        });
        let round = first / (UPDATES / ROUNDS);
        if round < ROUNDS - 1 && first + BATCH == of_round(round).end {
            pipeline.sees_begin(round).await;
            process.kill();
            process = pipeline.run(example);
        }
        let (status, body) = post.await.unwrap().expect("an answer");
        assert_eq!(status, StatusCode::OK, "{body}");
    }
    pipeline.has_everything(UPDATES).await;
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
