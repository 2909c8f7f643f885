use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use tower::Service;

use super::{EndpointError, SendError, TlsSettings, tls};

/// How much of an answer's body is kept, in bytes, unless the request has an [`AnswerLimit`]. The
/// rest is not read: the connection is closed.
pub const ANSWER_LIMIT: usize = 64 * 1024;

/// How much is kept of the answer to this request, in bytes. A request extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerLimit(pub usize);

/// How long a connection may lie idle before it is closed.
///
/// A server that closes an idle connection just as a request is sent on it leaves us not knowing
/// whether it took the request, so we close first: the shortest keep-alive in common use is 5 s
/// (Node.js, Apache httpd).
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// Sends a request over HTTP/1.1 and collects the whole answer, headers and body.
///
/// Connections are kept alive and shared by all clones. Redirects are answers like any other. A
/// call that is dropped before its answer is complete closes its connection, so that a late answer
/// cannot be taken for that of the next request. Of the body, [`ANSWER_LIMIT`] bytes are kept; a
/// longer one is cut there without an error, because the status has said what there is to say.
///
/// Nothing limits the number of connections but the number of calls at once.
///
/// ```no_run
/// use bytes::Bytes;
/// use profile_http::endpoint::{TlsSettings, Transport};
/// use std::time::Duration;
/// use tower::ServiceExt;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let transport = Transport::new(&TlsSettings::default(), Duration::from_secs(5), 8)?;
/// let request = http::Request::post("https://api.example/profiles").body(Bytes::from("{}"))?;
/// let answer = transport.oneshot(request).await?;
/// println!("{}", answer.status());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Transport {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Transport {
    /// A transport for `http` and `https`. `connect_timeout` is for the TCP connection; name
    /// resolution and the TLS handshake are bounded only by whoever bounds the call. `max_idle`
    /// connections are kept for each host.
    ///
    /// Fails when the files named by `tls` cannot be used.
    pub fn new(
        tls: &TlsSettings,
        connect_timeout: Duration,
        max_idle: usize,
    ) -> Result<Self, EndpointError> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(connect_timeout));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls::client_config(tls)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            // Without a timer idle connections stay open until they are next looked at.
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(max_idle)
            .build(connector);
        Ok(Self { client })
    }
}

impl Service<Request<Bytes>> for Transport {
    type Response = Response<Bytes>;
    type Error = SendError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, SendError>> + Send>>;

    /// Always ready: the pool has no limit to wait for.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Bytes>) -> Self::Future {
        let limit = request.extensions().get::<AnswerLimit>().map_or(ANSWER_LIMIT, |limit| limit.0);
        // The connection's task may keep the request's parts for longer than the call lasts.
        request.extensions_mut().clear();
        let answer = self.client.request(request.map(Full::new));
        Box::pin(async move {
            let (parts, body) = answer.await.map_err(|e| SendError::of_client(&e))?.into_parts();
            let body = collect(body, limit).await.map_err(|e| SendError::of_body(&e))?;
            Ok(Response::from_parts(parts, body))
        })
    }
}

async fn collect(mut body: Incoming, limit: usize) -> Result<Bytes, hyper::Error> {
    let mut kept = BytesMut::new();
    while !body.is_end_stream()
        && let Some(frame) = body.frame().await
    {
        if let Ok(data) = frame?.into_data() {
            let room = limit - kept.len();
            kept.extend_from_slice(&data[..data.len().min(room)]);
            if data.len() > room {
                break;
            }
        }
    }
    Ok(kept.freeze())
}
