use std::{fmt, future::Future, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::{sync::Notify, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{Listener, Stream};

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

impl std::error::Error for Reset {}

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
    let stopped = stop.clone();
    listener
        .serve(stop, move |stream, peer| {
            let answer = answer.clone();
            let answer = move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(Peer(peer));
                answer(request)
            };
            connection(stream, idle, stopped.clone(), answer)
        })
        .await;
}

async fn connection<F, A>(
    stream: Stream,
    idle: Option<Duration>,
    stop: CancellationToken,
    answer: F,
) where
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
    if let Err(error) = ended {
        if error.is_user() {
            let _ = connection.into_parts().io.into_inner().tcp().set_zero_linger();
        } else {
            tracing::debug!(%error, "a connection failed");
        }
    }
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
        net::TcpStream,
    };

    use super::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

    async fn answer(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Reset> {
        Ok(Response::new(Full::default()))
    }

    #[tokio::test]
    async fn who_has_just_connected_is_answered_when_the_end_comes() {
        let listener = super::super::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
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
