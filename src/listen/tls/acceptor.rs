use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rustls::{AlertDescription, Error, ServerConfig};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::{TlsError, TlsFiles};
use crate::{
    endpoint::files::{Stamp, stamps},
    listen::Stream,
    telemetry::{Component, Throttle},
};

/// How long a client may take for its part of the handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How often it is looked whether the files have changed, at most.
const LOOK: Duration = Duration::from_secs(2);

/// Turns connections into encrypted ones, with what the files hold at that time.
#[derive(Debug)]
pub(in crate::listen) struct Acceptor {
    files: TlsFiles,
    protocols: Vec<Vec<u8>>,
    loaded: Mutex<Loaded>,
    metrics: Arc<Component>,
    throttle: Throttle,
}

#[derive(Debug)]
struct Loaded {
    config: Arc<ServerConfig>,
    /// The files as they were when they were last read.
    stamps: Vec<Stamp>,
    looked: Instant,
}

impl Acceptor {
    pub(in crate::listen) fn new(
        files: TlsFiles,
        protocols: &[&[u8]],
        metrics: Arc<Component>,
    ) -> Result<Self, TlsError> {
        let protocols: Vec<_> = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let stamps = stamps(files.paths());
        let config = load(&files, &protocols)?;
        let loaded = Mutex::new(Loaded { config, stamps, looked: Instant::now() });
        Ok(Self { files, protocols, loaded, metrics, throttle: Throttle::default() })
    }

    /// Shakes hands with a client. What goes wrong is said and counted here.
    pub(in crate::listen) async fn accept(
        &self,
        tcp: TcpStream,
        peer: SocketAddr,
    ) -> Option<Stream> {
        let acceptor = TlsAcceptor::from(self.config());
        let failed = match timeout(HANDSHAKE, acceptor.accept(tcp)).await {
            Ok(Ok(stream)) => return Some(Stream::Tls(Box::new(stream))),
            Ok(Err(error)) => explain(&error),
            Err(_) => {
                let limit = HANDSHAKE.as_secs();
                Some(("timeout", format!("the handshake was not done within {limit}s")))
            }
        };
        let Some((kind, reason)) = failed else {
            // Gone without a word, as port scanners and health checks do.
            tracing::debug!(%peer, "a connection ended before its TLS handshake");
            return None;
        };
        self.metrics.errors("tls_handshake", "receiving").inc();
        if let Some(similar) = self.throttle.pass(kind) {
            let source = self.metrics.name();
            tracing::warn!(source, %peer, similar, "a TLS connection was closed: {reason}");
        }
        None
    }

    /// What the files hold; they are read again once they have changed. As long as they cannot be
    /// used, what they held before goes on being used.
    fn config(&self) -> Arc<ServerConfig> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if loaded.looked.elapsed() < LOOK {
            return Arc::clone(&loaded.config);
        }
        loaded.looked = Instant::now();
        let now = stamps(self.files.paths());
        if now != loaded.stamps {
            let source = self.metrics.name();
            // Noted only when they are good: of two files that are replaced one after the other,
            // the second may come within the grain of the file system's clock.
            match load(&self.files, &self.protocols) {
                Ok(config) => {
                    tracing::info!(source, "the changed certificate and key are used from now on");
                    loaded.config = config;
                    loaded.stamps = now;
                }
                Err(error) => {
                    if let Some(similar) = self.throttle.pass("reload") {
                        tracing::warn!(
                            source,
                            similar,
                            "the certificate or key has changed and the former ones stay in use: \
                             {error}"
                        );
                    }
                }
            }
        }
        Arc::clone(&loaded.config)
    }
}

fn load(files: &TlsFiles, protocols: &[Vec<u8>]) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = files.load()?;
    config.alpn_protocols = protocols.to_vec();
    Ok(Arc::new(config))
}

/// The kind of a failed handshake and what to do about it; nothing when the client just left.
fn explain(error: &io::Error) -> Option<(&'static str, String)> {
    let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe => None,
            _ => Some(("connection", error.to_string())),
        };
    };
    Some(match error {
        Error::InvalidMessage(_) => (
            "plain",
            "the client does not speak TLS; switch TLS on in the sender, or remove `tls` here"
                .to_owned(),
        ),
        Error::NoCertificatesPresented => (
            "no_certificate",
            "the client shows no certificate, which `verify_client` demands; give the sender one"
                .to_owned(),
        ),
        Error::InvalidCertificate(what) => (
            "certificate",
            format!(
                "the client's certificate is not accepted ({what}); it must be valid and signed \
                 by an authority of `ca_file`"
            ),
        ),
        Error::AlertReceived(
            alert @ (AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired),
        ) => (
            "not_trusted",
            format!(
                "the client does not accept our certificate (alert {alert:?}); let the sender \
                 trust its authority, and use a name that stands in it"
            ),
        ),
        Error::NoApplicationProtocol => (
            "protocol",
            "the client speaks another protocol (ALPN); check what the sender's port and type are"
                .to_owned(),
        ),
        Error::PeerIncompatible(what) => {
            ("version", format!("the client speaks no version or cipher in common ({what:?})"))
        }
        other => ("other", other.to_string()),
    })
}
