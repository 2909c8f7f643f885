//! The sources beside each other: the same updates, a thousand at a time, as the senders of each
//! write them, over a few connections. Senders take no part of what is counted: requests are made
//! beforehand, and only the sink's process is measured.

use std::io::Write;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use profile_http::sample::Samples;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::{JoinSet, spawn_blocking},
};

use crate::{
    options,
    process::{Cost, Endpoint, Sink, Watch},
    wire,
};

/// Updates of a request.
const AT_ONCE: usize = 1000;

/// Connections, each of which waits for an answer before it sends the next request.
const CONNECTIONS: usize = 4;

/// A way in which updates are sent. The first is what the others are compared with.
struct Way {
    name: &'static str,
    /// The type of the source.
    source: &'static str,
    transport: Transport,
    write: fn(usize, &[Vec<u8>]) -> Vec<u8>,
}

#[derive(Clone, Copy)]
enum Transport {
    Http { path: &'static str, media_type: &'static str },
    Grpc,
    Forward,
    Pipe,
}

const LINES: Transport = Transport::Http { path: "/", media_type: "application/x-ndjson" };
const ARRAY: Transport = Transport::Http { path: "/", media_type: "application/json" };
const LOGS: Transport = Transport::Http { path: "/v1/logs", media_type: "application/x-protobuf" };

#[rustfmt::skip]
const WAYS: [Way; 8] = [
    Way { name: "http_server, NDJSON", source: "http_server", transport: LINES, write: wire::lines },
    Way { name: "http_server, JSON array", source: "http_server", transport: ARRAY, write: wire::array },
    Way { name: "fluent, Forward", source: "fluent", transport: Transport::Forward, write: wire::forward },
    Way { name: "fluent, PackedForward", source: "fluent", transport: Transport::Forward, write: wire::packed_forward },
    Way { name: "fluent, CompressedPackedForward (gzip)", source: "fluent", transport: Transport::Forward, write: wire::compressed_packed_forward },
    Way { name: "vector", source: "vector", transport: Transport::Grpc, write: wire::vector },
    Way { name: "opentelemetry, protobuf", source: "opentelemetry", transport: LOGS, write: wire::opentelemetry },
    Way { name: "stdin", source: "stdin", transport: Transport::Pipe, write: wire::lines },
];

/// Sends every profile once, then so many updates, of which one in twenty changes what is kept.
/// Nothing is exported, so that only the taking of updates is measured.
pub(crate) async fn run(profiles: u32, updates: u32) {
    println!(
        "{updates} updates of {profiles} profiles, {AT_ONCE} a request, {CONNECTIONS} connections\n"
    );
    let endpoint = Endpoint::start();
    let mut first = None;
    for way in WAYS {
        let cost = way.measure(&endpoint, profiles, updates).await;
        let rate = f64::from(updates) / cost.wall.as_secs_f64();
        let cpu_ms = cost.cpu.as_secs_f64() * 1e6 / f64::from(updates);
        let ratio = cpu_ms / *first.get_or_insert(cpu_ms);
        println!(
            "{:<40} {rate:>8.0} updates/s {cpu_ms:>6.2} ms CPU per 1,000 {ratio:>6.2} of the first",
            way.name
        );
    }
}

impl Way {
    async fn measure(&self, endpoint: &Endpoint, profiles: u32, updates: u32) -> Cost {
        let mut samples = Samples::new(1, profiles);
        let known: Vec<_> = (0..profiles).map(|profile| samples.update(profile).json).collect();
        let known = self.requests(known.into_iter(), 0);
        let records = samples.take(updates as usize).map(|sample| sample.json);
        let updates = self.requests(records, known.len());

        let mut sink = Sink::start_with(self.source, endpoint, &options("mapped", false));
        self.send(&mut sink, known).await;
        let watch = Watch::on(sink.id());
        self.send(&mut sink, updates).await;
        if let Transport::Pipe = self.transport {
            // Nothing is acknowledged there, but it ends when all is taken.
            sink.end_input();
            sink.ended().await;
        }
        let cost = watch.read();
        sink.stop();
        cost
    }

    /// The requests with their numbers, counted from `first`.
    fn requests(
        &self,
        mut records: impl Iterator<Item = Vec<u8>>,
        first: usize,
    ) -> Vec<(usize, Bytes)> {
        let mut requests = Vec::new();
        loop {
            let batch: Vec<_> = records.by_ref().take(AT_ONCE).collect();
            if batch.is_empty() {
                return requests;
            }
            let number = first + requests.len();
            requests.push((number, (self.write)(number, &batch).into()));
        }
    }

    /// Returns when everything is acknowledged, over a pipe when it is written.
    async fn send(&self, sink: &mut Sink, requests: Vec<(usize, Bytes)>) {
        if let Transport::Pipe = self.transport {
            let mut input = sink.take_input();
            let written = spawn_blocking(move || {
                for (_, lines) in requests {
                    input.write_all(&lines).expect("a reader");
                }
                input
            });
            sink.put_input(written.await.expect("no panic"));
            return;
        }
        let (address, transport) = (sink.address, self.transport);
        let mut connections = JoinSet::new();
        for connection in 0..CONNECTIONS {
            let share: Vec<_> =
                requests.iter().skip(connection).step_by(CONNECTIONS).cloned().collect();
            connections.spawn(async move {
                match transport {
                    Transport::Forward => forward(address, share).await,
                    Transport::Http { path, media_type } => {
                        let uri = format!("http://{address}{path}");
                        http(&uri, media_type, false, share).await;
                    }
                    Transport::Grpc => {
                        let uri = format!("http://{address}/vector.Vector/PushEvents");
                        http(&uri, "application/grpc", true, share).await;
                    }
                    Transport::Pipe => unreachable!("written above"),
                }
            });
        }
        while let Some(connection) = connections.join_next().await {
            connection.expect("no panic");
        }
    }
}

async fn forward(address: std::net::SocketAddr, messages: Vec<(usize, Bytes)>) {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    for (number, message) in messages {
        stream.write_all(&message).await.expect("a reader");
        let expected = wire::acknowledgement(number);
        let mut answer = vec![0; expected.len()];
        stream.read_exact(&mut answer).await.expect("an acknowledgement");
        assert_eq!(answer, expected);
    }
}

async fn http(uri: &str, media_type: &str, grpc: bool, bodies: Vec<(usize, Bytes)>) {
    let client = Client::builder(TokioExecutor::new()).http2_only(grpc).build_http();
    for (_, body) in bodies {
        let request = Request::post(uri)
            .header("content-type", media_type)
            .header("te", "trailers")
            .body(Full::new(body))
            .expect("a request");
        let answer = client.request(request).await.expect("an answer");
        assert!(answer.status().is_success(), "{answer:?}");
        let body = answer.into_body().collect().await.expect("a body");
        if grpc {
            let status = body.trailers().and_then(|trailers| trailers.get("grpc-status"));
            assert!(status.is_some_and(|status| status == "0"), "{:?}", body.trailers());
        }
    }
}
