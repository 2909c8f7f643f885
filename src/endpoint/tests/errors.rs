use super::*;
use tokio::net::TcpSocket;

async fn connect_error(url: &str) -> String {
    let transport = Transport::new(TransportSettings {
        connect_timeout: Duration::from_millis(100),
        ..TransportSettings::default()
    })
    .unwrap();
    match transport.oneshot(request(url)).await {
        Err(SendError::Connect(message)) => message,
        other => panic!("it is no connect error: {other:?}"),
    }
}

#[tokio::test]
async fn a_port_where_nothing_listens_cannot_be_connected_to() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let message = connect_error(&format!("http://{address}/")).await;
    assert!(message.contains("refused"), "{message}");
}

#[tokio::test]
async fn a_host_that_does_not_take_connections_cannot_be_connected_to() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    // One connection more than the backlog is completed; then the queue is full.
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let _first = TcpStream::connect(address).await.unwrap();
    let _second = TcpStream::connect(address).await.unwrap();
    let message = connect_error(&format!("http://{address}/")).await;
    assert!(message.contains("timed out") || message.contains("elapsed"), "{message}");
}

#[tokio::test]
async fn a_scheme_that_is_not_spoken_cannot_be_connected_to() {
    let message = connect_error("ftp://127.0.0.1:1/").await;
    assert!(message.contains("scheme"), "{message}");
}

/// The answer to a request after which the server does `end`.
async fn after_request<F>(end: impl Fn(TcpStream) -> F + Clone + Send + 'static) -> SendError
where
    F: Future<Output = ()> + Send,
{
    let server = Server::start(move |mut stream, _| {
        let end = end.clone();
        async move {
            read_request(&mut stream).await;
            end(stream).await;
        }
    })
    .await;
    server.answer().await.unwrap_err()
}

fn is_interrupted(error: &SendError) -> bool {
    matches!(error, SendError::Interrupted(_))
}

#[tokio::test]
async fn a_reset_before_the_answer_leaves_the_outcome_unknown() {
    let error = after_request(async |stream| reset(stream)).await;
    assert!(is_interrupted(&error), "{error:?}");
}

#[tokio::test]
async fn an_end_before_the_answer_leaves_the_outcome_unknown() {
    let error = after_request(async |stream| drop(stream)).await;
    assert!(is_interrupted(&error), "{error:?}");
}

#[tokio::test]
async fn a_half_close_before_the_answer_leaves_the_outcome_unknown() {
    let error = after_request(async |mut stream| {
        stream.shutdown().await.unwrap();
        let _ = stream.read_u8().await;
    })
    .await;
    assert!(is_interrupted(&error), "{error:?}");
}

#[tokio::test]
async fn an_answer_that_breaks_off_leaves_the_outcome_unknown() {
    for part in [
        &b"HTTP/1.1 200 O"[..],
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nsome",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nno size\r\n",
    ] {
        let error = after_request(async move |mut stream: TcpStream| {
            stream.write_all(part).await.unwrap();
        })
        .await;
        assert!(is_interrupted(&error), "{error:?}");
    }
}

#[tokio::test]
async fn what_is_not_http_is_unusable() {
    for garbage in [
        &b"220 mail.example ESMTP ready\r\n"[..],
        b"\x00\x01\x02\x03\x04\x05\x06\x07",
        b"HTTP/1.1 9999 Odd\r\n\r\n",
    ] {
        let error = after_request(async move |mut stream: TcpStream| {
            stream.write_all(garbage).await.unwrap();
            let _ = stream.read_u8().await;
        })
        .await;
        assert!(matches!(error, SendError::Answer(_)), "{error:?}");
    }
}

#[tokio::test]
async fn endless_headers_are_unusable() {
    let error = after_request(async |mut stream: TcpStream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n").await.unwrap();
        while stream.write_all(b"x-filler: some more of it\r\n").await.is_ok() {}
    })
    .await;
    assert!(matches!(error, SendError::Answer(_)), "{error:?}");
}
