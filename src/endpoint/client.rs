use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper_util::{
    client::legacy::{Builder, Client, ResponseFuture},
    rt::{TokioExecutor, TokioTimer},
};
use tokio::task::spawn_blocking;
use tower::Service;

use super::{
    EndpointError, ProxySettings, SendError, TlsSettings,
    connector::{Connector, OnlyHttp2},
    error::is_gone,
    files::Files,
};

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

/// After how much silence of a server with requests under way an HTTP/2 connection is pinged, and
/// how long the answer may take. The sum is the default of `request.timeout_secs`: a connection
/// that is dead costs each request at most one attempt.
const PING_AFTER: Duration = Duration::from_secs(5);
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// Streams of a new HTTP/2 connection before the server has said how many it allows, so that none
/// is refused.
const FIRST_STREAMS: usize = 1;

/// How often a request that a server did not process because it ended the connection is sent on
/// another one, if nothing else was answered meanwhile.
const REPEATS: u32 = 2;

/// What a transport is made of.
#[derive(Clone, Debug)]
pub struct TransportSettings {
    /// TLS towards the server.
    pub tls: TlsSettings,
    /// Which version of HTTP is spoken.
    pub http2: Http2,
    /// The proxies on the way.
    pub proxy: Option<ProxySettings>,
    /// Time for a connection to be made: the name, TCP, the proxy and TLS.
    pub connect_timeout: Duration,
    /// Idle HTTP/1.1 connections that are kept for each host; at least one.
    pub max_idle: usize,
}

/// Which version of HTTP is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Http2 {
    /// The one that the server chooses in the TLS handshake (ALPN); without TLS HTTP/1.1.
    #[default]
    Auto,
    /// HTTP/1.1.
    Never,
    /// HTTP/2, also without TLS: the server is known to speak it.
    Always,
}

/// Sends a request over HTTP/1.1 or HTTP/2 and collects the whole answer, headers and body.
///
/// Connections are kept alive and shared by all clones. Redirects are answers like any other. A
/// call that is dropped before its answer is complete closes its HTTP/1.1 connection, so that a
/// late answer cannot be taken for that of the next request; of an HTTP/2 connection only its
/// stream. Of the body, [`ANSWER_LIMIT`] bytes are kept; a longer one is cut there without an
/// error, because the status has said what there is to say.
///
/// Nothing limits the number of HTTP/1.1 connections but the number of calls at once. Over HTTP/2
/// one connection carries all requests, up to as many at once as the server allows; the others wait
/// for their turn. Those that a server did not process because it ended the connection go on over
/// another one, as long as that helps.
///
/// The files of the settings are looked at every few seconds as long as there are calls. When they
/// have changed, the calls that follow use new connections; those under way end on the old ones.
///
/// ```no_run
/// use bytes::Bytes;
/// use profile_http::endpoint::{Transport, TransportSettings};
/// use tower::ServiceExt;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let transport = Transport::new(TransportSettings::default())?;
/// let request = http::Request::post("https://api.example/profiles").body(Bytes::from("{}"))?;
/// let answer = transport.oneshot(request).await?;
/// println!("{}", answer.status());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Transport(Arc<Shared>);

struct Shared {
    settings: TransportSettings,
    clients: RwLock<Arc<Clients>>,
    /// Answers so far.
    answered: AtomicU64,
    /// None where the settings name no file.
    files: Option<Files>,
}

/// Two pools of connections over one connector.
struct Clients {
    connector: Connector,
    /// Speaks what the server chooses. It makes a connection for each request at once, which over
    /// HTTP/2 would all but one be for nothing.
    any: Client<Connector, Full<Bytes>>,
    /// Makes one connection at a time. Used as soon as the server is known to speak HTTP/2.
    http2: Client<OnlyHttp2, Full<Bytes>>,
}

impl Default for TransportSettings {
    fn default() -> Self {
        Self {
            tls: TlsSettings::default(),
            http2: Http2::default(),
            proxy: None,
            connect_timeout: Duration::from_secs(5),
            max_idle: 16,
        }
    }
}

impl Transport {
    /// A transport for `http` and `https`.
    ///
    /// Fails when the files that the settings name cannot be used.
    pub fn new(settings: TransportSettings) -> Result<Self, EndpointError> {
        let mut paths = settings.tls.files();
        paths.extend(settings.proxy.iter().flat_map(ProxySettings::files));
        let files = (!paths.is_empty()).then(|| Files::new(paths));
        let clients = RwLock::new(Arc::new(Clients::new(&settings)?));
        Ok(Self(Arc::new(Shared { settings, clients, answered: AtomicU64::new(0), files })))
    }

    async fn send(self, mut request: Request<Bytes>) -> Result<Response<Bytes>, SendError> {
        self.renew().await;
        let limit = request.extensions().get::<AnswerLimit>().map_or(ANSWER_LIMIT, |limit| limit.0);
        // The connection's task may keep the request's parts for longer than the call lasts.
        request.extensions_mut().clear();
        let (parts, body) = self.answer(request).await?.into_parts();
        let body = collect(body, limit).await.map_err(|e| SendError::of_body(&e))?;
        Ok(Response::from_parts(parts, body))
    }

    /// The answer, perhaps on a later connection. A server may end one after so many requests, and
    /// then all that wait for their turn on it fail at once, which says nothing about the server:
    /// they go on elsewhere, as long as there is progress.
    async fn answer(&self, mut request: Request<Bytes>) -> Result<Response<Incoming>, SendError> {
        let mut left = REPEATS;
        loop {
            let clients = self.0.clients();
            let again = clients.connector.speaks_http2().then(|| request.clone());
            let before = self.0.answered.load(Ordering::Relaxed);
            let error = match clients.request(request.map(Full::new)).await {
                Ok(answer) => {
                    self.0.answered.fetch_add(1, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(error) => error,
            };
            let is_stuck = self.0.answered.load(Ordering::Relaxed) == before;
            match again {
                Some(again) if is_gone(&error) && (left > 0 || !is_stuck) => {
                    left = if is_stuck { left - 1 } else { REPEATS };
                    request = again;
                }
                _ => return Err(SendError::of_client(&error)),
            }
        }
    }

    /// Takes changed files into use, if it is time to look for them.
    async fn renew(&self) {
        if self.0.files.as_ref().is_some_and(Files::is_due) {
            let shared = Arc::clone(&self.0);
            // What fails is tried again; a panic would have been reported.
            let _ = spawn_blocking(move || shared.renew()).await;
        }
    }
}

impl Shared {
    fn clients(&self) -> Arc<Clients> {
        Arc::clone(&self.clients.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn renew(&self) {
        let renewed = self.files.as_ref().and_then(|f| f.renew(|| Clients::new(&self.settings)));
        if let Some(clients) = renewed {
            *self.clients.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(clients);
        }
    }
}

impl Clients {
    fn new(settings: &TransportSettings) -> Result<Self, EndpointError> {
        let connector = Connector::new(settings)?;
        let any = pool(settings).build(connector.clone());
        let http2 = pool(settings).http2_only(true).build(connector.only_http2());
        Ok(Self { connector, any, http2 })
    }

    fn request(&self, request: Request<Full<Bytes>>) -> ResponseFuture {
        if self.connector.speaks_http2() {
            self.http2.request(request)
        } else {
            self.any.request(request)
        }
    }
}

fn pool(settings: &TransportSettings) -> Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        // Without a timer idle connections stay open until they are next looked at, and pings
        // panic.
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(settings.max_idle.max(1))
        .http2_initial_max_send_streams(FIRST_STREAMS)
        .http2_keep_alive_interval(PING_AFTER)
        .http2_keep_alive_timeout(PING_TIMEOUT);
    builder
}

impl Service<Request<Bytes>> for Transport {
    type Response = Response<Bytes>;
    type Error = SendError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, SendError>> + Send>>;

    /// Always ready: the pool has no limit to wait for.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        Box::pin(self.clone().send(request))
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("settings", &self.0.settings).finish_non_exhaustive()
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
