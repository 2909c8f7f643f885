//! What is said of files that cannot be used.

use std::{fs, path::PathBuf};

use pkcs8::{
    LineEnding, PrivateKeyInfo, SecretDocument,
    der::{Encode, pem::encode_string},
    pkcs5::pbes2,
};
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, date_time_ymd};
use secrecy::SecretString;
use tempfile::TempDir;

use super::{IdentitySettings, provider};
use crate::secret::Secret;

const PASS: &str = "päss wörd";

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// A certificate and its key.
    fn issue(&self, change: impl FnOnce(&mut CertificateParams)) -> IdentitySettings {
        let key = KeyPair::generate().unwrap();
        self.issue_for(&key, change)
    }

    fn issue_for(
        &self,
        key: &KeyPair,
        change: impl FnOnce(&mut CertificateParams),
    ) -> IdentitySettings {
        let mut params = CertificateParams::new(["client".to_owned()]).unwrap();
        change(&mut params);
        let certificate = params.self_signed(key).unwrap();
        IdentitySettings {
            crt_file: self.write("client.pem", &certificate.pem()),
            key_file: self.write("client.key", &key.serialize_pem()),
            key_pass: None,
        }
    }

    /// The same with its key encrypted.
    fn encrypted(&self, scheme: &pbes2::Parameters<'_>) -> IdentitySettings {
        let key = KeyPair::generate().unwrap();
        let der = key.serialize_der();
        let info = PrivateKeyInfo::try_from(der.as_slice()).unwrap();
        let encrypted = info.encrypt_with_params(scheme.clone(), PASS).unwrap();
        let pem = encrypted.to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF).unwrap();
        let settings = self.issue_for(&key, |_| {});
        self.write("client.key", &pem);
        settings
    }
}

fn text(pass: &str) -> Secret {
    Secret::Text(SecretString::from(pass))
}

/// What is wrong with an identity.
fn complaint(settings: &IdentitySettings) -> String {
    settings.load(&provider()).unwrap_err().to_string()
}

#[test]
fn keys_are_read_in_each_of_their_forms() {
    let folder = Folder::new();
    folder.issue(|_| {}).load(&provider()).unwrap();
    let rsa = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    let settings = folder.issue_for(&rsa, |_| {});
    settings.load(&provider()).unwrap();
    // PKCS#1 is what PKCS#8 wraps.
    let der = rsa.serialize_der();
    let info = PrivateKeyInfo::try_from(der.as_slice()).unwrap();
    let pem = encode_string("RSA PRIVATE KEY", LineEnding::LF, info.private_key).unwrap();
    folder.write("client.key", &pem);
    settings.load(&provider()).unwrap();
    assert!(info.to_der().is_ok());
}

#[test]
fn an_encrypted_key_is_opened_by_its_passphrase() {
    let folder = Folder::new();
    let file = folder.write("pass", &format!("{PASS}\n"));
    let scrypt = pkcs8::pkcs5::scrypt::Params::new(4, 8, 1, 32).unwrap();
    for scheme in [
        pbes2::Parameters::pbkdf2_sha256_aes256cbc(2048, b"saltsalt", &[7; 16]).unwrap(),
        pbes2::Parameters::scrypt_aes256cbc(scrypt, b"saltsalt", &[7; 16]).unwrap(),
    ] {
        let mut settings = folder.encrypted(&scheme);
        for pass in [text(PASS), Secret::File(file.clone())] {
            settings.key_pass = Some(pass);
            settings.load(&provider()).unwrap();
        }
    }
}

#[test]
fn a_missing_wrong_or_needless_passphrase_is_named() {
    let folder = Folder::new();
    let scheme = pbes2::Parameters::pbkdf2_sha256_aes256cbc(2048, b"saltsalt", &[7; 16]).unwrap();
    let mut settings = folder.encrypted(&scheme);
    assert!(complaint(&settings).contains("give its passphrase in key_pass"));
    // Now and then what a wrong one yields looks well padded.
    for n in 0..300 {
        settings.key_pass = Some(text(&format!("wrong {n}")));
        assert!(complaint(&settings).contains("key_pass does not open the key"));
    }
    settings.key_pass = Some(Secret::File("/nowhere/pass".into()));
    assert!(complaint(&settings).contains("cannot read the file of key_pass"));
    let settings = IdentitySettings { key_pass: Some(text(PASS)), ..folder.issue(|_| {}) };
    assert!(complaint(&settings).contains("is not encrypted; remove key_pass"));
}

#[test]
fn an_encryption_that_is_not_known_is_named_with_a_way_out() {
    let folder = Folder::new();
    let scheme = pbes2::Parameters::pbkdf2_sha256_aes256cbc(2048, b"saltsalt", &[7; 16]).unwrap();
    let mut settings = folder.encrypted(&scheme);
    settings.key_pass = Some(text(PASS));
    // The identifier of AES-256-CBC becomes that of another mode, which is not known here.
    let (_, document) =
        SecretDocument::from_pem(&fs::read_to_string(&settings.key_file).unwrap()).unwrap();
    let mut der = document.as_bytes().to_vec();
    let cipher = [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x2a];
    let at = der.windows(9).position(|window| window == cipher).unwrap();
    der[at + 8] = 0x2b;
    let pem = encode_string("ENCRYPTED PRIVATE KEY", LineEnding::LF, &der).unwrap();
    folder.write("client.key", &pem);
    assert!(complaint(&settings).contains("openssl pkcs8"));
    // What OpenSSL wrote before there was PKCS#8.
    folder.write(
        "client.key",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n\
         -----END RSA PRIVATE KEY-----\n",
    );
    assert!(complaint(&settings).contains("openssl pkcs8"));
}

#[test]
fn a_key_of_another_certificate_is_found() {
    let folder = Folder::new();
    let settings = folder.issue(|_| {});
    folder.write("client.key", &KeyPair::generate().unwrap().serialize_pem());
    let complaint = complaint(&settings);
    assert!(complaint.contains("client.key is not the key of"), "{complaint}");
    assert!(complaint.contains("client.pem"), "{complaint}");
}

#[test]
fn a_certificate_that_is_not_valid_now_is_found() {
    let folder = Folder::new();
    let expired = folder.issue(|params| params.not_after = date_time_ymd(2020, 1, 1));
    assert!(complaint(&expired).contains("has expired (2020-01-01T00:00:00Z); renew it"));
    let future = folder.issue(|params| params.not_before = date_time_ymd(2400, 1, 1));
    assert!(complaint(&future).contains("is not valid before 2400-01-01T00:00:00Z"));
}

#[test]
fn files_that_hold_something_else_are_found() {
    let folder = Folder::new();
    let settings = folder.issue(|_| {});
    let [certificate, key] =
        [&settings.crt_file, &settings.key_file].map(|path| fs::read_to_string(path).unwrap());
    for (file, content, expected) in [
        ("client.pem", key.as_str(), "client.pem holds no certificate"),
        ("client.pem", "", "client.pem holds no certificate"),
        (
            "client.pem",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "cannot read crt_file",
        ),
        ("client.key", certificate.as_str(), "client.key holds no private key"),
        ("client.key", "", "client.key holds no private key"),
        (
            "client.key",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "cannot read key_file",
        ),
    ] {
        folder.write("client.pem", &certificate);
        folder.write("client.key", &key);
        folder.write(file, content);
        let complaint = complaint(&settings);
        assert!(complaint.contains(expected), "{expected}: {complaint}");
    }
    fs::remove_file(&settings.key_file).unwrap();
    folder.write("client.pem", &certificate);
    assert!(complaint(&settings).contains("No such file"));
}
