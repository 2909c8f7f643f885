use std::{error::Error, fmt, future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::{sync::Notify, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{Listener, Stream};
use crate::telemetry::Throttle;

/// How long somebody who has connected may take to begin a first request when the end has come. To
/// hang up before would leave a request that is on its way without an answer.
const FIRST_WORD: Duration = Duration::from_secs(1);

/// Instead of an answer: the connection is reset.
#[derive(Clone, Copy, Debug)]
pub struct Reset;

impl fmt::Display for Reset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is reset instead of an answer")
    }
}

impl Error for Reset {}

/// Who sent a request: an extension of each.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// Answers requests until `stop`, then takes no new ones and returns when those under way are
/// answered. Dropping the future closes every connection at once.
///
/// `idle` is how long a connection may wait for the (whole) head of its next request.
pub async fn serve<F, A>(
    listener: Listener,
    idle: Option<Duration>,
    stop: CancellationToken,
    answer: F,
) where
    F: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
    A: Future<Output = Result<Response<Full<Bytes>>, Reset>> + Send + 'static,
{
    let (stopped, throttle) = (stop.clone(), Arc::new(Throttle::default()));
    listener
        .serve(stop, move |stream, peer| {
            let (stop, answer, throttle) = (stopped.clone(), answer.clone(), throttle.clone());
            let answer = move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(Peer(peer));
                answer(request)
            };
            async move {
                let Err(error) = connection(stream, idle, stop, answer).await else { return };
                if !is_unread(&error) {
                    tracing::debug!(%peer, %error, "a connection failed");
                } else if let Some(similar) = throttle.pass("unread") {
                    tracing::warn!(
                        %peer, similar,
                        "a connection was closed: its client is gone, or does not read its answers"
                    );
                }
            }
        })
        .await;
}

async fn connection<F, A>(
    stream: Stream,
    idle: Option<Duration>,
    stop: CancellationToken,
    answer: F,
) -> Result<(), hyper::Error>
where
    F: Fn(Request<Incoming>) -> A,
    A: Future<Output = Result<Response<Full<Bytes>>, Reset>>,
{
    let (stop, begun) = (&stop, &Notify::new());
    let answer = move |request| {
        begun.notify_one();
        let answer = answer(request);
        async move {
            let mut answer = answer.await?;
            if stop.is_cancelled() {
                answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Reset>(answer)
        }
    };
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(idle)
        // A client that has closed its sending side still waits for the answer.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service_fn(answer));
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stop.cancelled() => tokio::select! {
            ended = &mut connection => ended,
            _ = timeout(FIRST_WORD, begun.notified()) => {
                Pin::new(&mut connection).graceful_shutdown();
                (&mut connection).await
            }
        },
    };
    match ended {
        Err(error) if error.is_user() => {
            let _ = connection.into_parts().io.into_inner().tcp().set_zero_linger();
            Ok(())
        }
        ended => ended,
    }
}

/// Whether the system gave a connection up, since the peer took nothing for too long.
fn is_unread(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::TimedOut)
}

/// An answer with a JSON body.
pub(crate) fn json_answer(status: StatusCode, body: &impl Serialize) -> Response<Full<Bytes>> {
    let body = serde_json::to_vec(body).expect("counts and texts can be written as JSON");
    let mut answer = Response::new(Full::from(body));
    *answer.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(header::CONTENT_TYPE, json);
    answer
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpSocket, TcpStream},
    };

    use super::*;
    use crate::listen;

    const PATIENCE: Duration = Duration::from_secs(30);
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_client_that_does_not_read_its_answers_is_given_up_and_no_other_hurt() {
        let listener = listen::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let answer = async |_| Ok(Response::new(Full::from(vec![b'x'; 64 * 1024])));
        tokio::spawn(serve(listener, None, stop.clone(), answer));
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut deaf = socket.connect(address).await.unwrap();
        let given_up = async {
            // Ends when it is closed, which the system says to whoever writes.
            while deaf.write_all(&REQUEST.repeat(1000)).await.is_ok() {}
        };
        timeout(PATIENCE, given_up).await.expect("it is closed");

        let mut other = TcpStream::connect(address).await.unwrap();
        other.write_all(REQUEST).await.unwrap();
        let mut answer = [0; 15];
        timeout(PATIENCE, other.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
        stop.cancel();
    }

    async fn answer(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Reset> {
        Ok(Response::new(Full::default()))
    }

    #[tokio::test]
    async fn who_has_just_connected_is_answered_when_the_end_comes() {
        let listener = listen::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let served = tokio::spawn(serve(listener, None, stop.clone(), answer));
        let mut silent = TcpStream::connect(address).await.unwrap();
        let mut spoke = TcpStream::connect(address).await.unwrap();
        spoke.write_all(REQUEST).await.unwrap();
        // Once this is answered, both have been accepted.
        assert!(spoke.read(&mut [0; 1024]).await.unwrap() > 0);
        stop.cancel();
        assert_eq!(spoke.read(&mut [0; 1024]).await.unwrap(), 0, "who was answered is let go");
        silent.write_all(REQUEST).await.unwrap();
        let mut answer = String::new();
        silent.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
        served.await.unwrap();
    }
}
