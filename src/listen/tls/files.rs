use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    InconsistentKeys, RootCertStore, ServerConfig,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    server::WebPkiClientVerifier,
};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::{clock::Clock, endpoint::tls::provider};

/// What a listening source needs to speak TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// A PEM file with the server's certificate first, then those between it and its authority.
    pub crt_file: PathBuf,
    /// A PEM file with the certificate's key: PKCS#8, PKCS#1 or SEC1, not encrypted.
    pub key_file: PathBuf,
    /// A PEM file with the authorities of which one must have signed a client's certificate;
    /// without it clients need none.
    pub client_ca_file: Option<PathBuf>,
}

/// Certificate, key or authorities that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}: {reason}; name a file in PEM form that profile-http may read")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        reason: io::Error,
    },
    /// A file is not in PEM form, or what it holds cannot be used.
    #[error("{path} cannot be used: {reason}; name a file in PEM form")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no certificate in a file.
    #[error("there is no certificate in {0}; name a file with certificates in PEM form")]
    NoCertificate(PathBuf),
    /// There is no key in a file.
    #[error("there is no key in {0}; name a file with the certificate's private key in PEM form")]
    NoKey(PathBuf),
    /// The key is encrypted.
    #[error(
        "the key in {0} is encrypted; decrypt it (`openssl pkey`) into a file that only \
         profile-http may read"
    )]
    EncryptedKey(PathBuf),
    /// The key belongs to another certificate.
    #[error(
        "the key in {key_file} does not belong to the certificate in {crt_file}; name the two that \
         were made together, the server's own certificate first in its file"
    )]
    Mismatch {
        /// The certificate's file.
        crt_file: PathBuf,
        /// The key's file.
        key_file: PathBuf,
    },
    /// The certificate is not valid at this time.
    #[error(
        "the certificate in {path} is only valid from {from} to {to}; renew it, or check the clock"
    )]
    Expired {
        /// The file.
        path: PathBuf,
        /// From when it is valid.
        from: String,
        /// Until when it is valid.
        to: String,
    },
}

impl TlsFiles {
    /// Reads the files and checks that they can be used, now.
    pub fn check(&self) -> Result<(), TlsError> {
        self.load().map(drop)
    }

    /// The server side of TLS with what the files hold now.
    pub(super) fn load(&self) -> Result<ServerConfig, TlsError> {
        let chain = certificates(&self.crt_file)?;
        check_time(&self.crt_file, &chain[0])?;
        let key = key(&self.key_file)?;
        let provider = provider();
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| damaged(&self.crt_file, &error))?;
        let config = match &self.client_ca_file {
            None => config.with_no_client_auth(),
            Some(path) => {
                let mut authorities = RootCertStore::empty();
                for certificate in certificates(path)? {
                    authorities.add(certificate).map_err(|error| damaged(path, &error))?;
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider)
                        .build()
                        .map_err(|error| damaged(path, &error))?;
                config.with_client_cert_verifier(verifier)
            }
        };
        config.with_single_cert(chain, key).map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::Mismatch {
                crt_file: self.crt_file.clone(),
                key_file: self.key_file.clone(),
            },
            error => damaged(&self.key_file, &error),
        })
    }

    /// The files that are there, in a fixed order.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        [Some(&self.crt_file), Some(&self.key_file), self.client_ca_file.as_ref()]
            .into_iter()
            .flatten()
            .map(PathBuf::as_path)
    }
}

/// The certificates of a file, of which there is at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = read(path)?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| damaged(path, &error))?;
    if certificates.is_empty() {
        Err(TlsError::NoCertificate(path.into()))
    } else {
        Ok(certificates)
    }
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let pem = read(path)?;
    let has = |text: &[u8]| memchr::memmem::find(&pem, text).is_some();
    if has(b"BEGIN ENCRYPTED PRIVATE KEY") || has(b"Proc-Type: 4,ENCRYPTED") {
        return Err(TlsError::EncryptedKey(path.into()));
    }
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsError::NoKey(path.into()),
        error => damaged(path, &error),
    })
}

fn check_time(path: &Path, certificate: &[u8]) -> Result<(), TlsError> {
    let (_, certificate) =
        X509Certificate::from_der(certificate).map_err(|error| damaged(path, &error))?;
    let (from, to) = (certificate.validity().not_before, certificate.validity().not_after);
    let now = i64::try_from(Clock::system().now() / 1_000_000).unwrap_or(i64::MAX);
    if (from.timestamp()..=to.timestamp()).contains(&now) {
        return Ok(());
    }
    let date = |seconds| {
        jiff::Timestamp::from_second(seconds)
            .map_or_else(|_| format!("{seconds} s after 1970"), |time| time.to_string())
    };
    Err(TlsError::Expired {
        path: path.into(),
        from: date(from.timestamp()),
        to: date(to.timestamp()),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|reason| TlsError::Read { path: path.into(), reason })
}

fn damaged(path: &Path, reason: &impl ToString) -> TlsError {
    TlsError::Damaged { path: path.into(), reason: reason.to_string() }
}
