use futures_util::future::join_all;
use h2::{
    Reason,
    server::{Builder, Connection, SendResponse},
};
use tokio::{
    sync::{Notify, mpsc},
    time::{Instant, timeout},
};

use super::*;
use crate::endpoint::Http2;

/// A server that speaks HTTP/2 without TLS: what comes over a connection is answered by `script`,
/// with the connection's number and the stream's within it.
async fn serving<F>(
    streams: u32,
    script: impl Fn(SendResponse<Bytes>, usize, usize) -> F + Clone + Send + Sync + 'static,
) -> Server
where
    F: Future<Output = ()> + Send + 'static,
{
    connected(streams, move |mut connection, number| {
        let script = script.clone();
        async move {
            let mut stream = 0;
            while let Some(Ok((request, respond))) = connection.accept().await {
                let answering = script(respond, number, stream);
                stream += 1;
                tokio::spawn(async move {
                    read_body(request).await;
                    answering.await;
                });
            }
        }
    })
    .await
}

/// The same, with the whole connection in the hands of `script`.
async fn connected<F>(
    streams: u32,
    script: impl Fn(Connection<TcpStream, Bytes>, usize) -> F + Clone + Send + Sync + 'static,
) -> Server
where
    F: Future<Output = ()> + Send,
{
    Server::start(move |stream, number| {
        let script = script.clone();
        async move {
            let mut builder = Builder::new();
            let handshake = builder.max_concurrent_streams(streams).handshake(stream);
            let Ok(connection) = handshake.await else { return };
            script(connection, number).await;
        }
    })
    .await
}

async fn read_body(mut request: Request<h2::RecvStream>) {
    while let Some(Ok(data)) = request.body_mut().data().await {
        let _ = request.body_mut().flow_control().release_capacity(data.len());
    }
}

fn ok(mut respond: SendResponse<Bytes>) {
    // The caller may be gone.
    if let Ok(mut body) = respond.send_response(Response::new(()), false) {
        let _ = body.send_data(Bytes::from_static(b"ok"), true);
    }
}

fn over_http2() -> Transport {
    let settings = TransportSettings { http2: Http2::Always, ..TransportSettings::default() };
    Transport::new(settings).unwrap()
}

async fn ask(transport: &Transport, server: &Server) -> Result<Response<Bytes>, SendError> {
    transport.clone().oneshot(request(&format!("http://{}/", server.address))).await
}

#[tokio::test]
async fn one_connection_carries_all_requests_at_once() {
    let arrived = Arc::new(Notify::new());
    let all = Arc::new(AtomicUsize::new(0));
    let server = serving(100, move |respond, _, _| {
        let (arrived, all) = (arrived.clone(), all.clone());
        async move {
            // None is answered before all are there.
            let waiting = arrived.notified();
            if all.fetch_add(1, Ordering::Relaxed) == 49 {
                arrived.notify_waiters();
            } else {
                waiting.await;
            }
            ok(respond);
        }
    })
    .await;
    let transport = over_http2();
    for answer in join_all((0..50).map(|_| ask(&transport, &server))).await {
        assert_eq!(answer.unwrap().body(), "ok");
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn more_requests_than_the_server_allows_at_once_wait_for_their_turn() {
    let open = Arc::new(AtomicUsize::new(0));
    let server = serving(7, move |respond, _, _| {
        let open = open.clone();
        async move {
            assert!(open.fetch_add(1, Ordering::Relaxed) < 7);
            tokio::task::yield_now().await;
            open.fetch_sub(1, Ordering::Relaxed);
            ok(respond);
        }
    })
    .await;
    let transport = over_http2();
    for answer in join_all((0..200).map(|_| ask(&transport, &server))).await {
        assert_eq!(answer.unwrap().status(), 200);
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_call_that_is_dropped_ends_its_stream_and_no_other() {
    let (ended, mut end) = mpsc::unbounded_channel();
    let go_on = Arc::new(Notify::new());
    let other = go_on.clone();
    let server = serving(100, move |mut respond, _, stream| {
        let (ended, other) = (ended.clone(), other.clone());
        async move {
            if stream == 0 {
                let reason = std::future::poll_fn(|cx| respond.poll_reset(cx)).await.unwrap();
                ended.send(reason).unwrap();
            } else {
                other.notified().await;
                ok(respond);
            }
        }
    })
    .await;
    let transport = over_http2();
    let dropped = timeout(Duration::from_millis(50), ask(&transport, &server));
    let (dropped, other) = tokio::join!(dropped, async {
        let other = ask(&transport, &server);
        let until = async {
            assert_eq!(end.recv().await.unwrap(), Reason::CANCEL);
            go_on.notify_one();
        };
        tokio::join!(other, until).0
    });
    assert!(dropped.is_err());
    assert_eq!(other.unwrap().status(), 200);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_refused_stream_was_not_processed() {
    let server = serving(100, |mut respond, _, _| async move {
        respond.send_reset(Reason::REFUSED_STREAM);
    })
    .await;
    let error = ask(&over_http2(), &server).await.unwrap_err();
    assert!(matches!(error, SendError::Unprocessed(_)), "{error:?}");
}

#[tokio::test]
async fn a_stream_that_the_server_resets_leaves_the_outcome_unknown() {
    for reason in [Reason::INTERNAL_ERROR, Reason::CANCEL] {
        let server = serving(100, move |mut respond, _, _| async move {
            respond.send_reset(reason);
        })
        .await;
        let error = ask(&over_http2(), &server).await.unwrap_err();
        assert!(matches!(&error, SendError::Interrupted(_)), "{error:?}");
    }
}

/// The preface and the head of a request are read; then `frames` are sent, and the connection is
/// ended if `end` says so.
async fn after_request(frames: &'static [u8], end: bool) -> SendError {
    let server = Server::start(move |mut stream, _| async move {
        // SETTINGS, so that the client begins.
        stream.write_all(b"\0\0\0\x04\0\0\0\0\0").await.unwrap();
        let mut seen = Vec::new();
        // The request's body follows its head.
        while !seen.ends_with(b"{\"a\":1}") {
            seen.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(frames).await.unwrap();
        if !end {
            while stream.read_u8().await.is_ok() {}
        }
    })
    .await;
    ask(&over_http2(), &server).await.unwrap_err()
}

/// GOAWAY with the last stream and `NO_ERROR`.
const GO_AWAY_AFTER_0: &[u8] = b"\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0";
const GO_AWAY_AFTER_1: &[u8] = b"\0\0\x08\x07\0\0\0\0\0\0\0\0\x01\0\0\0\0";

#[tokio::test]
async fn an_answer_that_is_reset_leaves_the_outcome_unknown() {
    // HEADERS with :status 200, then RST_STREAM with REFUSED_STREAM, which is not true any more.
    let frames = b"\0\0\x01\x01\x04\0\0\0\x01\x88\0\0\x04\x03\0\0\0\0\x01\0\0\0\x07";
    let error = after_request(frames, false).await;
    assert!(matches!(&error, SendError::Interrupted(_)), "{error:?}");
}

#[tokio::test]
async fn what_comes_after_the_last_stream_of_a_server_that_goes_away_was_not_processed() {
    for end in [false, true] {
        let error = after_request(GO_AWAY_AFTER_0, end).await;
        assert!(matches!(&error, SendError::Unprocessed(_)), "{error:?}");
    }
}

#[tokio::test]
async fn a_server_that_only_goes_away_is_tried_on_three_connections() {
    let server = Server::start(async |mut stream, _| {
        stream.write_all(b"\0\0\0\x04\0\0\0\0\0").await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"{\"a\":1}") {
            seen.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(GO_AWAY_AFTER_0).await.unwrap();
        while stream.read_u8().await.is_ok() {}
    })
    .await;
    let error = ask(&over_http2(), &server).await.unwrap_err();
    assert!(matches!(&error, SendError::Unprocessed(_)), "{error:?}");
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn what_a_server_that_goes_away_may_have_processed_has_an_unknown_outcome() {
    let error = after_request(GO_AWAY_AFTER_1, true).await;
    assert!(matches!(&error, SendError::Interrupted(_)), "{error:?}");
}

#[tokio::test]
async fn a_server_that_goes_away_still_answers_what_it_has_taken() {
    let server = connected(100, async |mut connection, _| {
        let (request, respond) = connection.accept().await.unwrap().unwrap();
        connection.graceful_shutdown();
        tokio::spawn(async move {
            read_body(request).await;
            ok(respond);
        });
        while connection.accept().await.is_some() {}
    })
    .await;
    let transport = over_http2();
    for connections in 1..=3 {
        assert_eq!(ask(&transport, &server).await.unwrap().status(), 200);
        assert_eq!(server.connections(), connections);
    }
}

#[tokio::test]
async fn what_is_not_http_2_is_unusable() {
    for garbage in [
        // A head of a frame that is longer than any may be.
        &b"\xff\xff\xff\x01\x05\0\0\0\x01"[..],
        // DATA where the head of the answer should be.
        b"\0\0\x02\0\x01\0\0\0\x01ok",
    ] {
        let error = after_request(garbage, false).await;
        assert!(matches!(error, SendError::Answer(_)), "{error:?}");
    }
    let old = Server::start(|mut stream, _| async move {
        let _ = stream.read(&mut [0; 512]).await;
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
        while stream.read_u8().await.is_ok() {}
    })
    .await;
    let error = ask(&over_http2(), &old).await.unwrap_err();
    assert!(matches!(error, SendError::Answer(_)), "{error:?}");
    assert!(error.to_string().contains("request.http2"), "{error}");
}

#[tokio::test]
async fn endless_headers_over_http_2_are_unusable() {
    let server = serving(100, |mut respond, _, _| async move {
        let mut answer = Response::new(());
        for i in 0..64 {
            let name = format!("x-filler-{i}").parse::<http::HeaderName>().unwrap();
            answer.headers_mut().insert(name, "x".repeat(1024).parse().unwrap());
        }
        respond.send_response(answer, true).unwrap();
    })
    .await;
    let error = ask(&over_http2(), &server).await.unwrap_err();
    assert!(matches!(error, SendError::Answer(_)), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_dead_is_found_by_pings() {
    let server = connected(100, async |connection, number| {
        let mut connection = connection;
        if number == 0 {
            let _request = connection.accept().await;
            // From now on nothing is read or answered.
            std::future::pending::<()>().await;
        }
        while let Some(Ok((request, respond))) = connection.accept().await {
            tokio::spawn(async move {
                read_body(request).await;
                ok(respond);
            });
        }
    })
    .await;
    let transport = over_http2();
    let start = Instant::now();
    let attempt = timeout(Duration::from_mins(1), ask(&transport, &server)).await;
    let error = attempt.expect("it does not wait for ever").unwrap_err();
    assert!(matches!(error, SendError::Interrupted(_)), "{error:?}");
    assert!(start.elapsed() <= Duration::from_secs(11), "{:?}", start.elapsed());
    assert_eq!(ask(&transport, &server).await.unwrap().status(), 200);
    assert_eq!(server.connections(), 2);
}
