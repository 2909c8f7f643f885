use std::{
    convert::Infallible, future::Future, net::SocketAddr, pin::pin, sync::Arc, time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use hyper::{
    body::{Body, Incoming},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Listener, Peer, Stream};
use crate::telemetry::Throttle;

/// How a client of HTTP/2 begins (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long a client may take to begin.
const BEGINNING: Duration = Duration::from_mins(1);

/// How often a client that is silent is asked whether it is there, and how long it may take to
/// say so: one that went away without a word is noticed.
const PING: Duration = Duration::from_mins(1);
const PONG: Duration = Duration::from_secs(20);

/// Answers requests of HTTP/2, without an upgrade from HTTP/1.1, until `stop`. Then takes no new
/// ones and returns when those under way are answered. Dropping the future closes every connection
/// at once.
pub async fn serve_http2<F, A, B>(listener: Listener, stop: CancellationToken, answer: F)
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let (stopped, throttle) = (stop.clone(), Arc::new(Throttle::default()));
    listener
        .serve(stop, move |stream, peer| {
            let (stop, answer, throttle) = (stopped.clone(), answer.clone(), throttle.clone());
            async move {
                let expected = tokio::select! {
                    expected = begins(&stream) => expected,
                    () = stop.cancelled() => return,
                };
                match expected {
                    Ok(true) => connection(stream, peer, stop, answer).await,
                    Ok(false) => {}
                    Err(found) => {
                        if let Some(similar) = throttle.pass("preface") {
                            tracing::warn!(
                                %peer, similar,
                                "a client begins with {found}; gRPC over HTTP/2 is spoken here"
                            );
                        }
                    }
                }
            }
        })
        .await;
}

/// Whether a client begins with HTTP/2, or else what it begins with. `false` when it is gone.
async fn begins(stream: &Stream) -> Result<bool, &'static str> {
    // Inside TLS the handshake has settled what is spoken.
    let Stream::Plain(tcp) = stream else { return Ok(true) };
    let mut first = [0; 3];
    // Looks without taking.
    let Ok(Ok(length)) = timeout(BEGINNING, tcp.peek(&mut first)).await else { return Ok(false) };
    match &first[..length] {
        [] => Ok(false),
        first if PREFACE.starts_with(first) => Ok(true),
        [0x16, ..] => Err("TLS, which this source is not set up for (`tls`)"),
        _ => Err("something else"),
    }
}

async fn connection<F, A, B>(stream: Stream, peer: SocketAddr, stop: CancellationToken, answer: F)
where
    F: Fn(Request<Incoming>) -> A,
    A: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let answer = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        let answer = answer(request);
        async { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG)
        .serve_connection(TokioIo::new(stream), answer);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection failed");
    }
}
