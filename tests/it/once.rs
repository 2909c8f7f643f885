//! What a sender repeats, because it was not told that it was taken, does nothing a second time.

use http::StatusCode;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    fluent::deliver,
    support::{PATIENCE, Place, Process, Sender, record},
    vector_client::{EventWrapper, VectorClient, identified, log_of},
};

/// Every update is exported, so that each that counts makes a version.
const ALWAYS: &str = "    profile: { key: identityMap.crmid }\n    \
                      export: { attributes: [name, n], when: always }\n";

impl Place {
    /// Waits until a profile has arrived, after those that were due before it.
    async fn arrival_of(&mut self, id: u64) {
        let key = format!("c-{id}");
        while self.endpoint.received("crmid", &key).is_none() {
            timeout(PATIENCE, self.arrived.recv()).await.unwrap().unwrap();
        }
    }

    /// The versions of profiles that have arrived.
    fn versions(&self, ids: std::ops::Range<u64>) -> Vec<u64> {
        let version = |id| self.endpoint.received("crmid", &format!("c-{id}")).unwrap().version;
        ids.map(version).collect()
    }
}

fn stop(process: Process) {
    process.signal("TERM");
    let (status, log) = process.wait();
    assert!(status.success(), "{status}: {log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_chunk_that_comes_again_after_a_kill_is_acknowledged_and_does_nothing() {
    let mut place = Place::new().await;
    let process = place.run("fluent", "", ALWAYS);
    deliver(&mut place.connect(), 0..20, "chunk");
    place.arrivals(20).await;
    let versions = place.versions(0..20);
    process.kill();

    let process = place.run("fluent", "", ALWAYS);
    let mut stream = place.connect();
    deliver(&mut stream, 0..20, "chunk");
    // The same id for something else is another sender's.
    deliver(&mut stream, 20..21, "chunk");
    place.arrival_of(20).await;
    stop(process);
    assert_eq!(place.versions(0..20), versions);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn events_of_vector_that_come_again_after_a_kill_in_other_batches_do_nothing() {
    let mut place = Place::new().await;
    let process = place.run("vector", "", ALWAYS);
    let client = VectorClient::new(place.address);
    client.push((0..20).map(event).collect()).await.unwrap();
    place.arrivals(20).await;
    let versions = place.versions(0..20);
    process.kill();

    let process = place.run("vector", "", ALWAYS);
    let client = VectorClient::new(place.address);
    client.push((0..15).map(event).collect()).await.unwrap();
    client.push((15..25).map(event).collect()).await.unwrap();
    place.arrival_of(24).await;
    stop(process);
    assert_eq!(place.versions(0..20), versions);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_request_with_the_idempotency_key_of_an_earlier_one_is_answered_and_does_nothing() {
    let place = Place::new().await;
    let process = place.run("http_server", "", ALWAYS);
    let sender = Sender::new(place.address);
    let post = async |key: &str, body: String| {
        let answer = sender.post_as(&[("idempotency-key", key)], body).await.unwrap();
        assert_eq!(answer.0, StatusCode::OK);
        let mut counts: Value = serde_json::from_str(&answer.1).unwrap();
        json!([counts["changed"].take(), counts["unchanged"].take()])
    };
    let body = [record(1, 1), record(2, 1)].join("\n");
    assert_eq!(post("1", body.clone()).await, json!([2, 0]));
    assert_eq!(post("1", body.clone()).await, json!([0, 2]));
    assert_eq!(post("2", body).await, json!([2, 0]));
    assert_eq!(post("1", record(1, 2)).await, json!([1, 0]), "another content");
    stop(process);
}

/// The event of a profile, with the id that Vector gave it.
fn event(id: u64) -> EventWrapper {
    identified(log_of(&record(id, 1)), id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_repeated_patch_does_not_bring_back_what_a_later_one_replaced() {
    let patched = "    profile: { key: identityMap.crmid, update: patch }\n    \
                   export: { attributes: [name, n] }\n";
    let mut place = Place::new().await;
    let process = place.run("vector", "", patched);
    let client = VectorClient::new(place.address);
    let patch = |event: u64, n: u64| vec![identified(log_of(&record(1, n)), event)];
    client.push(patch(1, 1)).await.unwrap();
    client.push(patch(2, 2)).await.unwrap();
    process.kill();

    let process = place.run("vector", "", patched);
    let client = VectorClient::new(place.address);
    client.push(patch(1, 1)).await.unwrap();
    client.push(vec![identified(log_of(&record(2, 1)), 3)]).await.unwrap();
    place.arrival_of(2).await;
    stop(process);
    let body = place.endpoint.received("crmid", "c-1").unwrap().body;
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["n"], 2);
}
