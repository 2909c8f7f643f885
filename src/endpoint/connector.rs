use std::{
    error::Error as StdError,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper_rustls::{
    DefaultServerNameResolver, FixedServerNameResolver, HttpsConnector, MaybeHttpsStream,
    ResolveServerName,
};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use rustls::ClientConfig;
use tokio::{net::TcpStream, time::timeout};
use tower::{Service, ServiceExt};

use super::{EndpointError, Http2, TransportSettings, proxy::Proxies, tls};

/// A connection to a server, whatever lies between.
pub(super) type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

type BoxError = Box<dyn StdError + Send + Sync>;
type Connecting<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// Why there is no connection, where no other error says it.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("timed out: no connection within {}s", .0.as_secs_f64())]
    TimedOut(Duration),
    #[error("cannot reach the proxy {proxy}")]
    ProxyUnreachable { proxy: String, source: BoxError },
    #[error("{0}")]
    ProxyFails(String),
    /// A person has to mend it.
    #[error("{0}")]
    ProxyRefuses(String),
    #[error("the server does not offer HTTP/2; set request.http2 to auto")]
    NoHttp2,
    #[error("the server does not offer HTTP/2 any more")]
    Http2Withdrawn,
}

/// Makes connections: the name, the proxy's tunnel if there is one, and TLS, all of it within a
/// limit of time.
#[derive(Clone)]
pub(super) struct Connector {
    https: HttpsConnector<Dialer>,
    limit: Duration,
    http2: Http2,
    /// Whether the last server that was connected to has chosen HTTP/2.
    chosen: Arc<AtomicBool>,
}

impl Connector {
    /// Reads all files that the settings name.
    pub(super) fn new(settings: &TransportSettings) -> Result<Self, EndpointError> {
        let config = tls_config(settings)?;
        let dialer = Dialer::new(settings)?;
        Ok(Self {
            https: with_tls(dialer, config, settings),
            limit: settings.connect_timeout,
            http2: settings.http2,
            chosen: Arc::default(),
        })
    }

    /// Whether HTTP/2 is what the server speaks, as far as is known.
    pub(super) fn speaks_http2(&self) -> bool {
        match self.http2 {
            Http2::Always => true,
            Http2::Never => false,
            Http2::Auto => self.chosen.load(Ordering::Relaxed),
        }
    }

    /// The same connector for a client that speaks nothing but HTTP/2.
    pub(super) fn only_http2(&self) -> OnlyHttp2 {
        OnlyHttp2(self.clone())
    }

    async fn connect(mut self, url: Uri) -> Result<Stream, BoxError> {
        let stream = timeout(self.limit, self.https.ready().await?.call(url))
            .await
            .map_err(|_| ConnectError::TimedOut(self.limit))??;
        if let MaybeHttpsStream::Https(stream) = &stream {
            let (_, session) = stream.inner().get_ref();
            self.chosen.store(session.alpn_protocol() == Some(b"h2"), Ordering::Relaxed);
        }
        Ok(stream)
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = BoxError;
    type Future = Connecting<Stream>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        Box::pin(self.clone().connect(url))
    }
}

/// Makes connections over which HTTP/2 is spoken.
#[derive(Clone)]
pub(super) struct OnlyHttp2(Connector);

impl Service<Uri> for OnlyHttp2 {
    type Response = Stream;
    type Error = BoxError;
    type Future = Connecting<Stream>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let connector = self.0.clone();
        Box::pin(async move {
            let (http2, chosen) = (connector.http2, Arc::clone(&connector.chosen));
            let stream = connector.connect(url).await?;
            let over_tls = matches!(stream, MaybeHttpsStream::Https(_));
            match http2 {
                _ if !over_tls || chosen.load(Ordering::Relaxed) => Ok(stream),
                Http2::Always => Err(ConnectError::NoHttp2.into()),
                Http2::Auto | Http2::Never => Err(ConnectError::Http2Withdrawn.into()),
            }
        })
    }
}

/// The client side of TLS, with the versions of HTTP that are offered.
pub(super) fn tls_config(settings: &TransportSettings) -> Result<ClientConfig, EndpointError> {
    let mut config = tls::client_config(&settings.tls)?;
    config.alpn_protocols = match settings.http2 {
        Http2::Auto => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        Http2::Never => vec![b"http/1.1".to_vec()],
        Http2::Always => vec![b"h2".to_vec()],
    };
    Ok(config)
}

fn with_tls(
    dialer: Dialer,
    config: ClientConfig,
    settings: &TransportSettings,
) -> HttpsConnector<Dialer> {
    let name: Arc<dyn ResolveServerName + Send + Sync> = match settings.tls.server_name.clone() {
        Some(name) => Arc::new(FixedServerNameResolver::new(name)),
        None => Arc::new(DefaultServerNameResolver::default()),
    };
    HttpsConnector::new(dialer, config, false, name)
}

/// Makes the TCP connection to a server or, through a proxy, the tunnel.
#[derive(Clone)]
pub(super) struct Dialer {
    tcp: HttpConnector,
    proxies: Option<Arc<Proxies>>,
}

impl Dialer {
    pub(super) fn new(settings: &TransportSettings) -> Result<Self, EndpointError> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        // Shared out among the addresses of a name, so that one which does not answer leaves time
        // for the next.
        tcp.set_connect_timeout(Some(settings.connect_timeout));
        let proxies = settings.proxy.as_ref().map(Proxies::new).transpose()?.map(Arc::new);
        Ok(Self { tcp, proxies })
    }
}

impl Service<Uri> for Dialer {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let mut tcp = self.tcp.clone();
        let tunnel = self.proxies.as_ref().and_then(|proxies| proxies.tunnel_to(&url));
        Box::pin(async move {
            let Some(tunnel) = tunnel else {
                return Ok(tcp.ready().await?.call(url).await?);
            };
            let proxy = tunnel.proxy.url.clone();
            let connecting = async { tcp.ready().await?.call(proxy).await };
            let mut stream = connecting.await.map_err(|error| tunnel.unreachable(error.into()))?;
            tunnel.open(stream.inner_mut()).await?;
            Ok(stream)
        })
    }
}
