//! What is spoken and trusted on the way to a server.
//!
//! The crypto provider is always passed by hand: the process-wide default of rustls panics as soon
//! as two crates of one program want different ones.

mod identity;
#[cfg(test)]
mod tests;

use std::{path::PathBuf, sync::Arc};

use rustls::{
    ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    sign::SingleCertAndKey,
};

pub use self::identity::{Certificates, IdentitySettings};
use super::EndpointError;
use crate::secret::Secret;

/// TLS towards one server.
#[derive(Clone, Debug, Default)]
pub struct TlsSettings {
    /// A PEM bundle of the accepted authorities; the system's when absent.
    pub ca_file: Option<PathBuf>,
    /// Who we are towards a server that wants to know.
    pub identity: Option<IdentitySettings>,
    /// The name that is asked for (SNI) and that the certificate must be for; the URL's host when
    /// absent.
    pub server_name: Option<ServerName<'static>>,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
    /// Whether the server's certificate is accepted whatever it is.
    pub skip_verification: bool,
}

impl TlsSettings {
    /// The files that these settings name.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> = self.ca_file.iter().cloned().collect();
        if let Some(identity) = &self.identity {
            files.extend([identity.crt_file.clone(), identity.key_file.clone()]);
            if let Some(Secret::File(file)) = &identity.key_pass {
                files.push(file.clone());
            }
        }
        files
    }
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[default]
    V1_2,
    /// TLS 1.3.
    V1_3,
}

/// The crypto provider that was built in: aws-lc-rs, or ring where only that was asked for.
pub fn provider() -> Arc<CryptoProvider> {
    #[cfg(feature = "tls-aws-lc")]
    return Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    #[cfg(all(feature = "tls-ring", not(feature = "tls-aws-lc")))]
    return Arc::new(rustls::crypto::ring::default_provider());
    #[cfg(not(any(feature = "tls-aws-lc", feature = "tls-ring")))]
    compile_error!("one of the features tls-aws-lc and tls-ring is needed");
}

/// The client side of TLS for these settings. Reads the files of the settings. Without `ca_file`
/// the system's authorities count, which `SSL_CERT_FILE` and `SSL_CERT_DIR` can replace.
pub fn client_config(settings: &TlsSettings) -> Result<ClientConfig, EndpointError> {
    let provider = provider();
    let versions = match settings.min_version {
        TlsVersion::V1_2 => rustls::DEFAULT_VERSIONS,
        TlsVersion::V1_3 => &[&rustls::version::TLS13],
    };
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)?;
    let config = if settings.skip_verification {
        tracing::warn!(
            "tls.verify_certificate is off: whoever can reach this connection can read and change \
             what is sent"
        );
        config.dangerous().with_custom_certificate_verifier(Arc::new(AcceptAny(provider.clone())))
    } else {
        config.with_root_certificates(authorities(settings)?)
    };
    Ok(match &settings.identity {
        None => config.with_no_client_auth(),
        Some(identity) => {
            let key = SingleCertAndKey::from(identity.load(&provider)?);
            config.with_client_cert_resolver(Arc::new(key))
        }
    })
}

/// What judges the server's certificate for these settings.
pub(super) fn verifier(
    settings: &TlsSettings,
) -> Result<Arc<dyn ServerCertVerifier>, EndpointError> {
    let provider = provider();
    if settings.skip_verification {
        return Ok(Arc::new(AcceptAny(provider)));
    }
    let authorities = Arc::new(authorities(settings)?);
    let verifier = WebPkiServerVerifier::builder_with_provider(authorities, provider).build();
    Ok(verifier.map_err(|error| TlsError::General(error.to_string()))?)
}

fn authorities(settings: &TlsSettings) -> Result<RootCertStore, EndpointError> {
    let mut store = RootCertStore::empty();
    if let Some(path) = &settings.ca_file {
        let refused =
            |reason: String| EndpointError::ReadAuthorities { path: path.clone(), reason };
        let certificates =
            CertificateDer::pem_file_iter(path).map_err(|e| refused(e.to_string()))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|e| refused(e.to_string()))?;
            store.add(certificate).map_err(|e| refused(e.to_string()))?;
        }
        if store.is_empty() {
            return Err(EndpointError::NoAuthorities(path.clone()));
        }
        return Ok(store);
    }
    let system = rustls_native_certs::load_native_certs();
    store.add_parsable_certificates(system.certs);
    if store.is_empty() {
        // No error: the endpoint may be plain HTTP.
        tracing::warn!(
            errors = ?system.errors,
            "the system has no certificate authorities, so no https server will be trusted; \
             install ca-certificates or set tls.ca_file"
        );
    }
    Ok(store)
}

/// Accepts every certificate. The handshake's signatures are checked all the same, so that a
/// broken server does not look like a working one.
#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
