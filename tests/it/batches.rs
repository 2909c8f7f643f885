//! Several profiles in a request, over the wire.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use profile_http::{
    listen,
    local_endpoint::{Behaviour, LocalEndpoint, Settings},
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::support::{MAPPING, Process, Site, record};

/// The headers and the body of each request.
type Seen = Arc<Mutex<Vec<(HeaderMap, Bytes)>>>;

/// An endpoint that keeps what it gets, and answers with the status and body that `answer` gives
/// to a body.
async fn endpoint(
    answer: impl Fn(&[u8]) -> (u16, String) + Clone + Send + Sync + 'static,
) -> (String, Seen, CancellationToken) {
    let seen = Seen::default();
    let listener = listen::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let respond = {
        let seen = seen.clone();
        move |request: Request<Incoming>| {
            let (seen, answer) = (seen.clone(), answer.clone());
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let (status, text) = answer(&body);
                seen.lock().unwrap().push((head.headers, body));
                let mut response = Response::new(Full::new(Bytes::from(text)));
                *response.status_mut() = StatusCode::from_u16(status).unwrap();
                Ok(response)
            }
        }
    };
    tokio::spawn(listen::serve(listener, None, stop.clone(), respond));
    (url, seen, stop)
}

fn n(profile: &Value) -> u64 {
    profile["n"].as_u64().unwrap()
}

fn array(body: &[u8]) -> Vec<u64> {
    serde_json::from_slice::<Vec<Value>>(body).unwrap().iter().map(n).collect()
}

fn records(count: u64) -> String {
    (0..count).map(|i| record(i, i)).collect::<Vec<_>>().join("\n")
}

/// Delivers so many profiles with these options of `batch`, and returns what the log says of the
/// end.
fn deliver(url: &str, count: u64, batch: &str) -> String {
    let site = Site::new();
    let options = format!("{MAPPING}    batch: {{ {batch} }}\n");
    let config = site.configure("run.yaml", "{ type: stdin }", url, &options);
    let (status, log) = Process::run(&config).fed(&records(count));
    assert!(status.success(), "{log}");
    log.lines().rfind(|line| line.contains("ended")).unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn of_a_thousand_profiles_in_hundreds_the_seven_that_are_refused_cost_few_requests() {
    const BAD: [u64; 7] = [0, 99, 123, 124, 500, 777, 998];
    let (url, seen, _stop) = endpoint(|body| {
        let refused = array(body).iter().any(|n| BAD.contains(n));
        if refused { (422, "{}".to_owned()) } else { (200, String::new()) }
    })
    .await;
    let ended = deliver(&url, 1000, "max_profiles: 100");
    assert!(ended.contains("delivered=993"), "{ended}");
    assert!(ended.contains("dead_letters=7"), "{ended}");
    let seen = seen.lock().unwrap();
    let mut sent = HashSet::new();
    let mut wholes = 0;
    for (_, body) in seen.iter() {
        let profiles = array(body);
        assert!(profiles.len() <= 100);
        // What was never sent before is no part of a batch that was refused.
        let before = sent.len();
        sent.extend(profiles);
        wholes += usize::from(sent.len() > before);
    }
    assert_eq!(sent.len(), 1000);
    let extra = seen.len() - wholes;
    assert!(extra <= 93, "{extra} is more than 7 x 2 x log2(100)");
    assert!(wholes < 30, "{wholes} batches of up to 100");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_partial_failure_costs_only_the_profiles_at_fault() {
    // Some thousand results, more than is kept of other answers.
    let (url, seen, _stop) = endpoint(|body| {
        let result = |n: u64| {
            let why = "x".repeat(100);
            format!(r#"{{"status":{},"why":"{why}"}}"#, if n % 100 == 7 { 400 } else { 201 })
        };
        let results: Vec<_> = array(body).into_iter().map(result).collect();
        (200, format!(r#"{{"data":{{"results":[{}]}}}}"#, results.join(",")))
    })
    .await;
    let ended = deliver(&url, 3000, "max_profiles: 2000, results_pointer: /data/results");
    assert!(ended.contains("delivered=2970"), "{ended}");
    assert!(ended.contains("dead_letters=30"), "{ended}");
    let sent: usize = seen.lock().unwrap().iter().map(|(_, body)| array(body).len()).sum();
    assert_eq!(sent, 3000, "nothing is sent twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn each_framing_says_what_it_is() {
    for (batch, content_type, end) in [
        ("max_profiles: 5", "application/json", "}]"),
        ("max_profiles: 5, framing: ndjson", "application/x-ndjson", "}\n"),
        ("max_profiles: 5, framing: envelope, envelope_key: all", "application/json", "]}"),
    ] {
        let (url, seen, _stop) = endpoint(|_| (204, String::new())).await;
        deliver(&url, 12, batch);
        let seen = seen.lock().unwrap();
        let mut keys = HashSet::new();
        let mut ids = HashSet::new();
        for (headers, body) in seen.iter() {
            assert_eq!(headers["content-type"], content_type);
            assert!(headers.get("profile-version").is_none());
            assert!(keys.insert(headers["idempotency-key"].clone()));
            let text = std::str::from_utf8(body).unwrap();
            assert!(text.ends_with(end), "{text}");
            let profiles: Vec<Value> = match batch {
                _ if text.starts_with('[') => serde_json::from_str(text).unwrap(),
                _ if text.starts_with("{\"all\":[") => {
                    let envelope: Value = serde_json::from_str(text).unwrap();
                    let profiles = envelope["all"].as_array().unwrap().clone();
                    assert_eq!(envelope["versions"].as_array().unwrap().len(), profiles.len());
                    profiles
                }
                _ => text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
            };
            ids.extend(profiles.iter().map(n));
        }
        assert_eq!(ids.len(), 12);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_content_type_of_ones_own_stays() {
    let (url, seen, _stop) = endpoint(|_| (200, String::new())).await;
    let batch = "max_profiles: 5, framing: ndjson }\n    custom_headers: { content-type: text/x";
    deliver(&url, 1, batch);
    assert_eq!(seen.lock().unwrap()[0].0["content-type"], "text/x");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn batches_reach_an_endpoint_that_fails_now_and_then_in_order() {
    let settings = Settings { behaviour: Behaviour::failing(0.3), seed: 1, ..Settings::default() };
    let endpoint = LocalEndpoint::start(settings).await.unwrap();
    let ended = deliver(&endpoint.url(), 2000, "max_profiles: 50, framing: envelope");
    assert!(ended.contains("delivered=2000") && ended.contains("dead_letters=0"), "{ended}");
    let report = endpoint.report();
    assert_eq!((report.profiles, report.order_violations), (2000, 0));
    assert!(report.refused > 0 && report.reset_after > 0, "the endpoint did fail: {report:?}");
    assert!(report.requests < 400, "{report:?}");
}
