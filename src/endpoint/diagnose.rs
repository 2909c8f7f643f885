//! The way to a server step by step, for whoever has to say which step fails.
//!
//! The steps are those of a [`Transport`](super::Transport) with the same settings: [`route`] says
//! who is connected to, [`resolve`] looks the name up, [`connect`] makes the TCP connection,
//! [`tunnel`] asks the proxy, if there is one, and [`handshake`] speaks TLS and tells what the
//! server showed, also when that is not accepted.
//!
//! ```no_run
//! use profile_http::endpoint::{TransportSettings, diagnose};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let settings = TransportSettings::default();
//! let route = diagnose::route(&"https://api.example/profiles".parse()?, &settings)?;
//! let addresses = diagnose::resolve(route.first_host(), route.first_port()).await?;
//! let mut connection = diagnose::connect(&addresses, settings.connect_timeout).await?;
//! diagnose::tunnel(&route, &mut connection).await?;
//! let handshake = diagnose::handshake(&route, connection, &settings).await?;
//! for certificate in &handshake.chain {
//!     println!("{} issued by {}", certificate.subject, certificate.issuer);
//! }
//! handshake.outcome?;
//! # Ok(()) }
//! ```

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::Uri;
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::{
        ResolvesClientCert,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
    sign::CertifiedKey,
};
use tokio::{io::AsyncReadExt, net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::{
    EndpointError, SendError, TransportSettings, connector,
    proxy::{Proxies, Tunnel},
    tls,
};

/// How long a server may take to say that it does not accept our certificate. In TLS 1.3 it judges
/// when the handshake has ended for us.
const JUDGEMENT: Duration = Duration::from_secs(1);

/// The way to a server.
#[derive(Debug)]
pub struct Route {
    host: String,
    port: u16,
    tunnel: Option<Tunnel>,
    /// The name that the certificate must be for; none without TLS.
    server_name: Option<ServerName<'static>>,
}

/// What a TLS handshake brought to light.
#[derive(Debug)]
pub struct Handshake {
    /// Whether the server is accepted, and accepts us.
    pub outcome: Result<(), SendError>,
    /// The version of TLS, such as `TLSv1_3`; none if it did not come to that.
    pub version: Option<String>,
    /// The version of HTTP that was agreed upon: `h2` or `http/1.1`; none if the server made no
    /// choice.
    pub alpn: Option<String>,
    /// The certificates that the server showed, its own first.
    pub chain: Vec<ShownCertificate>,
    /// Whether the server asked for a client certificate.
    pub asks_for_client: bool,
}

/// A certificate that a server showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownCertificate {
    /// Whose it is.
    pub subject: String,
    /// Who issued it.
    pub issuer: String,
    /// When it ends to be valid, in seconds since the epoch.
    pub not_after: i64,
    /// The names and addresses that it is for.
    pub names: Vec<String>,
}

impl Route {
    /// Whom the TCP connection is made to: the proxy, or else the server.
    pub fn first_host(&self) -> &str {
        let host = match &self.tunnel {
            Some(tunnel) => tunnel.proxy.url.host().unwrap_or_default(),
            None => &self.host,
        };
        host.trim_matches(['[', ']'])
    }

    /// The port there.
    pub fn first_port(&self) -> u16 {
        match &self.tunnel {
            Some(tunnel) => tunnel.proxy.url.port_u16().unwrap_or(80),
            None => self.port,
        }
    }

    /// Host and port of the proxy, if there is one.
    pub fn proxy(&self) -> Option<String> {
        self.tunnel.as_ref().map(|tunnel| tunnel.proxy.address())
    }

    /// Whether TLS is spoken.
    pub fn over_tls(&self) -> bool {
        self.server_name.is_some()
    }
}

/// The way to `url`. Reads the proxy's password if that is in a file.
pub fn route(url: &Uri, settings: &TransportSettings) -> Result<Route, EndpointError> {
    let proxies = settings.proxy.as_ref().map(Proxies::new).transpose()?;
    let tunnel = proxies.and_then(|proxies| proxies.tunnel_to(url));
    let host = url.host().unwrap_or_default().to_owned();
    let over_tls = url.scheme_str() == Some("https");
    let named = || ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).ok();
    let server_name = over_tls.then(|| settings.tls.server_name.clone().or_else(named)).flatten();
    let port = url.port_u16().unwrap_or(if over_tls { 443 } else { 80 });
    Ok(Route { host, port, tunnel, server_name })
}

/// The addresses of a host; at least one.
pub async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, SendError> {
    let found = tokio::net::lookup_host((host, port)).await;
    let addresses: Vec<_> = found
        .map_err(|error| SendError::Connect(format!("cannot look up {host}: {error}")))?
        .collect();
    if addresses.is_empty() {
        return Err(SendError::Connect(format!("{host} has no address")));
    }
    Ok(addresses)
}

/// A TCP connection to the first of the addresses that takes one, each within its share of the
/// time.
pub async fn connect(addresses: &[SocketAddr], limit: Duration) -> Result<TcpStream, SendError> {
    let share = limit / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let mut failures = Vec::new();
    for address in addresses {
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failures.push(format!("{address}: {error}")),
            Err(_) => {
                failures.push(format!("{address}: no answer within {}s", share.as_secs_f64()));
            }
        }
    }
    Err(SendError::Connect(failures.join("; ")))
}

/// Asks the proxy at the other end to connect us to the server. Does nothing without a proxy.
pub async fn tunnel(route: &Route, connection: &mut TcpStream) -> Result<(), SendError> {
    let Some(tunnel) = &route.tunnel else { return Ok(()) };
    tunnel.open(connection).await.map_err(|error| SendError::of_connect(&error))
}

/// Speaks TLS over a connection to the server. The outer error is about our own files; what the
/// server makes of us and we of it is in [`Handshake::outcome`]. Without TLS there is nothing to
/// speak: the outcome is good and everything else empty.
pub async fn handshake(
    route: &Route,
    connection: TcpStream,
    settings: &TransportSettings,
) -> Result<Handshake, EndpointError> {
    let mut handshake = Handshake {
        outcome: Ok(()),
        version: None,
        alpn: None,
        chain: Vec::new(),
        asks_for_client: false,
    };
    let Some(name) = route.server_name.clone() else { return Ok(handshake) };
    let mut config = connector::tls_config(settings)?;
    let shown = Arc::new(Shown::new(tls::verifier(&settings.tls)?));
    let asked = Arc::new(Asked::new(&config));
    config.dangerous().set_certificate_verifier(shown.clone());
    config.client_auth_cert_resolver = asked.clone();

    let connector = TlsConnector::from(Arc::new(config));
    match timeout(settings.connect_timeout, connector.connect(name, connection)).await {
        Ok(Ok(mut stream)) => {
            let (_, session) = stream.get_ref();
            handshake.version = session.protocol_version().map(|version| format!("{version:?}"));
            let alpn = session.alpn_protocol();
            handshake.alpn = alpn.map(|name| String::from_utf8_lossy(name).into_owned());
            if asked.was() {
                handshake.outcome = judged(&mut stream).await;
            }
        }
        Ok(Err(error)) => handshake.outcome = Err(SendError::of_handshake(&error)),
        Err(_) => {
            let limit = settings.connect_timeout.as_secs_f64();
            let message = format!("timed out: no TLS handshake within {limit}s");
            handshake.outcome = Err(SendError::Connect(message));
        }
    }
    handshake.chain = shown.chain();
    handshake.asks_for_client = asked.was();
    Ok(handshake)
}

/// Waits a moment for the server's word on our certificate. One that says nothing waits for a
/// request.
async fn judged(stream: &mut TlsStream<TcpStream>) -> Result<(), SendError> {
    match timeout(JUDGEMENT, stream.read_u8()).await {
        Ok(Err(error)) => Err(SendError::of_handshake(&error)),
        Ok(Ok(_)) | Err(_) => Ok(()),
    }
}

impl ShownCertificate {
    fn parse(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let alternatives = certificate.subject_alternative_name().ok().flatten();
        let names = alternatives.map(|names| names.value.general_names.as_slice());
        Some(Self {
            subject: certificate.subject().to_string(),
            issuer: certificate.issuer().to_string(),
            not_after: certificate.validity().not_after.timestamp(),
            names: names.unwrap_or_default().iter().filter_map(name).collect(),
        })
    }
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(std::net::IpAddr::from);
            let v6 = || <[u8; 16]>::try_from(*bytes).map(std::net::IpAddr::from);
            v4.or_else(|_| v6()).ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

/// Keeps what the server shows, and judges like another verifier.
#[derive(Debug)]
struct Shown {
    verifier: Arc<dyn ServerCertVerifier>,
    chain: Mutex<Vec<ShownCertificate>>,
}

impl Shown {
    fn new(verifier: Arc<dyn ServerCertVerifier>) -> Self {
        Self { verifier, chain: Mutex::default() }
    }

    fn chain(&self) -> Vec<ShownCertificate> {
        self.chain.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ServerCertVerifier for Shown {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain = std::iter::once(end_entity).chain(intermediates);
        *self.chain.lock().unwrap_or_else(PoisonError::into_inner) =
            chain.filter_map(|certificate| ShownCertificate::parse(certificate)).collect();
        self.verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// Notes whether the server asks for a client certificate.
#[derive(Debug)]
struct Asked {
    resolver: Arc<dyn ResolvesClientCert>,
    asked: AtomicBool,
}

impl Asked {
    fn new(config: &ClientConfig) -> Self {
        Self { resolver: config.client_auth_cert_resolver.clone(), asked: AtomicBool::new(false) }
    }

    fn was(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

impl ResolvesClientCert for Asked {
    fn resolve(
        &self,
        authorities: &[&[u8]],
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        self.resolver.resolve(authorities, schemes)
    }

    fn has_certs(&self) -> bool {
        // Else the question is not passed on.
        true
    }
}
