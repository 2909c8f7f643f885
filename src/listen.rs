//! Listening for HTTP/1.1: what the HTTP source, the API and the local endpoint share.

use std::{fmt, future::Future, io, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

/// How long accepting pauses when the process has no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {reason}{}", remedy(reason.kind()))]
pub struct ListenError {
    /// The address.
    pub address: SocketAddr,
    /// What the system said.
    #[source]
    pub reason: io::Error,
}

/// Instead of an answer: the connection is reset.
#[derive(Clone, Copy, Debug)]
pub struct Reset;

impl fmt::Display for Reset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is reset instead of an answer")
    }
}

impl std::error::Error for Reset {}

/// Listens on an address; with port 0 the system chooses the port.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|reason| ListenError { address, reason })
}

/// Answers requests until `stop`, then takes no new ones and returns when those under way are
/// answered. Dropping the future closes every connection at once.
///
/// `idle` is how long a connection may wait for the (whole) head of its next request.
pub async fn serve<F, A>(
    listener: TcpListener,
    idle: Option<Duration>,
    stop: CancellationToken,
    answer: F,
) where
    F: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
    A: Future<Output = Result<Response<Full<Bytes>>, Reset>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(ended) = connections.join_next() => report_panic(ended),
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, idle, stop.clone(), answer.clone()));
                }
                // Of this one connection, which its peer has given up.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    while let Some(ended) = connections.join_next().await {
        report_panic(ended);
    }
}

async fn connection<F, A>(
    stream: TcpStream,
    idle: Option<Duration>,
    stop: CancellationToken,
    answer: F,
) where
    F: Fn(Request<Incoming>) -> A,
    A: Future<Output = Result<Response<Full<Bytes>>, Reset>>,
{
    // Answers are small and written whole; waiting to fill a segment only delays them.
    let _ = stream.set_nodelay(true);
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(idle)
        // A client that has closed its sending side still waits for the answer.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service_fn(answer));
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stop.cancelled() => {
            Pin::new(&mut connection).graceful_shutdown();
            (&mut connection).await
        }
    };
    if let Err(error) = ended {
        if error.is_user() {
            let _ = connection.into_parts().io.into_inner().set_zero_linger();
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

fn report_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "answering a request failed");
    }
}

fn remedy(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::AddrInUse => "; stop the process that listens there or choose another port",
        io::ErrorKind::AddrNotAvailable => "; no network interface of this machine has the address",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need a privilege",
        _ => "",
    }
}
