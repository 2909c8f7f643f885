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

/// How long a client may take to hear that the end has come, when it is owed no answer: one that
/// is frozen must not hold up the end.
const FAREWELL: Duration = Duration::from_secs(5);

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
    // Shared by the requests that are under way.
    let owed = Arc::new(());
    let answer = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        let (answer, owed) = (answer(request), Arc::clone(&owed));
        async move {
            let answer = answer.await;
            drop(owed);
            Ok::<_, Infallible>(answer)
        }
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
            loop {
                match timeout(FAREWELL, connection.as_mut()).await {
                    Ok(ended) => break ended,
                    Err(_) if Arc::strong_count(&owed) == 1 => break Ok(()),
                    Err(_) => {}
                }
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection failed");
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    use super::*;
    use crate::listen;

    #[tokio::test]
    async fn a_frozen_client_does_not_hold_up_the_end() {
        let listener = listen::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let answer = async |_| Response::new(Full::from("ok"));
        let serving = tokio::spawn(serve_http2(listener, stop.clone(), answer));
        let mut frozen = TcpStream::connect(address).await.unwrap();
        frozen.write_all(PREFACE).await.unwrap();
        // Its settings, of which there are none.
        frozen.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
        frozen.read_exact(&mut [0; 9]).await.unwrap();
        stop.cancel();
        tokio::time::pause();
        timeout(2 * FAREWELL, serving).await.unwrap().unwrap();
        drop(frozen);
    }
}
