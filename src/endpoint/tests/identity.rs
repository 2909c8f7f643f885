//! Mutual TLS, and the version of HTTP that is agreed upon in the handshake.

use std::{
    fs::{self, File},
    path::Path,
    sync::Mutex,
    time::UNIX_EPOCH,
};

use futures_util::future::join_all;
use rcgen::DnType;
use rustls::{
    RootCertStore, ServerConfig, SupportedProtocolVersion,
    pki_types::{CertificateDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tempfile::TempDir;
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{tls::Authority, *};
use crate::endpoint::{Http2, IdentitySettings, tls};

/// Names that a server has seen: of a client's certificate, or of itself.
pub(super) type Names = Arc<Mutex<Vec<String>>>;

/// A server whose certificate and clients are issued by one authority.
pub(super) struct Setup {
    pub(super) authority: Authority,
    /// Where the client's files lie.
    pub(super) folder: TempDir,
    pub(super) versions: Vec<&'static SupportedProtocolVersion>,
    /// The versions of HTTP that the server speaks, the one it likes best first.
    pub(super) alpn: Vec<&'static str>,
    pub(super) wants_client: bool,
    /// The common names of the clients of each request.
    pub(super) clients: Names,
    /// The server names that were asked for.
    pub(super) asked: Names,
}

impl Setup {
    pub(super) fn new() -> Self {
        Self {
            authority: Authority::new("one"),
            folder: TempDir::new().unwrap(),
            versions: rustls::ALL_VERSIONS.to_vec(),
            alpn: vec!["h2", "http/1.1"],
            wants_client: false,
            clients: Names::default(),
            asked: Names::default(),
        }
    }

    pub(super) async fn server(&self, name: &str) -> Server {
        let (certificate, key) = self.authority.issue(name, |_| {});
        let builder = ServerConfig::builder_with_provider(tls::provider())
            .with_protocol_versions(&self.versions)
            .unwrap();
        let builder = if self.wants_client {
            let mut roots = RootCertStore::empty();
            roots
                .add(CertificateDer::from_pem_file(self.authority.file().path()).unwrap())
                .unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(roots.into(), tls::provider());
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let mut config = builder.with_single_cert(vec![certificate], key).unwrap();
        config.alpn_protocols = self.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (clients, asked) = (self.clients.clone(), self.asked.clone());
        Server::start(move |stream, _| {
            let (acceptor, clients, asked) = (acceptor.clone(), clients.clone(), asked.clone());
            async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let (_, session) = stream.get_ref();
                asked.lock().unwrap().extend(session.server_name().map(str::to_owned));
                let client = session.peer_certificates().map(|chain| common_name(&chain[0]));
                let answered = || clients.lock().unwrap().extend(client.clone());
                if session.alpn_protocol() == Some(b"h2") {
                    over_http2(stream, answered).await;
                } else {
                    over_http1(stream, answered).await;
                }
            }
        })
        .await
    }

    /// Writes a certificate for a client with its key, and returns where they lie.
    pub(super) fn write_client(&self, issuer: &Authority, name: &str) -> IdentitySettings {
        let (certificate, key) = issuer
            .issue("client", |params| params.distinguished_name.push(DnType::CommonName, name));
        let settings = IdentitySettings {
            crt_file: self.folder.path().join("client.pem"),
            key_file: self.folder.path().join("client.key"),
            key_pass: None,
        };
        write(&settings.crt_file, &pem("CERTIFICATE", &certificate));
        write(&settings.key_file, &pem("PRIVATE KEY", key.secret_der()));
        settings
    }

    pub(super) fn trusting(&self) -> TlsSettings {
        let ca_file = self.folder.path().join("ca.pem");
        write(&ca_file, &fs::read_to_string(self.authority.file().path()).unwrap());
        TlsSettings { ca_file: Some(ca_file), ..TlsSettings::default() }
    }

    /// A transport that shows this certificate.
    fn transport(&self, http2: Http2, identity: Option<IdentitySettings>) -> Transport {
        let tls = TlsSettings { identity, ..self.trusting() };
        Transport::new(TransportSettings { tls, http2, ..TransportSettings::default() }).unwrap()
    }
}

/// Writes a file at a time of its own, however fast one write follows another.
fn write(path: &Path, text: &str) {
    static WRITES: AtomicUsize = AtomicUsize::new(1);
    fs::write(path, text).unwrap();
    let number = WRITES.fetch_add(1, Ordering::Relaxed);
    let time = UNIX_EPOCH + Duration::from_secs(number as u64);
    File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

/// Lets so much time pass that files are looked at again.
async fn a_while() {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(2)).await;
    tokio::time::resume();
}

fn pem(label: &str, der: &[u8]) -> String {
    pkcs8::der::pem::encode_string(label, pkcs8::LineEnding::LF, der).unwrap()
}

fn common_name(certificate: &CertificateDer<'_>) -> String {
    let (_, certificate) = X509Certificate::from_der(certificate).unwrap();
    let mut names = certificate.subject().iter_common_name();
    names.next().unwrap().as_str().unwrap().to_owned()
}

async fn over_http1(mut stream: TlsStream<TcpStream>, answered: impl Fn()) {
    while read_request(&mut stream).await.is_some() {
        answered();
        stream.write_all(OK).await.unwrap();
    }
}

async fn over_http2(stream: TlsStream<TcpStream>, answered: impl Fn()) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((_, mut respond))) = connection.accept().await {
        answered();
        respond.send_response(Response::new(()), true).unwrap();
    }
}

async fn ask(transport: &Transport, server: &Server) -> Result<Response<Bytes>, SendError> {
    transport.clone().oneshot(request(&format!("https://{}/", server.address))).await
}

#[tokio::test]
async fn the_version_of_http_that_the_server_chooses_is_spoken() {
    for (alpn, version) in [
        (vec!["h2", "http/1.1"], http::Version::HTTP_2),
        (vec!["http/1.1"], http::Version::HTTP_11),
        (vec![], http::Version::HTTP_11),
    ] {
        let setup = Setup { alpn, ..Setup::new() };
        let server = setup.server("127.0.0.1").await;
        let transport = setup.transport(Http2::Auto, None);
        for _ in 0..3 {
            assert_eq!(ask(&transport, &server).await.unwrap().version(), version);
        }
    }
}

#[tokio::test]
async fn http_2_is_not_spoken_when_it_is_not_wanted() {
    let setup = Setup::new();
    let server = setup.server("127.0.0.1").await;
    let answer = ask(&setup.transport(Http2::Never, None), &server).await.unwrap();
    assert_eq!(answer.version(), http::Version::HTTP_11);
}

#[tokio::test]
async fn a_server_without_http_2_is_found_out_when_nothing_else_is_wanted() {
    for alpn in [vec!["http/1.1"], vec![]] {
        let setup = Setup { alpn, ..Setup::new() };
        let server = setup.server("127.0.0.1").await;
        let error = ask(&setup.transport(Http2::Always, None), &server).await.unwrap_err();
        assert!(matches!(error, SendError::Tls(_)), "{error:?}");
        assert!(error.to_string().contains("request.http2"), "{error}");
    }
}

#[tokio::test]
async fn once_the_server_is_known_to_speak_http_2_one_connection_is_made_for_all() {
    let setup = Setup::new();
    let server = setup.server("127.0.0.1").await;
    let transport = setup.transport(Http2::Auto, None);
    ask(&transport, &server).await.unwrap();
    for answer in join_all((0..200).map(|_| ask(&transport, &server))).await {
        assert_eq!(answer.unwrap().version(), http::Version::HTTP_2);
    }
    // The first was made before that was known.
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_server_name_of_ones_own_is_asked_for_and_verified() {
    let setup = Setup::new();
    let server = setup.server("api.example").await;
    let with_name = |name: &str| {
        let server_name = Some(name.to_owned().try_into().unwrap());
        let tls = TlsSettings { server_name, ..setup.trusting() };
        Transport::new(TransportSettings { tls, ..TransportSettings::default() }).unwrap()
    };
    assert_eq!(ask(&with_name("api.example"), &server).await.unwrap().status(), 200);
    assert_eq!(*setup.asked.lock().unwrap(), ["api.example"]);
    for transport in [with_name("other.example"), setup.transport(Http2::Auto, None)] {
        let error = ask(&transport, &server).await.unwrap_err().to_string();
        assert!(error.contains("tls.server_name"), "{error}");
    }
}

#[tokio::test]
async fn a_client_certificate_is_shown() {
    for http2 in [Http2::Never, Http2::Auto] {
        let setup = Setup { wants_client: true, ..Setup::new() };
        let server = setup.server("127.0.0.1").await;
        let identity = setup.write_client(&setup.authority, "first");
        ask(&setup.transport(http2, Some(identity)), &server).await.unwrap();
        assert_eq!(*setup.clients.lock().unwrap(), ["first"]);
    }
}

#[tokio::test]
async fn a_server_that_does_not_accept_the_client_certificate_is_a_tls_failure() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for http2 in [Http2::Never, Http2::Auto, Http2::Always] {
            let versions = vec![version];
            let setup = Setup { wants_client: true, versions, ..Setup::new() };
            let server = setup.server("127.0.0.1").await;
            let error = ask(&setup.transport(http2, None), &server).await.unwrap_err();
            assert!(matches!(error, SendError::Tls(_)), "{version:?} {http2:?} {error:?}");

            let identity = setup.write_client(&Authority::new("another"), "first");
            let transport = setup.transport(http2, Some(identity));
            let error = ask(&transport, &server).await.unwrap_err();
            assert!(matches!(error, SendError::Tls(_)), "{version:?} {http2:?} {error:?}");
        }
    }
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_without_a_restart() {
    for http2 in [Http2::Never, Http2::Auto] {
        let setup = Setup { wants_client: true, ..Setup::new() };
        let server = setup.server("127.0.0.1").await;
        let identity = setup.write_client(&setup.authority, "first");
        let transport = setup.transport(http2, Some(identity));
        ask(&transport, &server).await.unwrap();
        setup.write_client(&setup.authority, "second");
        a_while().await;
        ask(&transport, &server).await.unwrap();
        assert_eq!(*setup.clients.lock().unwrap(), ["first", "second"]);
    }
}

#[tokio::test]
async fn files_that_cannot_be_used_leave_the_former_in_use() {
    let setup = Setup { wants_client: true, ..Setup::new() };
    let server = setup.server("127.0.0.1").await;
    let identity = setup.write_client(&setup.authority, "first");
    let transport = setup.transport(Http2::Auto, Some(identity.clone()));
    let key = fs::read_to_string(&identity.key_file).unwrap();
    // The certificate is there already, its key is not yet.
    setup.write_client(&setup.authority, "second");
    let new_key = fs::read_to_string(&identity.key_file).unwrap();
    for broken in [key.as_str(), "nothing"] {
        write(&identity.key_file, broken);
        a_while().await;
        ask(&transport, &server).await.unwrap();
    }
    assert_eq!(*setup.clients.lock().unwrap(), ["first", "first"]);
    write(&identity.key_file, &new_key);
    a_while().await;
    ask(&transport, &server).await.unwrap();
    assert_eq!(setup.clients.lock().unwrap().last().unwrap(), "second");
}

#[tokio::test]
async fn a_renewed_authority_is_trusted_without_a_restart() {
    let mut setup = Setup::new();
    let transport = setup.transport(Http2::Auto, None);
    setup.authority = Authority::new("another");
    let server = setup.server("127.0.0.1").await;
    let error = ask(&transport, &server).await.unwrap_err();
    assert!(matches!(error, SendError::Tls(_)), "{error:?}");
    setup.trusting();
    a_while().await;
    assert_eq!(ask(&transport, &server).await.unwrap().status(), 200);
}
