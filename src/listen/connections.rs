use std::{future::Future, io, net::SocketAddr, os::fd::AsFd, sync::Arc, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{
    Stream,
    tls::{Acceptor, TlsError, TlsFiles},
};
use crate::telemetry::{Component, Throttle};

/// How long accepting pauses when the process has no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// After how long without a word the system asks whether the peer is still there.
const KEEPALIVE: Duration = Duration::from_mins(1);

/// How long a peer may leave unread what is written to it, or unanswered what the system asks,
/// before its connection ends. So peers that never read do not gather.
#[cfg(target_os = "linux")]
const UNREAD: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 60 });

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The system does not give the address.
    #[error("cannot listen on {address}: {reason}{}", remedy(reason.kind()))]
    Address {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        reason: io::Error,
    },
    /// Certificate, key or authorities cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// An address that is listened on. Connections wait until they are served.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    tls: Option<Arc<Acceptor>>,
}

/// Listens on an address; with port 0 the system chooses the port.
pub async fn bind(address: SocketAddr) -> Result<Listener, ListenError> {
    match TcpListener::bind(address).await {
        Ok(tcp) => Ok(Listener { tcp, tls: None }),
        Err(reason) => Err(ListenError::Address { address, reason }),
    }
}

impl Listener {
    /// Has connections begin with a TLS handshake. `protocols` are those of the application, the
    /// preferred one first (ALPN, RFC 7301); handshakes that fail are counted in `metrics`.
    pub fn with_tls(
        mut self,
        files: TlsFiles,
        protocols: &[&[u8]],
        metrics: Arc<Component>,
    ) -> Result<Self, TlsError> {
        self.tls = Some(Arc::new(Acceptor::new(files, protocols, metrics)?));
        Ok(self)
    }

    /// The same address once more, without TLS, for another to go on where this one ends:
    /// connections that arrive wait for whichever is served.
    pub fn spare(&self) -> io::Result<Self> {
        let socket = self.tcp.as_fd().try_clone_to_owned()?;
        Ok(Self { tcp: TcpListener::from_std(socket.into())?, tls: None })
    }

    /// The address, with the port that the system chose.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Gives each connection to `serve`, in a task of its own, until `stop`. Then takes no new
    /// ones and returns when the others have ended, which `serve` sees to: it is not told.
    /// Dropping the future ends every connection at once.
    pub async fn serve<F, C>(self, stop: CancellationToken, serve: F)
    where
        F: Fn(Stream, SocketAddr) -> C + Clone + Send + 'static,
        C: Future<Output = ()> + Send + 'static,
    {
        let mut connections = JoinSet::new();
        let throttle = Throttle::default();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(ended) = connections.join_next() => report_panic(ended),
                accepted = self.tcp.accept() => match accepted {
                    Ok((tcp, peer)) => {
                        let (tls, stop, serve) = (self.tls.clone(), stop.clone(), serve.clone());
                        connections.spawn(async move {
                            if let Some(stream) = open(tcp, peer, tls, stop).await {
                                serve(stream, peer).await;
                            }
                        });
                    }
                    // Of this one connection, which its peer has given up.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                    Err(error) => {
                        if let Some(similar) = throttle.pass("accept") {
                            tracing::warn!(
                                %error, similar,
                                "cannot accept a connection; where files are too many, raise the \
                                 limit (ulimit -n)"
                            );
                        }
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(self.tcp);
        while let Some(ended) = connections.join_next().await {
            report_panic(ended);
        }
    }
}

async fn open(
    tcp: TcpStream,
    peer: SocketAddr,
    tls: Option<Arc<Acceptor>>,
    stop: CancellationToken,
) -> Option<Stream> {
    // Answers are small and written whole; waiting to fill a segment only delays them.
    let _ = tcp.set_nodelay(true);
    // A connection may be idle for ever, but not after its peer has vanished.
    let _ = SockRef::from(&tcp).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE));
    #[cfg(target_os = "linux")]
    let _ = SockRef::from(&tcp).set_tcp_user_timeout(Some(UNREAD));
    let Some(tls) = tls else { return Some(Stream::Plain(tcp)) };
    tokio::select! {
        stream = tls.accept(tcp, peer) => stream,
        () = stop.cancelled() => None,
    }
}

fn report_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "serving a connection failed");
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
