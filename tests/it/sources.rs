//! Where records come from: what is taken, what is set aside, and how a run ends.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::StatusCode;
use profile_http::{
    config::{self, Env},
    local_endpoint::{Behaviour, LocalEndpoint, Settings},
    store::{InvalidRecord, Letter, embedded::Letters},
};
use serde_json::{Value, json};
use tokio::{sync::mpsc, time::timeout};

use crate::support::{MAPPING, PATIENCE, Process, Sender, Site, free_address, record};

/// A sink whose source is chosen for each run.
struct Place {
    endpoint: LocalEndpoint,
    arrived: mpsc::Receiver<Bytes>,
    site: Site,
    address: SocketAddr,
    options: String,
}

impl Place {
    async fn new() -> Self {
        Self::with(Behaviour::default(), "").await
    }

    async fn with(behaviour: Behaviour, request: &str) -> Self {
        let (arrivals, arrived) = mpsc::channel(10_000);
        let settings = Settings { arrivals: Some(arrivals), behaviour, ..Settings::default() };
        let endpoint = LocalEndpoint::start(settings).await.unwrap();
        let options = format!("{MAPPING}    request: {{ {request} }}\n");
        Self { endpoint, arrived, site: Site::new(), address: free_address(), options }
    }

    fn configure(&self, name: &str, source: &str) -> PathBuf {
        self.site.configure(name, source, &self.endpoint.url(), &self.options)
    }

    fn stdin(&self) -> PathBuf {
        self.configure("stdin.yaml", "{ type: stdin }")
    }

    /// Runs with the HTTP source.
    fn listen(&self) -> (Process, Sender) {
        let source = format!("{{ type: http_server, address: '{}' }}", self.address);
        let mut process = Process::run(&self.configure("http.yaml", &source));
        process.wait_for("listening");
        (process, Sender::new(self.address))
    }

    /// Waits for the next profile at the endpoint.
    async fn arrival(&mut self) -> Value {
        let body = timeout(PATIENCE, self.arrived.recv()).await.unwrap().unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    fn has(&self, id: u64) -> bool {
        self.endpoint.received("crmid", &format!("c-{id}")).is_some()
    }

    fn invalid_records(&self) -> Vec<InvalidRecord> {
        invalid_records(&self.stdin())
    }
}

/// The invalid records that a run has kept, read once it has ended.
fn invalid_records(config: &Path) -> Vec<InvalidRecord> {
    let plan = config::load(&[config.to_owned()], &Env::of_process()).unwrap();
    let letters = Letters::open(&plan.store_dir(&plan.sinks[0])).unwrap();
    let page = letters.page(None, usize::MAX - 1).unwrap();
    let records = page.letters.into_iter().map(|letter| match letter {
        Letter::Invalid { record, .. } => record,
        Letter::Dead { .. } => panic!("{letter:?}"),
    });
    records.rev().collect()
}

/// Ends a run in the orderly way.
fn stop(process: Process) -> String {
    process.signal("TERM");
    let (status, log) = process.wait();
    assert!(status.success(), "{status}: {log}");
    log
}

fn counts(answer: Option<(StatusCode, String)>) -> Value {
    let (status, body) = answer.expect("an answer");
    assert_eq!(status, StatusCode::OK, "{body}");
    serde_json::from_str(&body).unwrap()
}

fn taken(changed: u64) -> Value {
    json!({
        "received": changed, "changed": changed, "unchanged": 0, "not_followed": 0, "stale": 0,
        "invalid": 0,
    })
}

const KEYLESS: &str = r#"{"name":"p900","n":1}"#;

/// 1,000 records of which one does not parse, one is no object and one has no key.
fn mostly_good() -> String {
    let line = |number| match number {
        100 => r#"{"identityMap":{"crmid":[{"id":"c-100""#.to_owned(),
        500 => r#"["c-500"]"#.to_owned(),
        900 => KEYLESS.to_owned(),
        _ => record(number, 1),
    };
    (1..=1000).map(line).collect::<Vec<_>>().join("\n")
}

/// Where and why each of the three was set aside.
fn assert_three_invalid(records: &[InvalidRecord]) {
    let found: Vec<_> = records.iter().map(|r| (r.place.as_str(), r.reason.as_str())).collect();
    let [(bad, cut), (array, no_object), (keyless, no_key)] = found[..] else {
        panic!("{found:?}")
    };
    assert_eq!([bad, array, keyless], ["line 100", "line 500", "line 900"]);
    assert!(cut.contains("cut off"), "{cut}");
    assert!(no_object.contains("not an object"), "{no_object}");
    assert!(no_key.contains("identityMap.crmid"), "{no_key}");
    assert_eq!(records[2].excerpt, KEYLESS);
    assert!(records.iter().all(|record| record.source == "in"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn of_1000_lines_over_http_the_3_bad_ones_are_set_aside() {
    let mut place = Place::new().await;
    let (mut process, sender) = place.listen();
    let counts = counts(sender.post(mostly_good()).await);
    assert_eq!((&counts["received"], &counts["invalid"]), (&json!(1000), &json!(3)));
    assert_eq!(counts["changed"], 997);
    let line = process.wait_for("invalid");
    assert!(line.contains("WARN") && line.contains("records=3"), "{line}");
    assert!(line.contains("line 100") && line.contains("cut off"), "{line}");
    for _ in 0..997 {
        place.arrival().await;
    }
    stop(process);
    assert_three_invalid(&place.invalid_records());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn of_1000_lines_on_stdin_the_3_bad_ones_are_set_aside() {
    let place = Place::new().await;
    let (status, log) = Process::run(&place.stdin()).fed(&mostly_good());
    assert!(status.success(), "{log}");
    assert!(log.contains("records=3") && log.contains("line 100"), "{log}");
    assert_eq!(place.endpoint.report().taken, 997);
    assert_three_invalid(&place.invalid_records());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_body_is_one_object_an_array_or_lines_plain_or_compressed() {
    let mut place = Place::new().await;
    let (process, sender) = place.listen();
    let json = [("content-type", "application/json")];

    let spread = record(1, 1).replace(',', ",\n  ");
    assert_eq!(counts(sender.post_as(&json, spread).await), taken(1));
    let array = format!("[{},\n {}]", record(2, 1), record(3, 1));
    assert_eq!(counts(sender.post_as(&json, array).await), taken(2));
    let lines = format!("{}\n{}\n", record(4, 1), record(5, 1));
    assert_eq!(counts(sender.post_as(&json, lines).await), taken(2));

    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(format!("{}\n{}", record(6, 1), record(7, 1)).as_bytes()).unwrap();
    let headers = [("content-type", "application/x-ndjson"), ("content-encoding", "gzip")];
    let compressed = gzip.finish().unwrap();
    assert_eq!(counts(sender.post_as(&headers, compressed).await), taken(2));

    for _ in 0..7 {
        place.arrival().await;
    }
    stop(process);
    assert!((1..=7).all(|id| place.has(id)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_body_in_which_nothing_can_be_read_is_refused_and_nothing_of_it_taken() {
    let place = Place::new().await;
    let (process, sender) = place.listen();
    let json = [("content-type", "application/json")];
    let gzip = [("content-type", "application/json"), ("content-encoding", "gzip")];
    let array = format!("[{},\n {}", record(1, 1), record(2, 1));
    let bodies = [
        (&json[..], array, "line 2"),
        (&json, record(3, 1).replace("\"n\"", "n"), "line 1 column"),
        (&[("content-type", "application/x-ndjson")], "oops\n{\n".to_owned(), "line 1 column 1"),
        (&gzip, record(4, 1), "gzip"),
        (&json, String::new(), "empty"),
    ];
    for (headers, body, place) in bodies {
        let (status, answer) = sender.post_as(headers, body).await.unwrap();
        assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert!(answer["error"].as_str().unwrap().contains(place), "{answer}");
    }
    stop(process);
    assert_eq!(place.invalid_records(), []);
    assert_eq!(place.endpoint.report().requests, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_was_acknowledged_before_a_stop_is_delivered_once() {
    let slow = Behaviour { delayed: 1.0, delay_ms: 500, ..Behaviour::default() };
    let place = Place::with(slow, "concurrency: 2").await;
    let (process, sender) = place.listen();
    let (acknowledged, mut acknowledgements) = mpsc::unbounded_channel();
    let posting = tokio::spawn(async move {
        let mut batches = 0;
        loop {
            let ids = batches * 20..(batches + 1) * 20;
            let records: Vec<_> = ids.map(|id| record(id, 1)).collect();
            let Some((status, body)) = sender.post(records.join("\n")).await else {
                return batches * 20;
            };
            assert_eq!(status, StatusCode::OK, "what is under way is still answered: {body}");
            batches += 1;
            acknowledged.send(()).unwrap();
        }
    });
    for _ in 0..5 {
        timeout(PATIENCE, acknowledgements.recv()).await.unwrap();
    }
    let log = stop(process);
    assert!(log.contains("profiles wait in the store for the next run"), "{log}");
    let acknowledged = posting.await.unwrap();
    assert!(!(0..acknowledged).all(|id| place.has(id)), "the endpoint is too slow for that");

    place.endpoint.behave(Behaviour::default());
    Process::run_to_end(&place.stdin(), "");
    for id in 0..acknowledged {
        assert!(place.has(id), "profile {id} of {acknowledged} is lost");
    }
    let report = place.endpoint.report();
    assert_eq!((report.duplicates, report.order_violations), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_request_that_is_under_way_at_a_signal_is_still_answered() {
    let place = Place::new().await;
    let (mut process, _) = place.listen();
    let mut stream = TcpStream::connect(place.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let body = record(1, 1);
    let head = format!(
        "POST / HTTP/1.1\r\nhost: sink\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = [0; 25];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100 Continue\r\n\r\n", "the body is waited for");
    process.signal("TERM");
    process.wait_for("stopping");
    stream.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    let (status, log) = process.wait();
    assert!(status.success(), "{log}");

    Process::run_to_end(&place.stdin(), "");
    assert_eq!(place.endpoint.report().taken, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_signal_ends_a_run_whose_stdin_stays_open() {
    let mut place = Place::new().await;
    let mut process = Process::run(&place.stdin());
    process.write(&format!("{}\n", record(1, 1)));
    place.arrival().await;
    process.signal("INT");
    let log = process.wait_for("stopped");
    assert!(log.contains("nothing waits"), "{log}");
    let (status, log) = process.wait();
    assert!(status.success(), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_second_signal_ends_a_run_at_once() {
    let minutes = Behaviour { delayed: 1.0, delay_ms: 300_000, ..Behaviour::default() };
    let mut place = Place::with(minutes, "timeout_secs: 300, deadline_secs: 600").await;
    let mut process = Process::run(&place.stdin());
    process.write(&format!("{}\n", record(1, 1)));
    place.arrival().await;
    process.signal("TERM");
    process.wait_for("stopping");
    process.signal("TERM");
    let (status, log) = process.wait();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("second signal"), "{log}");

    place.endpoint.behave(Behaviour::default());
    Process::run_to_end(&place.stdin(), "");
    let report = place.endpoint.report();
    assert_eq!((report.taken, report.duplicates), (2, 1), "the same version is sent again");
}

/// Three profiles for an endpoint that is down.
async fn undeliverable() -> (Place, String) {
    let mut place = Place::new().await;
    place.endpoint.close().await;
    let records: Vec<_> = (0..3).map(|id| record(id, 1) + "\n").collect();
    (place, records.concat())
}

async fn is_delivered_by_a_later_run(mut place: Place) {
    place.endpoint.reopen().await.unwrap();
    Process::run_to_end(&place.stdin(), "");
    assert_eq!(place.endpoint.report().taken, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_not_delivered_within_the_drain_limit_stays_for_a_later_run() {
    let (place, records) = undeliverable().await;
    let config = place.stdin();
    let limited = || Process::start(&["run", "--drain-limit-secs", "1"], Some(&config));
    for input in [&*records, ""] {
        let (status, log) = limited().fed(input);
        assert_eq!(status.code(), Some(1), "{log}");
        let last = log.lines().last().unwrap();
        assert!(last.starts_with("error: 3 profiles were not delivered within"), "{log}");
        assert!(last.contains("--drain-limit-secs") && last.contains("next run"), "{log}");
    }
    is_delivered_by_a_later_run(place).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_signal_ends_a_run_that_only_delivers_what_is_left() {
    let (place, records) = undeliverable().await;
    let mut process = Process::run(&place.stdin());
    process.write(&records);
    process.close_stdin();
    process.wait_for("every source has ended");
    let log = stop(process);
    assert!(log.contains("waiting=3"), "{log}");
    is_delivered_by_a_later_run(place).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn without_a_limit_a_run_goes_on_until_everything_is_delivered() {
    let (mut place, records) = undeliverable().await;
    let mut process = Process::run(&place.stdin());
    process.write(&records);
    process.close_stdin();
    process.wait_for("cannot connect");
    place.endpoint.reopen().await.unwrap();
    let (status, log) = process.wait();
    assert!(status.success(), "{log}");
    assert!(log.ends_with("nothing is due any more"), "{log}");
    assert_eq!(place.endpoint.report().taken, 3);
}
