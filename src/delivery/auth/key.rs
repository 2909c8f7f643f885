use std::{fs, path::Path};

use rustls::{
    SignatureAlgorithm, SignatureScheme,
    pki_types::{PrivateKeyDer, pem::PemObject},
    sign::{Signer, SigningKey},
};

use super::{AuthError, JwtAlgorithm};
use crate::endpoint::tls;

/// Checks that the file holds a private key that signs by the algorithm. The error says what is
/// wrong; [`JwtAlgorithm::remedy`] says what would be right.
pub fn check_key(path: &Path, algorithm: JwtAlgorithm) -> Result<(), String> {
    load(path, algorithm).map(drop)
}

/// The key in the file, ready to sign. Blocks while the file is read.
pub(super) fn read(path: &Path, algorithm: JwtAlgorithm) -> Result<Box<dyn Signer>, AuthError> {
    load(path, algorithm).map_err(|what| AuthError::PrivateKey { what, algorithm })
}

/// The provider of TLS signs: it takes every form of key, whichever provider was built in.
fn load(path: &Path, algorithm: JwtAlgorithm) -> Result<Box<dyn Signer>, String> {
    let shown = path.display();
    let pem = fs::read(path)
        .map_err(|error| format!("cannot read the private key file {shown}: {error}"))?;
    let der = PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|_| format!("{} in the private key file {shown}", instead(&pem)))?;
    let key = tls::provider().key_provider.load_private_key(der).map_err(|_| {
        format!("the key in the private key file {shown} is damaged, too short, or of a rare kind")
    })?;
    key.choose_scheme(&[scheme(algorithm)]).ok_or_else(|| {
        let kind = kind(&*key);
        format!("the private key file {shown} holds {kind}, with which {algorithm} does not sign")
    })
}

/// What stands in a file without a private key that can be read. The errors of the parser may
/// quote the file.
fn instead(pem: &[u8]) -> &'static str {
    let text = String::from_utf8_lossy(pem);
    let begins = |what: &str| text.contains(&format!("-----BEGIN {what}"));
    if text.contains("ENCRYPTED") {
        "there is an encrypted key"
    } else if begins("CERTIFICATE") {
        "there is a certificate but no private key"
    } else if begins("PUBLIC KEY") || begins("RSA PUBLIC KEY") {
        "there is a public key but no private key"
    } else {
        "there is no private key in PEM form"
    }
}

fn kind(key: &dyn SigningKey) -> &'static str {
    match key.algorithm() {
        SignatureAlgorithm::RSA => "an RSA key",
        SignatureAlgorithm::ECDSA => {
            let p256 = key.choose_scheme(&[SignatureScheme::ECDSA_NISTP256_SHA256]);
            if p256.is_some() { "an EC key" } else { "an EC key on another curve than P-256" }
        }
        SignatureAlgorithm::ED25519 => "an Ed25519 key",
        _ => "another kind of key",
    }
}

fn scheme(algorithm: JwtAlgorithm) -> SignatureScheme {
    match algorithm {
        JwtAlgorithm::Rs256 => SignatureScheme::RSA_PKCS1_SHA256,
        JwtAlgorithm::Es256 => SignatureScheme::ECDSA_NISTP256_SHA256,
        JwtAlgorithm::Ps256 => SignatureScheme::RSA_PSS_SHA256,
    }
}
