//! kill -9 at any moment: nothing that was acknowledged is lost, nothing goes backwards.

use std::collections::HashMap;

use http::StatusCode;
use profile_http::local_endpoint::{Behaviour, LocalEndpoint, Settings};

use crate::support::{MAPPING, Process, Sender, Site, free_address, record};

const PROFILES: u64 = 10_000;
const UPDATES: u64 = 100_000;
const BATCH: usize = 500;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn after_kills_every_profiles_last_acknowledged_version_arrives_seed_1() {
    survive_kills(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn after_kills_every_profiles_last_acknowledged_version_arrives_seed_2() {
    survive_kills(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn after_kills_every_profiles_last_acknowledged_version_arrives_seed_3() {
    survive_kills(3).await;
}

async fn survive_kills(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let settings = Settings { behaviour: Behaviour::failing(0.1), seed, ..Settings::default() };
    let endpoint = LocalEndpoint::start(settings).await.unwrap();
    let site = Site::new();
    let address = free_address();
    let source = format!("{{ type: http_server, address: '{address}' }}");
    let options = format!("{MAPPING}    request: {{ timeout_secs: 1, concurrency: 32 }}\n");
    let config = site.configure("http.yaml", &source, &endpoint.url(), &options);

    let sender = Sender::new(address);
    let mut latest = HashMap::new();
    let mut process = listening(&config);
    let kills: Vec<_> = (0..4).map(|_| random.u64(0..UPDATES / BATCH as u64)).collect();
    for batch in 0..UPDATES / BATCH as u64 {
        let updates: Vec<_> = (0..BATCH as u64)
            .map(|i| (random.u64(0..PROFILES), batch * BATCH as u64 + i))
            .collect();
        let body = updates.iter().map(|(id, n)| record(*id, *n)).collect::<Vec<_>>().join("\n");
        let mut kill = kills.contains(&batch);
        // What was not acknowledged is sent again, as every sender does.
        loop {
            let post = tokio::spawn({
                let (sender, body) = (sender.clone(), body.clone());
                async move { sender.post(body).await }
            });
            if std::mem::take(&mut kill) {
                // Anywhere between before the request arrives and after it was answered.
                for _ in 0..random.u32(0..2000) {
                    tokio::task::yield_now().await;
                }
                process.kill();
                process = listening(&config);
            }
            if let Some((StatusCode::OK, _)) = post.await.unwrap() {
                break;
            }
        }
        latest.extend(updates);
    }
    process.kill();

    endpoint.behave(Behaviour::default());
    let config = site.configure("stdin.yaml", "{ type: stdin }", &endpoint.url(), &options);
    Process::run_to_end(&config, "");

    for (id, n) in latest {
        let received = endpoint.received("crmid", &format!("c-{id}"));
        let body = received.unwrap_or_else(|| panic!("profile {id} is lost")).body;
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["n"], n, "profile {id} is stale");
    }
    let report = endpoint.report();
    assert_eq!(report.order_violations, 0);
    assert!(report.refused > 0 && report.reset_after > 0, "the endpoint did fail: {report:?}");
}

fn listening(config: &std::path::Path) -> Process {
    let mut process = Process::run(config);
    process.wait_for("listening");
    process
}
