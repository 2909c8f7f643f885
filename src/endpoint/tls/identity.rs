//! Who we are towards a server that wants to know: a certificate and its key (mutual TLS).

use std::{
    fs,
    path::{Path, PathBuf},
};

use pkcs8::{EncryptedPrivateKeyInfo, SecretDocument, pkcs5};
use rustls::{
    InconsistentKeys,
    crypto::CryptoProvider,
    pki_types::{
        CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer,
        pem::{self, PemObject},
    },
    sign::CertifiedKey,
};
use secrecy::ExposeSecret;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::{clock::Clock, endpoint::EndpointError, secret::Secret};

/// The certificate that a client shows, and the key that proves it.
#[derive(Clone, Debug)]
pub struct IdentitySettings {
    /// A PEM file with the certificate first, then those between it and its authority.
    pub crt_file: PathBuf,
    /// A PEM file with the certificate's key: PKCS#8, PKCS#1 or SEC1.
    pub key_file: PathBuf,
    /// The passphrase of an encrypted PKCS#8 key.
    pub key_pass: Option<Secret>,
}

/// The certificates of a `crt_file`.
#[derive(Debug)]
pub struct Certificates {
    chain: Vec<CertificateDer<'static>>,
    /// When the first of them ends to be valid, in seconds since the epoch.
    pub not_after: i64,
}

impl Certificates {
    /// Reads a `crt_file`, whose first certificate must be valid now.
    pub fn read(path: &Path) -> Result<Self, EndpointError> {
        let refused = |reason: String| EndpointError::ReadCertificate { path: path.into(), reason };
        let pem = fs::read(path).map_err(|error| refused(error.to_string()))?;
        let chain = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| refused(error.to_string()))?;
        let Some(first) = chain.first() else {
            return Err(EndpointError::NoCertificate(path.into()));
        };
        let (_, certificate) =
            X509Certificate::from_der(first).map_err(|error| refused(error.to_string()))?;
        let validity = certificate.validity();
        let (not_before, not_after) =
            (validity.not_before.timestamp(), validity.not_after.timestamp());
        let now = i64::try_from(Clock::system().now() / 1_000_000).unwrap_or(i64::MAX);
        if now < not_before {
            return Err(EndpointError::NotYetValid { path: path.into(), not_before });
        }
        if now > not_after {
            return Err(EndpointError::Expired { path: path.into(), not_after });
        }
        Ok(Self { chain, not_after })
    }
}

impl IdentitySettings {
    /// Certificate and key, of which the one must belong to the other.
    pub fn load(&self, provider: &CryptoProvider) -> Result<CertifiedKey, EndpointError> {
        self.with_certificates(Certificates::read(&self.crt_file)?, provider)
    }

    /// The same with certificates that have been read.
    pub fn with_certificates(
        &self,
        certificates: Certificates,
        provider: &CryptoProvider,
    ) -> Result<CertifiedKey, EndpointError> {
        let key = self.key()?;
        match CertifiedKey::from_der(certificates.chain, key, provider) {
            Ok(key) => Ok(key),
            Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
                Err(EndpointError::KeyMismatch {
                    key: self.key_file.clone(),
                    certificate: self.crt_file.clone(),
                })
            }
            Err(error) => Err(self.refused(error.to_string())),
        }
    }

    fn key(&self) -> Result<PrivateKeyDer<'static>, EndpointError> {
        let path = &self.key_file;
        let pem = fs::read(path).map_err(|error| self.refused(error.to_string()))?;
        let text = String::from_utf8_lossy(&pem);
        if text.contains("Proc-Type: 4,ENCRYPTED") {
            return Err(EndpointError::KeyCipher(path.clone()));
        }
        match (section(&text, "ENCRYPTED PRIVATE KEY"), &self.key_pass) {
            (Some(_), None) => Err(EndpointError::KeyEncrypted(path.clone())),
            (Some(encrypted), Some(pass)) => self.decrypted(encrypted, pass),
            (None, pass) => match PrivateKeyDer::from_pem_slice(&pem) {
                Ok(_) if pass.is_some() => Err(EndpointError::KeyPlain(path.clone())),
                Ok(key) => Ok(key),
                Err(pem::Error::NoItemsFound) => Err(EndpointError::NoKey(path.clone())),
                Err(error) => Err(self.refused(error.to_string())),
            },
        }
    }

    fn decrypted(&self, pem: &str, pass: &Secret) -> Result<PrivateKeyDer<'static>, EndpointError> {
        let pass = pass.read().map_err(EndpointError::KeyPass)?;
        let (_, document) =
            SecretDocument::from_pem(pem).map_err(|error| self.refused(error.to_string()))?;
        let encrypted = EncryptedPrivateKeyInfo::try_from(document.as_bytes())
            .map_err(|_| EndpointError::KeyCipher(self.key_file.clone()))?;
        match encrypted.decrypt(pass.expose_secret()) {
            Ok(key) => Ok(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec()).into()),
            Err(pkcs8::Error::EncryptedPrivateKey(
                pkcs5::Error::UnsupportedAlgorithm { .. }
                | pkcs5::Error::AlgorithmParametersInvalid { .. },
            )) => Err(EndpointError::KeyCipher(self.key_file.clone())),
            // What a wrong passphrase makes of a key may happen to look well padded.
            Err(_) => Err(EndpointError::WrongPass(self.key_file.clone())),
        }
    }

    fn refused(&self, reason: String) -> EndpointError {
        EndpointError::ReadKey { path: self.key_file.clone(), reason }
    }
}

/// The part of a PEM file with this label, its marks included.
fn section<'t>(pem: &'t str, label: &str) -> Option<&'t str> {
    let start = pem.find(&format!("-----BEGIN {label}-----"))?;
    let mark = format!("-----END {label}-----");
    let end = start + pem[start..].find(&mark)? + mark.len();
    Some(&pem[start..end])
}
