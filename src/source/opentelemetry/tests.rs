use std::io::Write;

use http_body_util::BodyExt;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::sync::mpsc;

use super::{super::protobuf::write::bytes as field, *};
use crate::{
    record::{Ack, Batch, Unavailable},
    source::testing::{Taken, texts},
};

const LIMIT: usize = 64 * 1024;
const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");

struct Running {
    address: std::net::SocketAddr,
    intake: Taken,
    feed: Feed<Taken>,
    arrived: mpsc::UnboundedReceiver<Batch>,
}

async fn start() -> Running {
    let (intake, arrived) = Taken::new();
    let listener = listen::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let feed = intake.feed();
    let stop = CancellationToken::new();
    tokio::spawn(serve(listener, feed.clone(), ProfileFrom::Body, LIMIT, stop));
    Running { address, intake, feed, arrived }
}

struct Answer {
    status: u16,
    headers: http::HeaderMap,
    body: Bytes,
}

impl Running {
    async fn send(&self, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        self.request("POST", path, headers, body).await
    }

    async fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
        let mut request =
            Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = client.request(request.body(Full::new(body.into())).unwrap()).await.unwrap();
        let (head, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: head.status.as_u16(), headers: head.headers, body }
    }

    fn next(&mut self) -> Vec<(String, String)> {
        texts(&self.arrived.try_recv().unwrap())
    }
}

/// An export of one log record with this text as its body.
fn protobuf(text: &str) -> Vec<u8> {
    field(1, field(2, field(2, field(5, field(1, text)))))
}

fn json(text: &str) -> String {
    let body = serde_json::to_string(text).unwrap();
    format!(
        r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"body":{{"stringValue":{body}}}}}]}}]}}]}}"#
    )
}

fn item(json: &str) -> (String, String) {
    ("item 1".to_owned(), json.to_owned())
}

#[tokio::test]
async fn an_export_is_answered_in_the_form_it_came_in() {
    let mut source = start().await;
    let answer = source.send("/v1/logs", &[PROTOBUF], protobuf("{\"a\":1}")).await;
    assert_eq!((answer.status, &answer.body[..]), (200, &b""[..]));
    assert_eq!(answer.headers["content-type"], "application/x-protobuf");
    assert_eq!(source.next(), [item("{\"a\":1}")]);

    let answer = source.send("/v1/logs", &[JSON], json("{\"a\":2}")).await;
    assert_eq!((answer.status, &answer.body[..]), (200, &b"{}"[..]));
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(source.next(), [item("{\"a\":2}")]);
}

#[tokio::test]
async fn compressed_exports_are_taken() {
    let mut source = start().await;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&protobuf("{}")).unwrap();
    let headers = [PROTOBUF, ("content-encoding", "gzip")];
    assert_eq!(source.send("/v1/logs", &headers, gzip.finish().unwrap()).await.status, 200);
    assert_eq!(source.next(), [item("{}")]);
}

#[tokio::test]
async fn the_sender_is_told_how_many_records_were_set_aside() {
    let source = start().await;
    let invalid = Ack { received: 300, invalid: 200, ..Ack::default() };
    source.intake.answer(Ok(invalid));
    let answer = source.send("/v1/logs", &[PROTOBUF], protobuf("no")).await;
    assert_eq!(answer.status, 200);
    // Field 1, a message, begins with field 1, the number 200.
    assert_eq!((answer.body[0], &answer.body[2..5]), (0x0a, &b"\x08\xc8\x01"[..]));

    source.intake.answer(Ok(invalid));
    let answer = source.send("/v1/logs", &[JSON], json("no")).await;
    let answer: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(answer["partialSuccess"]["rejectedLogRecords"], "200");
    let message = answer["partialSuccess"]["errorMessage"].as_str().unwrap();
    assert!(message.contains("invalid"), "{message}");

    // Two sinks, to both of which the only record is invalid.
    source.intake.answer(Ok(Ack { received: 1, invalid: 2, ..Ack::default() }));
    let answer = source.send("/v1/logs", &[JSON], json("no")).await;
    assert!(String::from_utf8_lossy(&answer.body).contains(r#""rejectedLogRecords":"1""#));
}

#[tokio::test]
async fn what_can_pass_is_answered_so_that_the_sender_comes_again() {
    let source = start().await;
    source.intake.answer(Err(Unavailable("disk full".to_owned())));
    let answer = source.send("/v1/logs", &[JSON], json("{}")).await;
    assert_eq!((answer.status, &answer.headers["retry-after"]), (503, &"1".parse().unwrap()));
    assert_eq!(&answer.body[..], br#"{"message":"the store cannot take records now: disk full"}"#);
    assert_eq!(source.send("/v1/logs", &[JSON], json("{}")).await.status, 200);
}

#[tokio::test]
async fn what_can_never_be_taken_is_refused_with_the_reason() {
    let mut source = start().await;
    let long = " ".repeat(LIMIT + 1);
    let gzip = [JSON, ("content-encoding", "gzip")];
    let brotli = [JSON, ("content-encoding", "br")];
    let text = [("content-type", "text/plain")];
    for (path, headers, body, status, reason) in [
        ("/v1/logs", &[JSON][..], "{\"resourceLogs\":1}".to_owned(), 400, "line 1 column"),
        ("/v1/logs", &[PROTOBUF], "{}".to_owned(), 400, "unknown kind"),
        ("/v1/logs", &gzip, "{}".to_owned(), 400, "gzip body is damaged"),
        ("/v1/logs", &[JSON], long, 413, "max_body_bytes"),
        ("/v1/logs", &brotli, "{}".to_owned(), 415, "Content-Encoding"),
        ("/v1/logs", &text, "{}".to_owned(), 415, "application/x-protobuf"),
        ("/v1/metrics", &[PROTOBUF], String::new(), 404, "/v1/logs"),
        ("/v1/traces", &[JSON], "{}".to_owned(), 404, "/v1/logs"),
    ] {
        let answer = source.send(path, headers, body).await;
        let text = String::from_utf8_lossy(&answer.body);
        assert_eq!(answer.status, status, "{text}");
        assert!(text.contains(reason), "{text}");
    }
    assert!(source.arrived.try_recv().is_err());
    assert_eq!(source.feed.metrics.errors("path", "receiving").get(), 2);
}

#[tokio::test]
async fn health_checks_succeed_and_other_methods_do_not() {
    let source = start().await;
    for method in ["GET", "HEAD"] {
        assert_eq!(source.request(method, "/", &[], "").await.status, 200);
    }
    assert_eq!(source.request("PUT", "/v1/logs", &[JSON], json("{}")).await.status, 405);
}
