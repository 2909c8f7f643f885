//! What is hostile or broken costs the sources that speak HTTP little and hurts nobody else.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

use crate::{
    support::{MANY_FILES, MAPPING, Place, Process, Sender, memory, record, spare_files},
    vector_client::{VectorClient, log_of},
};

const LIMIT: &str = "4194304";

/// How a connection that says nothing begins, and what comes back on it.
struct Greeting {
    says: &'static [u8],
    hears: &'static [u8],
    /// What a client that never reads goes on saying; each time something comes back.
    goes_on: &'static [u8],
}

const HTTP_1: Greeting = Greeting {
    says: b"HEAD / HTTP/1.1\r\nhost: x\r\n\r\n",
    hears: b"HTTP/1.1 200 OK",
    goes_on: b"HEAD / HTTP/1.1\r\nhost: x\r\n\r\n",
};

const HTTP_2: Greeting = Greeting {
    // The preface and empty settings.
    says: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
    // A frame of settings, of which it says a few.
    hears: b"\0\0",
    // A ping.
    goes_on: b"\0\0\x08\x06\0\0\0\0\0\x01\x02\x03\x04\x05\x06\x07\x08",
};

impl Greeting {
    fn hail(&self, address: SocketAddr) -> TcpStream {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(self.says).unwrap();
        stream
    }

    fn await_answer(&self, stream: &mut TcpStream) {
        let mut heard = vec![0; self.hears.len()];
        stream.read_exact(&mut heard).unwrap();
        assert_eq!(heard, self.hears);
    }
}

fn stop(process: Process) {
    process.signal("TERM");
    let (status, log) = process.wait();
    assert!(status.success(), "{status}: {log}");
}

/// Ten thousand connections that were used once, and one that never reads.
async fn silence(source: &str, greeting: &Greeting, kib: usize, good: impl AsyncFn(SocketAddr)) {
    let _many = MANY_FILES.lock().await;
    let place = Place::new().await;
    let process = place.run(source, "", MAPPING);
    let before = memory(&process, "VmRSS:");
    let mut idle = Vec::new();
    while idle.len() < spare_files().min(10_000) {
        idle.push(greeting.hail(place.address));
        if idle.len() % 100 == 0 {
            // No more at once than what waits to be accepted anywhere.
            let last = idle.len() - 1;
            greeting.await_answer(&mut idle[last]);
        }
    }
    let mut deaf = greeting.hail(place.address);
    deaf.set_nonblocking(true).unwrap();
    let said = greeting.goes_on.repeat(1000);
    let (mut sent, mut blocked) = (0, 0);
    while sent < 64 << 20 && blocked < 20 {
        match deaf.write(&said[sent % said.len()..]) {
            Ok(written) => (sent, blocked) = (sent + written, 0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                blocked += 1;
                // The source goes on as long as there is room for its answers.
                good(place.address).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
    good(place.address).await;
    let taken = memory(&process, "VmRSS:") - before;
    let allowed = 16 + idle.len() * kib / 1024;
    assert!(taken < allowed, "{} connections took {taken} MiB", idle.len());
    drop(idle);
    drop(deaf);
    stop(process);
}

async fn post(address: SocketAddr) {
    let answer = Sender::new(address).post(record(1, 1)).await.unwrap();
    assert_eq!(answer.0, StatusCode::OK, "{}", answer.1);
}

async fn export(address: SocketAddr) {
    let json = [("content-type", "application/json")];
    let answer = request(false, address, "/v1/logs", &json, Bytes::from_static(b"{}")).await;
    assert_eq!(answer.0, StatusCode::OK);
}

async fn push(address: SocketAddr) {
    VectorClient::new(address).push(vec![log_of(&record(1, 1))]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn idle_and_deaf_clients_of_http_server_hold_up_nobody() {
    silence("http_server", &HTTP_1, 32, post).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn idle_and_deaf_clients_of_opentelemetry_hold_up_nobody() {
    silence("opentelemetry", &HTTP_1, 32, export).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn idle_and_deaf_clients_of_vector_hold_up_nobody() {
    silence("vector", &HTTP_2, 64, push).await;
}

/// The status, headers and trailers together, of a request over HTTP/1.1 or HTTP/2.
async fn request(
    http2: bool,
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> (StatusCode, HeaderMap) {
    let client: Client<HttpConnector, _> =
        Client::builder(TokioExecutor::new()).http2_only(http2).build_http();
    let mut request = Request::post(format!("http://{address}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = client.request(request.body(Full::new(body)).unwrap()).await.unwrap();
    let (status, mut headers) = (answer.status(), answer.headers().clone());
    let body = answer.into_body().collect().await.unwrap();
    headers.extend(body.trailers().cloned().unwrap_or_default());
    (status, headers)
}

/// A gigabyte of zeros in several members: gzip and zstd.
fn bombs() -> [(&'static str, Vec<u8>); 2] {
    let zeros = vec![0; 16 << 20];
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&zeros).unwrap();
    let gzip = gzip.finish().unwrap().repeat(64);
    [("gzip", gzip), ("zstd", zstd::encode_all(&zeros[..], 1).unwrap().repeat(64))]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn bombs_and_bodies_that_are_too_long_take_no_more_memory_than_the_limits_say() {
    let too_long = Bytes::from(vec![b' '; 40 << 20]);
    for (source, path, option) in [
        ("http_server", "/", "max_body_bytes"),
        ("opentelemetry", "/v1/logs", "max_body_bytes"),
        ("vector", "/vector.Vector/PushEvents", "max_message_bytes"),
    ] {
        let place = Place::new().await;
        let mut process = place.run(source, &format!(", {option}: {LIMIT}"), MAPPING);
        let before = memory(&process, "VmHWM:");
        let grpc = source == "vector";
        let refused = async |encoding: &str, body: Bytes| {
            let headers = if grpc {
                [("content-type", "application/grpc"), ("grpc-encoding", encoding)]
            } else {
                [("content-type", "application/json"), ("content-encoding", encoding)]
            };
            let (status, headers) = request(grpc, place.address, path, &headers, body).await;
            if grpc {
                // RESOURCE_EXHAUSTED
                assert_eq!(headers["grpc-status"], "8", "{source} {encoding}");
            } else {
                assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{source} {encoding}");
            }
        };
        for (encoding, bomb) in bombs() {
            let length = u32::try_from(bomb.len()).unwrap().to_be_bytes();
            let body: Bytes =
                if grpc { [&[1], &length[..], &bomb].concat().into() } else { bomb.into() };
            let at_once = (0..16).map(|_| refused(encoding, body.clone()));
            futures_util::future::join_all(at_once).await;
        }
        let at_once = (0..4).map(|_| refused("identity", too_long.clone()));
        futures_util::future::join_all(at_once).await;
        let line = process.wait_for(&format!("{option}, {LIMIT}"));
        assert!(line.contains("WARN") && line.contains("source=\"in\""), "{line}");
        let peak = memory(&process, "VmHWM:");
        assert!(peak - before < 200, "{source}: {before} MiB became {peak} MiB");
        match source {
            "http_server" => post(place.address).await,
            "vector" => push(place.address).await,
            _ => export(place.address).await,
        }
        stop(process);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_nested_without_end_or_no_object_is_set_aside_and_its_neighbours_are_taken() {
    let mut place = Place::new().await;
    let process = place.run("http_server", "", MAPPING);
    let sender = Sender::new(place.address);
    let deep = format!(r#"{{"a":{}1{}}}"#, "[".repeat(1_000_000), "]".repeat(1_000_000));
    let lines = [record(1, 1), deep.clone(), "[]".to_owned(), "7".to_owned(), record(2, 1)];
    let (status, answer) = sender.post(lines.join("\n")).await.unwrap();
    assert_eq!(status, StatusCode::OK);
    assert!(answer.contains(r#""changed":2,"#) && answer.contains(r#""invalid":3"#), "{answer}");
    let json = [("content-type", "application/json")];
    for whole in [deep, "[".repeat(1_000_000)] {
        let (status, answer) = sender.post_as(&json, whole).await.unwrap();
        let refused = status == StatusCode::BAD_REQUEST;
        assert!(refused || answer.contains(r#""invalid":1"#), "{status} {answer}");
    }
    place.arrivals(2).await;
    stop(process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_sender_with_the_wrong_password_is_turned_away_and_told_of() {
    let place = Place::new().await;
    let auth = ", auth: { strategy: basic, user: ann, password: p4ss }";
    let mut process = place.run("http_server", auth, MAPPING);
    let sender = Sender::new(place.address);
    // ann:wrong
    let wrong = [("authorization", "Basic YW5uOndyb25n")];
    for _ in 0..20 {
        assert_eq!(sender.post_as(&wrong, record(1, 1)).await.unwrap().0, 401);
    }
    let line = process.wait_for("a request was refused");
    assert!(line.contains("WARN") && line.contains("peer=127.0.0.1:"), "{line}");
    // ann:p4ss
    let right = [("authorization", "Basic YW5uOnA0c3M=")];
    assert_eq!(sender.post_as(&right, record(1, 1)).await.unwrap().0, 200);
    process.signal("TERM");
    let (_, log) = process.wait();
    assert_eq!(log.matches("a request was refused").count(), 1, "{log}");
}
