use std::{io::Write, path::PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls::{
    ServerConfig, SupportedProtocolVersion,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use tempfile::NamedTempFile;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::endpoint::{EndpointError, tls};

pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(super) fn file(&self) -> NamedTempFile {
        file(&self.0.pem())
    }

    /// A certificate for `name` with its key.
    pub(super) fn issue(
        &self,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    }
}

fn file(content: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(content.as_bytes()).unwrap();
    file
}

fn trusting(file: &NamedTempFile) -> TlsSettings {
    TlsSettings { ca_file: Some(file.path().to_owned()), ..TlsSettings::default() }
}

pub(super) async fn server(
    (certificate, key): (CertificateDer<'static>, PrivateKeyDer<'static>),
    versions: &[&'static SupportedProtocolVersion],
) -> Server {
    let config = ServerConfig::builder_with_provider(tls::provider())
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    Server::start(move |stream, _| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            while read_request(&mut stream).await.is_some() {
                stream.write_all(OK).await.unwrap();
            }
        }
    })
    .await
}

async fn answer(server: &Server, settings: &TlsSettings) -> Result<Response<Bytes>, SendError> {
    let request = request(&format!("https://{}/", server.address));
    transport_with(settings).oneshot(request).await
}

async fn tls_error(server: &Server, settings: &TlsSettings) -> String {
    match answer(server, settings).await {
        Err(SendError::Tls(message)) => message,
        other => panic!("it is no TLS error: {other:?}"),
    }
}

#[tokio::test]
async fn a_certificate_of_an_authority_in_ca_file_is_accepted() {
    let authority = Authority::new("one");
    let server = server(authority.issue("127.0.0.1", |_| {}), rustls::ALL_VERSIONS).await;
    let answer = answer(&server, &trusting(&authority.file())).await.unwrap();
    assert_eq!(answer.body(), "ok");
}

#[tokio::test]
async fn connections_over_tls_are_used_again() {
    let authority = Authority::new("one");
    let server = server(authority.issue("127.0.0.1", |_| {}), rustls::ALL_VERSIONS).await;
    let transport = transport_with(&trusting(&authority.file()));
    for _ in 0..5 {
        let request = request(&format!("https://{}/", server.address));
        transport.clone().oneshot(request).await.unwrap();
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_not_accepted() {
    let server =
        server(Authority::new("one").issue("127.0.0.1", |_| {}), rustls::ALL_VERSIONS).await;
    let message = tls_error(&server, &trusting(&Authority::new("another").file())).await;
    assert!(message.contains("unknown authority") && message.contains("tls.ca_file"), "{message}");
}

#[tokio::test]
async fn an_expired_certificate_is_said_to_be_expired() {
    let authority = Authority::new("one");
    let issued = authority.issue("127.0.0.1", |params| {
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 1, 1);
    });
    let server = server(issued, rustls::ALL_VERSIONS).await;
    let message = tls_error(&server, &trusting(&authority.file())).await;
    assert!(message.contains("has expired (2020-01-01T00:00:00Z)"), "{message}");
    assert!(message.contains("renew"), "{message}");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_not_accepted() {
    let authority = Authority::new("one");
    let server = server(authority.issue("other.example", |_| {}), rustls::ALL_VERSIONS).await;
    let message = tls_error(&server, &trusting(&authority.file())).await;
    assert!(message.contains("127.0.0.1") && message.contains("other.example"), "{message}");
}

#[tokio::test]
async fn without_verification_any_certificate_is_accepted() {
    let issued = Authority::new("one").issue("other.example", |params| {
        params.not_after = date_time_ymd(2020, 1, 1);
    });
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let server = server((issued.0.clone(), issued.1.clone_key()), &[version]).await;
        let settings = TlsSettings { skip_verification: true, ..TlsSettings::default() };
        assert_eq!(answer(&server, &settings).await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn an_older_version_than_the_oldest_allowed_is_not_spoken() {
    let authority = Authority::new("one");
    let issued = authority.issue("127.0.0.1", |_| {});
    let server = server(issued, &[&rustls::version::TLS12]).await;
    let file = authority.file();
    answer(&server, &trusting(&file)).await.unwrap();
    let settings = TlsSettings { min_version: TlsVersion::V1_3, ..trusting(&file) };
    let message = tls_error(&server, &settings).await;
    assert!(message.contains("version"), "{message}");
}

#[tokio::test]
async fn a_server_that_speaks_plain_http_is_found_out() {
    let server = Server::start(|mut stream, _| async move {
        let _ = stream.read(&mut [0; 512]).await;
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    })
    .await;
    let message = tls_error(&server, &TlsSettings::default()).await;
    assert!(message.contains("does not speak TLS"), "{message}");
}

#[tokio::test]
async fn a_connection_that_ends_during_the_handshake_may_succeed_later() {
    let server = Server::start(|mut stream, _| async move {
        let _ = stream.read(&mut [0; 16]).await;
        reset(stream);
    })
    .await;
    let error = answer(&server, &TlsSettings::default()).await.unwrap_err();
    assert!(matches!(error, SendError::Connect(_)), "{error:?}");
}

#[test]
fn a_ca_file_that_cannot_be_used_is_found_at_the_start() {
    let start = |path: PathBuf| {
        let tls = TlsSettings { ca_file: Some(path), ..TlsSettings::default() };
        Transport::new(TransportSettings { tls, ..TransportSettings::default() }).unwrap_err()
    };
    let missing = start("/nowhere/ca.pem".into());
    assert!(matches!(missing, EndpointError::ReadAuthorities { .. }), "{missing}");
    assert!(missing.to_string().contains("/nowhere/ca.pem"), "{missing}");
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let broken = start(file(broken).path().to_owned());
    assert!(matches!(broken, EndpointError::ReadAuthorities { .. }), "{broken}");
    let empty = file("no certificate in here");
    let empty = start(empty.path().to_owned());
    assert!(matches!(empty, EndpointError::NoAuthorities(_)), "{empty}");
}
