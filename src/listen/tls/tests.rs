use std::{fs, net::SocketAddr, path::PathBuf, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Duration,
};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use super::{TlsError, TlsFiles};
use crate::{
    endpoint::tls::provider,
    listen,
    telemetry::{Component, Metrics},
};

/// An authority and the files of a server.
struct Pki {
    dir: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Pki {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        fs::write(dir.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        let pki = Self { dir, issuer: Issuer::new(params, key) };
        pki.issue("server", 4096);
        pki
    }

    /// Writes `name.crt` and `name.key`.
    fn issue(&self, name: &str, last_year: i32) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_after = date_time_ymd(last_year, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(self.file(&format!("{name}.crt")), certificate.pem()).unwrap();
        fs::write(self.file(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn files(&self, client_ca: Option<&str>) -> TlsFiles {
        TlsFiles {
            crt_file: self.file("server.crt"),
            key_file: self.file("server.key"),
            client_ca_file: client_ca.map(|name| self.file(name)),
        }
    }

    fn certificate(&self, name: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.file(&format!("{name}.crt"))).unwrap()
    }

    /// A client that trusts the authority, and shows a certificate if it is given a name of one.
    fn client(&self, shown: Option<&str>) -> TlsConnector {
        let mut authorities = RootCertStore::empty();
        authorities.add(CertificateDer::from_pem_file(self.file("ca.pem")).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(authorities);
        let mut config = match shown {
            None => config.with_no_client_auth(),
            Some(name) => {
                let key = PrivateKeyDer::from_pem_file(self.file(&format!("{name}.key"))).unwrap();
                config.with_client_auth_cert(vec![self.certificate(name)], key).unwrap()
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec(), b"echo".to_vec()];
        TlsConnector::from(Arc::new(config))
    }
}

/// A server that sends back what it gets.
struct Echo {
    address: SocketAddr,
    metrics: Arc<Component>,
    stop: CancellationToken,
}

impl Echo {
    async fn start(files: TlsFiles) -> Self {
        let metrics = Metrics::default().component("in", "source", "test");
        let listener = listen::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let listener = listener.with_tls(files, &[b"echo"], metrics.clone()).unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let echo = async |mut stream: listen::Stream, _| {
            assert_eq!(stream.protocol(), Some(&b"echo"[..]));
            let (mut from, mut to) = tokio::io::split(&mut stream);
            let _ = tokio::io::copy(&mut from, &mut to).await;
        };
        tokio::spawn(listener.serve(stop.clone(), echo));
        Self { address, metrics, stop }
    }

    /// What comes back, and the certificate that the server shows.
    async fn say(
        &self,
        client: &TlsConnector,
    ) -> std::io::Result<(String, CertificateDer<'static>)> {
        let tcp = TcpStream::connect(self.address).await?;
        let mut stream = client.connect(ServerName::try_from("localhost").unwrap(), tcp).await?;
        stream.write_all(b"hello").await?;
        let mut back = vec![0; 5];
        stream.read_exact(&mut back).await?;
        let shown = stream.get_ref().1.peer_certificates().unwrap()[0].clone();
        Ok((String::from_utf8(back).unwrap(), shown.into_owned()))
    }

    fn failed(&self) -> u64 {
        self.metrics.errors("tls_handshake", "receiving").get()
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Lets the time go by after which files are looked at again.
async fn a_moment() {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(3)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_connection_is_encrypted_and_plain_text_disturbs_nobody() {
    let pki = Pki::new();
    let echo = Echo::start(pki.files(None)).await;
    let client = pki.client(None);
    let (said, shown) = echo.say(&client).await.unwrap();
    assert_eq!((said.as_str(), &shown), ("hello", &pki.certificate("server")));

    let mut plain = TcpStream::connect(echo.address).await.unwrap();
    plain.write_all(b"POST / HTTP/1.1\r\nhost: sink\r\n\r\n").await.unwrap();
    let _ = plain.read_to_end(&mut Vec::new()).await;
    assert_eq!(echo.failed(), 1);
    // Looking whether anybody is there is no failure.
    drop(TcpStream::connect(echo.address).await.unwrap());
    echo.say(&client).await.unwrap();
    assert_eq!(echo.failed(), 1);
}

#[tokio::test]
async fn with_verify_client_only_certificates_of_the_authority_are_let_in() {
    let (pki, other) = (Pki::new(), Pki::new());
    pki.issue("client", 4096);
    other.issue("stranger", 4096);
    for file in ["stranger.crt", "stranger.key"] {
        fs::copy(other.file(file), pki.file(file)).unwrap();
    }
    let echo = Echo::start(pki.files(Some("ca.pem"))).await;
    assert!(echo.say(&pki.client(None)).await.is_err());
    assert!(echo.say(&pki.client(Some("stranger"))).await.is_err());
    assert_eq!(echo.failed(), 2);
    assert_eq!(echo.say(&pki.client(Some("client"))).await.unwrap().0, "hello");
}

#[tokio::test]
async fn renewed_files_are_used_and_broken_ones_are_not() {
    let pki = Pki::new();
    let echo = Echo::start(pki.files(None)).await;
    let client = pki.client(None);
    let first = pki.certificate("server");
    assert_eq!(echo.say(&client).await.unwrap().1, first);

    let key = fs::read(pki.file("server.key")).unwrap();
    pki.issue("server", 4097);
    let renewed_key = fs::read(pki.file("server.key")).unwrap();
    fs::write(pki.file("server.key"), key).unwrap();
    a_moment().await;
    assert_eq!(echo.say(&client).await.unwrap().1, first, "the key does not belong to it yet");
    fs::write(pki.file("server.key"), renewed_key).unwrap();
    a_moment().await;
    assert_eq!(echo.say(&client).await.unwrap().1, pki.certificate("server"));

    fs::remove_file(pki.file("server.crt")).unwrap();
    a_moment().await;
    echo.say(&client).await.unwrap();
}

#[test]
fn files_that_cannot_be_used_are_told_apart() {
    let pki = Pki::new();
    let check = |change: &dyn Fn(&mut TlsFiles)| {
        let mut files = pki.files(Some("ca.pem"));
        change(&mut files);
        files.check()
    };
    check(&|_| {}).unwrap();
    pki.issue("other", 4096);
    pki.issue("expired", 2020);
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMII=\n-----END ENCRYPTED PRIVATE KEY-----";
    fs::write(pki.file("encrypted.key"), encrypted).unwrap();
    assert!(matches!(
        check(&|files| files.key_file = pki.file("other.key")),
        Err(TlsError::Mismatch { .. })
    ));
    let expired = check(&|files| files.crt_file = pki.file("expired.crt")).unwrap_err();
    assert!(expired.to_string().contains("2020-01-01T00:00:00Z; renew it"), "{expired}");
    assert!(matches!(
        check(&|files| files.key_file = pki.file("encrypted.key")),
        Err(TlsError::EncryptedKey(_))
    ));
    assert!(matches!(
        check(&|files| files.key_file = pki.file("server.crt")),
        Err(TlsError::NoKey(_))
    ));
    assert!(matches!(
        check(&|files| files.client_ca_file = Some(pki.file("server.key"))),
        Err(TlsError::NoCertificate(_))
    ));
    assert!(matches!(
        check(&|files| files.client_ca_file = Some(pki.file("nowhere"))),
        Err(TlsError::Read { .. })
    ));
}
