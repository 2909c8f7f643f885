//! Vector's protocol through the program: what its sink sends arrives, and what it is told.

use std::{
    collections::HashMap,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::Command,
};

use bytes::Bytes;
use futures_util::future::join_all;
use profile_http::local_endpoint::{LocalEndpoint, Settings};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use tokio::{sync::mpsc, time::timeout};
use tonic::{Code, codec::CompressionEncoding};

use crate::{
    support::{MAPPING, PATIENCE, Process, Site, free_address, record},
    vector_client::{
        Event, EventWrapper, Kind, Metric, Timestamp, ValueMap, VectorClient, log, log_of,
    },
};

/// A sink that takes from Vector.
struct Place {
    endpoint: LocalEndpoint,
    arrived: mpsc::Receiver<Bytes>,
    site: Site,
    address: SocketAddr,
    config: PathBuf,
}

impl Place {
    async fn new() -> Self {
        Self::with(Site::new(), "", MAPPING).await
    }

    async fn with(site: Site, source: &str, sink: &str) -> Self {
        let (arrivals, arrived) = mpsc::channel(10_000);
        let settings = Settings { arrivals: Some(arrivals), ..Settings::default() };
        let endpoint = LocalEndpoint::start(settings).await.unwrap();
        let address = free_address();
        let source = format!("{{ type: vector, address: '{address}'{source} }}");
        let config = site.configure("vector.yaml", &source, &endpoint.url(), sink);
        Self { endpoint, arrived, site, address, config }
    }

    fn listen(&self) -> Process {
        let mut process = Process::run(&self.config);
        process.wait_for("listening");
        process
    }

    async fn arrival(&mut self) -> Value {
        let body = timeout(PATIENCE, self.arrived.recv()).await.unwrap().unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    async fn arrivals(&mut self, number: usize) {
        for _ in 0..number {
            self.arrival().await;
        }
    }
}

fn profile(id: u64) -> EventWrapper {
    log_of(&record(id, 1))
}

fn stop(process: Process) -> String {
    process.signal("TERM");
    let (status, log) = process.wait();
    assert!(status.success(), "{status}: {log}");
    log
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn values_of_every_kind_arrive_as_json() {
    let everything = "    profile: { key: id }\n    export: { attributes: \"*\" }\n";
    let mut place = Place::with(Site::new(), "", everything).await;
    let process = place.listen();
    let nested = json!({ "list": [1, "two", null, [], {}], "a.b": { "c": { "d": -0.25 } } });
    let Value::Object(nested_fields) = nested.clone() else { unreachable!() };
    let nested_fields = nested_fields.into_iter().map(|(key, value)| (key, value.into())).collect();
    let time = Timestamp { seconds: 1_700_000_000, nanos: 123_000_000 };
    let fields: HashMap<&str, Kind> = [
        ("id", Kind::RawBytes(b"c-1".to_vec())),
        ("text", Kind::RawBytes("\u{e9} \"quoted\" \u{1f600}\n".as_bytes().to_vec())),
        ("bytes", Kind::RawBytes(b"a\xff\xfez".to_vec())),
        ("time", Kind::Timestamp(time)),
        ("least", Kind::Integer(i64::MIN)),
        ("zero", Kind::Integer(0)),
        ("float", Kind::Float(0.1)),
        ("yes", Kind::Boolean(true)),
        ("no", Kind::Boolean(false)),
        ("nested", Kind::Map(ValueMap { fields: nested_fields })),
    ]
    .into();
    let event = log(fields.into_iter().map(|(key, kind)| (key.to_owned(), kind.into())));
    VectorClient::new(place.address).push(vec![event]).await.unwrap();
    let arrived = place.arrival().await;
    let expected = json!({
        "id": "c-1", "text": "\u{e9} \"quoted\" \u{1f600}\n", "bytes": "a\u{fffd}\u{fffd}z",
        "time": "2023-11-14T22:13:20.123Z", "least": i64::MIN, "zero": 0, "float": 0.1,
        "yes": true, "no": false, "nested": nested,
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&arrived[key], value, "{key}");
    }
    let log = stop(process);
    assert!(log.contains("bytes that are no UTF-8 were replaced"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_batch_is_taken_plain_or_compressed_and_health_checks_succeed() {
    let mut place = Place::new().await;
    let process = place.listen();
    let client = VectorClient::new(place.address);
    client.health().await.unwrap();
    client.push((0..1000).map(profile).collect()).await.unwrap();
    for (encoding, start) in [(CompressionEncoding::Gzip, 1000), (CompressionEncoding::Zstd, 2000)]
    {
        let client = client.clone().compressed(encoding);
        client.push((start..start + 1000).map(profile).collect()).await.unwrap();
    }
    place.arrivals(3000).await;
    stop(process);
    assert_eq!(place.endpoint.report().taken, 3000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_was_acknowledged_survives_a_kill_with_several_calls_in_flight() {
    let mut place = Place::new().await;
    place.endpoint.close().await;
    let process = place.listen();
    let client = VectorClient::new(place.address);
    let calls = (0..20).map(|call| {
        let client = client.clone();
        async move { client.push((call * 50..(call + 1) * 50).map(profile).collect()).await }
    });
    for answered in join_all(calls).await {
        answered.unwrap();
    }
    process.kill();
    place.endpoint.reopen().await.unwrap();
    let process = place.listen();
    place.arrivals(1000).await;
    stop(process);
    assert!((0..1000).all(|id| place.endpoint.received("crmid", &format!("c-{id}")).is_some()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn metrics_and_traces_are_dropped_and_neither_block_nor_lose_the_logs_beside_them() {
    let mut place = Place::new().await;
    let mut process = place.listen();
    let metric = EventWrapper { event: Some(Event::Metric(Metric { name: "cpu".to_owned() })) };
    let Some(Event::Log(trace)) = profile(7).event else { unreachable!() };
    let trace = EventWrapper { event: Some(Event::Trace(trace)) };
    let client = VectorClient::new(place.address);
    client.push(vec![metric, profile(1), trace, profile(2)]).await.unwrap();
    let line = process.wait_for("metrics or traces are dropped");
    assert!(line.contains("WARN") && line.contains("events=2"), "{line}");
    place.arrivals(2).await;
    stop(process);
    assert_eq!(place.endpoint.report().taken, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_event_that_is_no_object_is_set_aside_and_fails_no_other() {
    let mut place = Place::new().await;
    let mut process = place.listen();
    let Some(Event::Log(mut text)) = profile(7).event else { unreachable!() };
    text.value = Some(Kind::RawBytes(b"just a line".to_vec()).into());
    let text = EventWrapper { event: Some(Event::Log(text)) };
    let client = VectorClient::new(place.address);
    client.push(vec![profile(1), text, profile(2)]).await.unwrap();
    let line = process.wait_for("invalid records are set aside");
    assert!(line.contains("item 2") && line.contains("records=1"), "{line}");
    place.arrivals(2).await;
    stop(process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn vector_keeps_a_batch_over_the_limit_and_the_log_says_what_to_do() {
    let place = Place::with(Site::new(), ", max_message_bytes: 65536", MAPPING).await;
    let mut process = place.listen();
    let client = VectorClient::new(place.address);
    let batch: Vec<_> = (0..1000).map(profile).collect();
    for encoding in [None, Some(CompressionEncoding::Gzip), Some(CompressionEncoding::Zstd)] {
        let client = match encoding {
            Some(encoding) => client.clone().compressed(encoding),
            None => client.clone(),
        };
        let status = client.push(batch.clone()).await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    }
    let line = process.wait_for("max_message_bytes, 65536");
    assert!(line.contains("WARN") && line.contains("batch.max_events"), "{line}");
    client.push(vec![profile(1)]).await.unwrap();
    let log = stop(process);
    assert_eq!(log.matches("max_message_bytes").count(), 1, "said once: {log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn while_the_store_cannot_write_vector_keeps_what_it_sends() {
    let mut place = Place::new().await;
    // A write beyond the largest size of a file fails instead of ending the process.
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; exec \"$0\" run -c \"$1\""]);
    command.arg(env!("CARGO_BIN_EXE_profile-http")).arg(&place.config);
    let mut process = Process::spawn(command);
    process.wait_for("listening");
    let client = VectorClient::new(place.address);

    let limited = Command::new("prlimit")
        .args(["--fsize=0:", "--pid", &process.pid().to_string()])
        .status()
        .unwrap();
    assert!(limited.success());
    let status = client.push((1..1000).map(profile).collect()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");

    process.kill();
    let process = place.listen();
    client.push((1..1000).map(profile).collect()).await.unwrap();
    place.arrivals(999).await;
    stop(process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn other_protocols_are_named_in_the_log_and_hurt_no_other_connection() {
    let place = Place::new().await;
    let mut process = place.listen();
    let client = VectorClient::new(place.address);
    client.push(vec![profile(1)]).await.unwrap();
    let mut stream = TcpStream::connect(place.address).unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n").unwrap();
    // The end of the connection, or its reset.
    let _ = stream.read(&mut [0]);
    let line = process.wait_for("gRPC over HTTP/2 is spoken here");
    assert!(line.contains("WARN") && line.contains("peer="), "{line}");
    client.push(vec![profile(2)]).await.unwrap();
    stop(process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn vector_is_served_over_tls() {
    let site = Site::new();
    certify(&site);
    let tls = format!(
        ", tls: {{ crt_file: '{}', key_file: '{}' }}",
        site.path("server.pem").display(),
        site.path("server.key").display()
    );
    let mut place = Place::with(site, &tls, MAPPING).await;
    let process = place.listen();
    let client = VectorClient::over_tls(place.address, &place.site.path("ca.pem"));
    client.push(vec![profile(1)]).await.unwrap();
    place.arrivals(1).await;
    stop(process);
}

/// Writes an authority and a certificate of localhost with its key.
fn certify(site: &Site) {
    let key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new([]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    site.write("ca.pem", &authority.self_signed(&key).unwrap().pem());
    let issuer = Issuer::new(authority, key);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    site.write("server.pem", &params.signed_by(&key, &issuer).unwrap().pem());
    site.write("server.key", &key.serialize_pem());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn very_many_bombs_at_once_take_the_memory_of_a_few() {
    const BOMB: usize = 4 << 20;
    const BOMBS: usize = 60;
    let place = Place::with(Site::new(), ", max_message_bytes: 5000000", MAPPING).await;
    let process = place.listen();
    let client = VectorClient::new(place.address).compressed(CompressionEncoding::Zstd);
    let text = vec![b'x'; BOMB];
    let calls = (0..BOMBS).map(|_| {
        let event = log([("text".to_owned(), Kind::RawBytes(text.clone()).into())]);
        let client = client.clone();
        async move { client.push(vec![event]).await }
    });
    for answered in join_all(calls).await {
        answered.unwrap();
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: usize = peak.trim().strip_suffix(" kB").unwrap().parse().unwrap();
    assert!(peak * 1024 < BOMBS * BOMB, "{peak} kB");
    stop(process);
}
