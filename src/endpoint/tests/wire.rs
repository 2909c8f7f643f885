use tokio::{sync::mpsc, time::timeout};

use super::*;

/// Answers every request of a connection with `answer`.
async fn answering(answer: &'static [u8]) -> Server {
    Server::start(move |mut stream, _| async move {
        while read_request(&mut stream).await.is_some() {
            stream.write_all(answer).await.unwrap();
        }
    })
    .await
}

#[tokio::test]
async fn the_whole_answer_is_collected() {
    let server = answering(
        b"HTTP/1.1 422 Unprocessable Entity\r\nx-request-id: r1\r\ntransfer-encoding: chunked\r\n\r\n\
          3\r\nbad\r\n5\r\n name\r\n0\r\n\r\n",
    )
    .await;
    let answer = server.answer().await.unwrap();
    assert_eq!(answer.status(), 422);
    assert_eq!(answer.headers()["x-request-id"], "r1");
    assert_eq!(answer.body(), "bad name");
}

#[tokio::test]
async fn the_request_goes_out_as_it_is() {
    let (seen, mut requests) = mpsc::unbounded_channel();
    let server = Server::start(move |mut stream, _| {
        let seen = seen.clone();
        async move {
            seen.send(read_request(&mut stream).await.unwrap()).unwrap();
            stream.write_all(OK).await.unwrap();
        }
    })
    .await;
    let mut request = request(&format!("http://{}/profiles?tenant=a", server.address));
    request.headers_mut().insert("x-a", "1".parse().unwrap());
    transport().oneshot(request).await.unwrap();
    let text = requests.recv().await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /profiles?tenant=a HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("x-a: 1") && head.contains("content-length: 7"), "{head}");
    assert!(head.contains(&format!("host: {}", server.address)), "{head}");
    assert_eq!(body, "{\"a\":1}");
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let server = answering(OK).await;
    let transport = transport();
    for _ in 0..20 {
        let request = request(&format!("http://{}/", server.address));
        transport.clone().oneshot(request).await.unwrap();
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_connection_whose_server_ends_it_is_not_used_again() {
    let server =
        answering(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok").await;
    let transport = transport();
    for _ in 0..3 {
        let request = request(&format!("http://{}/", server.address));
        transport.clone().oneshot(request).await.unwrap();
    }
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let server =
        answering(b"HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n").await;
    let answer = server.answer().await.unwrap();
    assert_eq!(answer.status(), 302);
    assert_eq!(answer.headers()["location"], "/elsewhere");
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn an_answer_that_the_end_of_the_connection_ends_is_whole() {
    let server = Server::start(|mut stream, _| async move {
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nall of it").await.unwrap();
        stream.shutdown().await.unwrap();
        // Only its writing side is closed.
        let _ = stream.read_u8().await;
    })
    .await;
    assert_eq!(server.answer().await.unwrap().body(), "all of it");
}

#[tokio::test]
async fn of_an_oversized_answer_the_beginning_is_kept_and_the_connection_closed() {
    let (ended, mut end) = mpsc::unbounded_channel();
    let server = Server::start(move |mut stream, _| {
        let ended = ended.clone();
        async move {
            read_request(&mut stream).await;
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000000\r\n\r\n")
                .await
                .unwrap();
            while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
            ended.send(()).unwrap();
        }
    })
    .await;
    let answer = server.answer().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.body().len(), ANSWER_LIMIT);
    // It could not go on writing.
    end.recv().await.unwrap();
}

#[tokio::test]
async fn an_answer_of_just_the_limit_leaves_the_connection_in_use() {
    let server = Server::start(|mut stream, _| async move {
        while read_request(&mut stream).await.is_some() {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {ANSWER_LIMIT}\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(&vec![b'x'; ANSWER_LIMIT]).await.unwrap();
        }
    })
    .await;
    let transport = transport();
    for _ in 0..3 {
        let request = request(&format!("http://{}/", server.address));
        let answer = transport.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.body().len(), ANSWER_LIMIT);
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_request_may_want_more_of_its_answer() {
    let server = Server::start(|mut stream, _| async move {
        read_request(&mut stream).await;
        let head = format!("HTTP/1.1 207 Multi-Status\r\ncontent-length: {}\r\n\r\n", 1 << 20);
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![b'x'; 1 << 20]).await.unwrap();
    })
    .await;
    let mut request = request(&format!("http://{}/", server.address));
    request.extensions_mut().insert(AnswerLimit(1 << 20));
    assert_eq!(transport().oneshot(request).await.unwrap().body().len(), 1 << 20);
}

/// Runs into the timeout against a server that begins with `answer`, and waits for the server to
/// see the end of the connection. The next request must get a connection of its own.
async fn times_out(answer: &'static [u8]) {
    let (ended, mut end) = mpsc::unbounded_channel();
    let server = Server::start(move |mut stream, number| {
        let ended = ended.clone();
        async move {
            read_request(&mut stream).await;
            if number > 0 {
                stream.write_all(OK).await.unwrap();
                return;
            }
            stream.write_all(answer).await.unwrap();
            assert!(matches!(stream.read(&mut [0]).await, Ok(0) | Err(_)));
            ended.send(()).unwrap();
        }
    })
    .await;
    let transport = transport();
    let url = format!("http://{}/", server.address);
    let attempt = transport.clone().oneshot(request(&url));
    assert!(timeout(Duration::from_millis(50), attempt).await.is_err());
    end.recv().await.unwrap();
    transport.oneshot(request(&url)).await.unwrap();
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_request_that_times_out_closes_its_connection() {
    times_out(b"").await;
}

#[tokio::test]
async fn an_answer_that_drips_is_under_the_timeout_too() {
    times_out(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nslow").await;
}
