use std::{io::Write, net::SocketAddr};

use http::Request;
use http_body_util::BodyExt;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
    task::JoinHandle,
};

use super::*;
use crate::{
    record::{Batch, Unavailable},
    source::testing::{Taken, texts},
};

const LIMIT: usize = 64 * 1024;

/// A running source.
struct Running {
    address: SocketAddr,
    intake: Taken,
    feed: Feed<Taken>,
    arrived: mpsc::UnboundedReceiver<Batch>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

async fn start() -> Running {
    start_with(None).await
}

async fn start_with(auth: Option<SenderAuth>) -> Running {
    let settings = Settings { max_body_bytes: LIMIT, auth };
    let (intake, arrived) = Taken::new();
    let listener = listen::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (feed, stop) = (intake.feed(), CancellationToken::new());
    let task = tokio::spawn(serve(listener, feed.clone(), settings, stop.clone()));
    Running { address, intake, feed, arrived, stop, task }
}

/// The status, a header and the body of an answer.
struct Answer {
    status: u16,
    headers: http::HeaderMap,
    body: String,
}

impl Running {
    async fn send(&self, method: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
        let uri = format!("http://{}/any/path?x=1", self.address);
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = client.request(request.body(Full::new(body.into())).unwrap()).await.unwrap();
        let (head, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    async fn post(&self, body: impl Into<Bytes>) -> Answer {
        self.send("POST", &[], body).await
    }

    fn next(&mut self) -> Vec<(String, String)> {
        texts(&self.arrived.try_recv().unwrap())
    }
}

fn records(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(place, json)| ((*place).to_owned(), (*json).to_owned())).collect()
}

#[tokio::test]
async fn an_object_an_array_and_lines_are_taken_and_counted() {
    let mut source = start().await;
    let answer = source.post("{\"a\":1}").await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.body,
        "{\"received\":1,\"changed\":1,\"unchanged\":0,\"not_followed\":0,\"stale\":0,\"invalid\":0}"
    );
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(source.next(), records(&[("the record", "{\"a\":1}")]));

    assert_eq!(source.post("[{},{\"a\":2}]").await.status, 200);
    assert_eq!(source.next(), records(&[("item 1", "{}"), ("item 2", "{\"a\":2}")]));

    let ndjson = [("content-type", "application/x-ndjson; charset=utf-8")];
    assert_eq!(source.send("POST", &ndjson, "oops\n{}\r\n").await.status, 200);
    assert_eq!(source.next(), records(&[("line 1", "oops"), ("line 2", "{}")]));

    assert_eq!(source.feed.metrics.received_events.get(), 5);
    assert_eq!(source.feed.metrics.received_bytes.get(), 7 + 12 + 9);
}

#[tokio::test]
async fn compressed_bodies_are_taken() {
    let mut source = start().await;
    let text: &[u8] = b"{\"n\":1}\n{\"n\":2}\n";
    let expected = records(&[("line 1", "{\"n\":1}"), ("line 2", "{\"n\":2}")]);

    let gzip = |text: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    };
    let mut deflate = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    deflate.write_all(text).unwrap();
    // A gzip file may consist of several members.
    let members = [gzip(&text[..8]), gzip(&text[8..])].concat();
    for (encoding, body) in [
        ("gzip", gzip(text)),
        ("GZIP", members),
        ("deflate", deflate.finish().unwrap()),
        ("zstd", zstd::encode_all(text, 3).unwrap()),
        ("snappy", snap::raw::Encoder::new().compress_vec(text).unwrap()),
        ("identity", text.to_vec()),
    ] {
        let answer = source.send("POST", &[("content-encoding", encoding)], body).await;
        assert_eq!(answer.status, 200, "{encoding}: {}", answer.body);
        assert_eq!(source.next(), expected, "{encoding}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_whole_and_names_the_place() {
    let mut source = start().await;
    let answer = source.post("[{\"a\":1},\n{\"b\" 2}]").await;
    assert_eq!(answer.status, 400);
    assert_eq!(
        answer.body,
        "{\"error\":\"the array does not parse: line 2 column 6: expected `:`\"}"
    );
    assert_eq!(source.post("neither\nnor\n").await.status, 400);
    let cut = &zstd::encode_all(&[b' '; 4000][..], 3).unwrap()[..9];
    let answer = source.send("POST", &[("content-encoding", "zstd")], cut.to_vec()).await;
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("the zstd body is damaged"), "{}", answer.body);
    assert!(source.arrived.try_recv().is_err());
    assert_eq!(source.feed.metrics.errors("unreadable_body", "receiving").get(), 3);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_also_after_decompression() {
    let mut source = start().await;
    let longest = format!("{{{}}}", " ".repeat(LIMIT - 2));
    assert_eq!(source.post(longest.clone()).await.status, 200);
    assert_eq!(source.next().len(), 1);

    let answer = source.post(longest.clone() + "\n").await;
    assert_eq!(answer.status, 413);
    assert!(answer.body.contains("max_body_bytes, 65536"), "{}", answer.body);

    let bomb = zstd::encode_all((longest + "\n").as_bytes(), 3).unwrap();
    assert!(bomb.len() < 1000);
    assert_eq!(source.send("POST", &[("content-encoding", "zstd")], bomb).await.status, 413);
    assert!(source.arrived.try_recv().is_err());
}

#[tokio::test]
async fn a_chunked_body_over_the_limit_is_refused() {
    let source = start().await;
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    let head = "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut stream = TcpStream::connect(source.address).await.unwrap();
    stream.write_all(format!("{head}{chunk}1\r\n \r\n0\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
}

#[tokio::test]
async fn an_unknown_encoding_and_other_methods_are_refused_with_what_is_right() {
    let source = start().await;
    let answer = source.send("POST", &[("content-encoding", "br")], "x").await;
    assert_eq!(answer.status, 415);
    assert_eq!(answer.headers["accept-encoding"], "gzip, zstd, deflate, snappy");
    let answer = source.send("PUT", &[], "{}").await;
    assert_eq!(answer.status, 405);
    assert_eq!(answer.headers["allow"], "POST, GET, HEAD");
}

#[tokio::test]
async fn health_checks_of_senders_succeed() {
    let mut source = start().await;
    for method in ["GET", "HEAD"] {
        let answer = source.send(method, &[], "").await;
        assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    }
    assert!(source.arrived.try_recv().is_err());
}

#[tokio::test]
async fn the_sender_is_asked_to_come_again_while_the_store_cannot_take_it() {
    let source = start().await;
    source.intake.answer(Err(Unavailable("disk full".to_owned())));
    let answer = source.post("{}").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.headers["retry-after"], "1");
    assert!(answer.body.contains("disk full"), "{}", answer.body);
    assert_eq!(source.post("{}").await.status, 200);
}

#[tokio::test]
async fn nothing_is_answered_before_the_commit_and_stopping_waits_for_it() {
    let mut source = start().await;
    source.intake.commits.forget_permits(usize::MAX);
    let mut stream = TcpStream::connect(source.address).await.unwrap();
    let request = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}";
    stream.write_all(request.as_bytes()).await.unwrap();
    source.arrived.recv().await.unwrap();
    source.stop.cancel();
    // Everything that can happen without the commit has happened when this connection is refused.
    while TcpStream::connect(source.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let mut answer = [0; 15];
    let early = stream.try_read(&mut answer);
    assert!(early.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock));
    assert!(!source.task.is_finished());

    source.intake.commits.add_permits(1);
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    source.task.await.unwrap();
}

#[tokio::test]
async fn a_stalled_sender_hurts_no_other_and_its_part_is_not_taken() {
    let mut source = start().await;
    let mut stalled = TcpStream::connect(source.address).await.unwrap();
    let half = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 6\r\n\r\n{}\n";
    stalled.write_all(half.as_bytes()).await.unwrap();
    assert_eq!(source.post("{}").await.status, 200);
    assert_eq!(source.next().len(), 1);

    stalled.shutdown().await.unwrap();
    let mut answer = String::new();
    stalled.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(source.arrived.try_recv().is_err());
}

#[tokio::test]
async fn a_client_that_has_closed_its_sending_side_still_gets_its_answer() {
    let mut source = start().await;
    source.intake.commits.forget_permits(usize::MAX);
    let mut stream = TcpStream::connect(source.address).await.unwrap();
    let request = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}";
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    source.arrived.recv().await.unwrap();
    // The server comes to see the end of the stream before the commit.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    source.intake.commits.add_permits(1);
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stops_coming_is_given_up_without_being_taken() {
    let mut source = start().await;
    let mut stream = TcpStream::connect(source.address).await.unwrap();
    let half = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 6\r\n\r\n{}\n";
    stream.write_all(half.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
    assert!(source.arrived.try_recv().is_err());
}

#[tokio::test]
async fn a_sender_can_write_a_body_over_the_limit_to_its_end_and_reads_why_it_is_refused() {
    let source = start().await;
    let mut stream = TcpStream::connect(source.address).await.unwrap();
    // More than the buffers of both sockets hold.
    let length = 32 * 1024 * 1024;
    let head = format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b' '; length]).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
}

#[tokio::test]
async fn a_sender_that_asks_first_need_not_send_a_body_over_the_limit() {
    let source = start().await;
    let mut stream = TcpStream::connect(source.address).await.unwrap();
    let head =
        "POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 99999\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
}

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let mut source = start().await;
    let mut stream = TcpStream::connect(source.address).await.unwrap();
    for _ in 0..3 {
        let request = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}";
        stream.write_all(request.as_bytes()).await.unwrap();
        source.arrived.recv().await.unwrap();
        let mut answer = vec![0; 1024];
        let length = stream.read(&mut answer).await.unwrap();
        assert!(answer[..length].starts_with(b"HTTP/1.1 200 OK"));
    }
}

#[tokio::test]
async fn a_port_in_use_is_said_clearly() {
    let source = start().await;
    let error = listen::bind(source.address).await.unwrap_err().to_string();
    let expected = format!("cannot listen on {}: ", source.address);
    assert!(error.starts_with(&expected), "{error}");
    assert!(error.ends_with("stop the process that listens there or choose another port"));
}

#[tokio::test]
async fn senders_without_the_right_credentials_are_refused_and_told_how() {
    let auth = SenderAuth::Bearer { token: crate::secret::Secret::Text("t0ken".into()) };
    let mut source = start_with(Some(auth)).await;
    let answer = source.post("{}").await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.headers["www-authenticate"], "Bearer realm=\"profile-http\"");
    let answer = source.send("POST", &[("authorization", "Bearer other")], "{}").await;
    assert_eq!(answer.status, 401);
    assert!(!answer.body.contains("t0ken"));
    assert!(source.arrived.try_recv().is_err());
    let answer = source.send("POST", &[("authorization", "Bearer t0ken")], "{}").await;
    assert_eq!(answer.status, 200);
    assert_eq!(source.send("HEAD", &[], "").await.status, 200, "health checks need none");
    assert_eq!(source.feed.metrics.errors("authentication", "receiving").get(), 2);
}

#[tokio::test]
async fn a_sender_without_credentials_can_write_its_body_to_the_end_and_reads_why() {
    let auth = SenderAuth::Bearer { token: crate::secret::Secret::Text("t0ken".into()) };
    let source = start_with(Some(auth)).await;
    let mut stream = TcpStream::connect(source.address).await.unwrap();
    // More than the buffers of both sockets hold.
    let length = 32 * 1024 * 1024;
    let head = format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b' '; length]).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 401");
}

#[tokio::test]
async fn senders_keep_what_they_send_while_the_secret_cannot_be_read() {
    let token = crate::secret::Secret::File("/no/such/file".into());
    let source = start_with(Some(SenderAuth::Bearer { token })).await;
    let answer = source.send("POST", &[("authorization", "Bearer t0ken")], "{}").await;
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("cannot be read"), "{}", answer.body);
}

#[tokio::test]
async fn message_pack_is_taken_as_fluent_bit_sends_it_and_as_plain_records() {
    let mut source = start().await;
    for media_type in ["application/msgpack", "application/x-msgpack"] {
        // [[time, {}], {"a": 1}] with a time of type 0, then {"a": 2}, then "text".
        let entry = b"\x92\x92\xd7\x00\x65\x00\x00\x00\x00\x00\x00\x00\x80\x81\xa1a\x01";
        let body = [&entry[..], b"\x81\xa1a\x02", b"\xa4text"].concat();
        let answer = source.send("POST", &[("content-type", media_type)], body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let expected = [("item 1", "{\"a\":1}"), ("item 2", "{\"a\":2}"), ("item 3", "\"text\"")];
        assert_eq!(source.next(), records(&expected));
    }
    let cut = source.send("POST", &[("content-type", "application/msgpack")], &b"\x81\xa1a"[..]);
    assert_eq!(cut.await.status, 400);
    assert!(source.arrived.try_recv().is_err());
}
