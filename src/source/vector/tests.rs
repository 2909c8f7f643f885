use std::io::Write;

use bytes::{BufMut, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
    task::JoinHandle,
};

use super::{super::protobuf::write::bytes as field, *};
use crate::{
    record::{Batch, Unavailable},
    source::testing::{Taken, texts},
};

const LIMIT: usize = 64 * 1024;

const RESOURCE_EXHAUSTED: &str = "8";
const FAILED_PRECONDITION: &str = "9";
const UNIMPLEMENTED: &str = "12";
const UNAVAILABLE: &str = "14";
const DATA_LOSS: &str = "15";

/// A running source and a client.
struct Running {
    intake: Taken,
    feed: Feed<Taken>,
    arrived: mpsc::UnboundedReceiver<Batch>,
    stop: CancellationToken,
    task: JoinHandle<()>,
    client: Client<HttpConnector, Full<Bytes>>,
    address: std::net::SocketAddr,
}

async fn start() -> Running {
    let (intake, arrived) = Taken::new();
    let listener = listen::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (feed, stop) = (intake.feed(), CancellationToken::new());
    let task = tokio::spawn(serve(listener, feed.clone(), LIMIT, stop.clone()));
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    Running { intake, feed, arrived, stop, task, client, address }
}

/// What a call came to.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    status: String,
    message: String,
    body: Bytes,
}

impl Running {
    /// Sends a body to a method of `vector.Vector`, with the encoding of its messages.
    async fn call(&self, path: &str, encoding: &str, body: impl Into<Bytes>) -> Outcome {
        let request = Request::post(format!("http://{}{path}", self.address))
            .header("content-type", "application/grpc")
            .header("grpc-encoding", encoding)
            .header("te", "trailers");
        let request = request.body(Full::new(body.into())).unwrap();
        let answer = self.client.request(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "application/grpc");
        let collected = answer.into_body().collect().await.unwrap();
        let trailers = collected.trailers().unwrap().clone();
        let text = |name: &str| {
            trailers.get(name).map_or(String::new(), |value| value.to_str().unwrap().to_owned())
        };
        Outcome {
            status: text("grpc-status"),
            message: text("grpc-message"),
            body: collected.to_bytes(),
        }
    }

    async fn push(&self, message: &[u8]) -> Outcome {
        self.call("/vector.Vector/PushEvents", "identity", framed(0, message)).await
    }

    fn next(&mut self) -> Vec<(String, String)> {
        texts(&self.arrived.try_recv().unwrap())
    }
}

fn framed(flag: u8, message: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(flag);
    frame.put_u32(u32::try_from(message.len()).unwrap());
    frame.extend_from_slice(message);
    frame.freeze()
}

/// A log event with one field `a`.
fn log(text: &str) -> Vec<u8> {
    let entry = [field(1, "a"), field(2, field(1, text))].concat();
    field(1, field(1, field(1, entry)))
}

fn metric() -> Vec<u8> {
    field(1, field(2, field(1, "name")))
}

fn item(number: u64, json: &str) -> (String, String) {
    (format!("item {number}"), json.to_owned())
}

#[tokio::test]
async fn events_are_taken_and_answered_with_an_empty_message() {
    let mut source = start().await;
    let outcome = source.push(&[log("x"), log("y")].concat()).await;
    let ok = Outcome { status: "0".into(), message: String::new(), body: framed(0, b"") };
    assert_eq!(outcome, ok);
    assert_eq!(source.next(), [item(1, r#"{"a":"x"}"#), item(2, r#"{"a":"y"}"#)]);
    assert_eq!(source.feed.metrics.received_events.get(), 2);
}

#[tokio::test]
async fn each_event_with_an_id_is_a_part_of_its_own() {
    let mut source = start().await;
    let identified = |id: &str| {
        let entry = [field(1, "a"), field(2, field(1, "x"))].concat();
        field(1, field(1, [field(1, entry), field(4, field(7, id))].concat()))
    };
    let damaged = field(1, field(1, field(4, "\u{7}")));
    let message = [identified("1"), metric(), identified("2"), log("x"), damaged].concat();
    assert_eq!(source.push(&message).await.status, "0");
    let parts = source.arrived.try_recv().unwrap().parts;
    let told: Vec<_> = parts.iter().map(|part| (part.id.is_some(), part.records)).collect();
    assert_eq!(told, [(true, 1), (true, 1), (false, 2)]);
    assert_eq!(source.push(&identified("2")).await.status, "0");
    assert_eq!(source.arrived.try_recv().unwrap().parts, parts[1..2]);
}

#[tokio::test]
async fn compressed_messages_are_taken() {
    let mut source = start().await;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&log("x")).unwrap();
    let zstd = zstd::encode_all(&log("x")[..], 3).unwrap();
    for (encoding, message) in [("gzip", gzip.finish().unwrap()), ("zstd", zstd)] {
        let body = framed(1, &message);
        let outcome = source.call("/vector.Vector/PushEvents", encoding, body).await;
        assert_eq!(outcome.status, "0", "{encoding}: {}", outcome.message);
        assert_eq!(source.next(), [item(1, r#"{"a":"x"}"#)]);
    }
}

#[tokio::test]
async fn metrics_are_acknowledged_dropped_and_counted_and_the_logs_beside_them_taken() {
    let mut source = start().await;
    let outcome = source.push(&[metric(), log("x"), metric()].concat()).await;
    assert_eq!(outcome.status, "0");
    assert_eq!(source.next(), [item(2, r#"{"a":"x"}"#)]);
    assert_eq!(source.feed.metrics.discarded(true, "not_logs").get(), 2);
}

#[tokio::test]
async fn vector_keeps_what_the_store_cannot_take_now() {
    let source = start().await;
    source.intake.answer(Err(Unavailable("disk full".to_owned())));
    let outcome = source.push(&log("x")).await;
    assert_eq!(outcome.status, UNAVAILABLE);
    assert!(outcome.message.contains("disk full"), "{}", outcome.message);
    assert_eq!(source.push(&log("x")).await.status, "0");
}

#[tokio::test]
async fn vector_keeps_what_is_larger_than_the_limit() {
    let mut source = start().await;
    let longest = log(&"x".repeat(LIMIT - log("").len() - 5 * 2));
    assert_eq!(longest.len(), LIMIT);
    assert_eq!(source.push(&longest).await.status, "0");
    assert_eq!(source.next().len(), 1);

    let longer = log(&"x".repeat(LIMIT));
    let outcome = source.push(&longer).await;
    assert_eq!(outcome.status, RESOURCE_EXHAUSTED);
    assert!(outcome.message.contains("max_message_bytes, 65536"), "{}", outcome.message);
    let bomb = framed(1, &zstd::encode_all(&longer[..], 3).unwrap());
    assert!(bomb.len() < 1000);
    let outcome = source.call("/vector.Vector/PushEvents", "zstd", bomb).await;
    assert_eq!(outcome.status, RESOURCE_EXHAUSTED);
    assert!(source.arrived.try_recv().is_err());
    assert_eq!(source.feed.metrics.errors("message_too_large", "receiving").get(), 2);
}

#[tokio::test]
async fn what_can_never_be_read_is_refused_for_good() {
    let mut source = start().await;
    let whole = log("x");
    let outcome = source.push(&whole[..whole.len() - 1]).await;
    assert_eq!(outcome.status, DATA_LOSS);
    assert!(outcome.message.contains("cut off"), "{}", outcome.message);
    let damaged = framed(1, b"not gzip at all");
    let outcome = source.call("/vector.Vector/PushEvents", "gzip", damaged).await;
    assert_eq!(outcome.status, DATA_LOSS);
    assert!(source.arrived.try_recv().is_err());
    assert_eq!(source.push(&whole).await.status, "0", "the connection is unharmed");
}

#[tokio::test]
async fn vector_keeps_what_is_compressed_in_a_way_that_is_not_known() {
    let source = start().await;
    let outcome = source.call("/vector.Vector/PushEvents", "lz4", framed(1, b"x")).await;
    assert_eq!(outcome.status, FAILED_PRECONDITION);
    assert!(outcome.message.contains("gzip and zstd"), "{}", outcome.message);
}

#[tokio::test]
async fn health_checks_of_vector_and_of_grpc_succeed() {
    let source = start().await;
    for (path, message) in
        [("/vector.Vector/HealthCheck", VECTOR_SERVES), ("/grpc.health.v1.Health/Check", SERVES)]
    {
        let outcome = source.call(path, "identity", framed(0, b"")).await;
        assert_eq!((&*outcome.status, outcome.body), ("0", framed(0, message)));
    }
}

#[tokio::test]
async fn other_calls_and_what_is_no_call_are_told_what_is_served() {
    let source = start().await;
    let outcome = source.call("/other.Service/Do", "identity", framed(0, b"")).await;
    assert_eq!(outcome.status, UNIMPLEMENTED);
    assert!(outcome.message.contains("/other.Service/Do"), "{}", outcome.message);

    let request = Request::post(format!("http://{}/", source.address));
    let request = request.body(Full::new(Bytes::from_static(b"{}"))).unwrap();
    assert_eq!(source.client.request(request).await.unwrap().status(), 415);
}

#[tokio::test]
async fn a_client_of_http_1_is_turned_away_and_no_other_hurt() {
    let source = start().await;
    let mut stream = TcpStream::connect(source.address).await.unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // Closing with what was sent unread resets the connection.
    let _ = stream.read_to_end(&mut answer).await;
    assert_eq!(answer, b"");
    assert_eq!(source.push(&log("x")).await.status, "0");
}

#[tokio::test]
async fn calls_on_one_connection_are_answered_each_when_it_is_committed() {
    let mut source = start().await;
    source.intake.commits.forget_permits(usize::MAX);
    let mut arrived = std::mem::replace(&mut source.arrived, mpsc::unbounded_channel().1);
    let commits = source.intake.commits.clone();
    let messages = ["x", "y", "z"].map(log);
    let calls = futures_util::future::join_all(messages.iter().map(|log| source.push(log)));
    let mut calls = std::pin::pin!(calls);
    // All of them are under way before the first is committed, and what can happen does.
    let under_way = async {
        for _ in 0..3 {
            arrived.recv().await.unwrap();
        }
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        outcomes = &mut calls => panic!("answered before the commit: {outcomes:?}"),
        () = under_way => {}
    }
    commits.add_permits(3);
    assert!(calls.await.iter().all(|outcome| outcome.status == "0"));
}

#[tokio::test]
async fn stopping_waits_for_the_call_under_way() {
    let mut source = start().await;
    source.intake.commits.forget_permits(usize::MAX);
    let message = log("x");
    let (arrived, stop) = (&mut source.arrived, source.stop.clone());
    let commits = source.intake.commits.clone();
    let request = Request::post(format!("http://{}/vector.Vector/PushEvents", source.address))
        .header("content-type", "application/grpc")
        .body(Full::new(framed(0, &message)))
        .unwrap();
    let call = source.client.request(request);
    let stopping = async {
        arrived.recv().await.unwrap();
        stop.cancel();
        while TcpStream::connect(source.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        commits.add_permits(1);
    };
    let (answer, ()) = tokio::join!(call, stopping);
    let trailers = answer.unwrap().into_body().collect().await.unwrap().trailers().unwrap().clone();
    assert_eq!(trailers["grpc-status"], "0");
    source.task.await.unwrap();
}
