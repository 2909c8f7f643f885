use std::{collections::HashSet, fs, path::PathBuf};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use pkcs8::{PrivateKeyInfo, der::Decode};
use rcgen::{
    KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256,
    RsaKeySize,
};
use serde_json::{Value, json};
use tempfile::TempDir;

#[cfg(feature = "tls-aws-lc")]
use aws_lc_rs::signature;
#[cfg(not(feature = "tls-aws-lc"))]
use ring::signature;

use super::*;
use crate::delivery::{
    TokenError,
    auth::{AssertionSettings, JwtAlgorithm, check_key},
};

const AUDIENCE: &str = "https://login.example/oauth/token";

/// A key in a file.
struct Key {
    pair: KeyPair,
    folder: TempDir,
}

impl Key {
    fn new(pair: KeyPair) -> Self {
        let key = Self { pair, folder: tempfile::tempdir().unwrap() };
        key.write(&key.pair.serialize_pem());
        key
    }

    fn rsa() -> Self {
        Self::new(KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap())
    }

    fn ec() -> Self {
        Self::new(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap())
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    fn write(&self, text: &str) {
        fs::write(self.path(), text).unwrap();
    }

    /// Writes the key in the form that was there before PKCS#8.
    fn write_inner(&self, label: &str) {
        let der = self.pair.serialize_der();
        let inner = PrivateKeyInfo::from_der(&der).unwrap().private_key;
        let pem = pkcs8::der::pem::encode_string(label, pkcs8::LineEnding::LF, inner).unwrap();
        self.write(&pem);
    }

    fn settings(&self, algorithm: JwtAlgorithm) -> OAuth2Settings {
        let assertion = AssertionSettings {
            key_file: self.path(),
            key_id: Some("key-1".into()),
            algorithm,
            audience: AUDIENCE.into(),
            lifetime: Duration::from_mins(5),
        };
        OAuth2Settings { client_auth: ClientAuth::PrivateKeyJwt(assertion), ..settings() }
    }

    /// Whether a JWT is signed with this key.
    fn signed(&self, jwt: &str, algorithm: JwtAlgorithm) -> bool {
        let (message, signature) = jwt.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let by: &'static dyn signature::VerificationAlgorithm = match algorithm {
            JwtAlgorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            JwtAlgorithm::Es256 => &signature::ECDSA_P256_SHA256_FIXED,
            JwtAlgorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
        };
        let public = signature::UnparsedPublicKey::new(by, self.pair.public_key_raw());
        public.verify(message.as_bytes(), &signature).is_ok()
    }
}

fn form(request: &Request<Bytes>) -> Vec<(String, String)> {
    oauth2::url::form_urlencoded::parse(request.body()).into_owned().collect()
}

/// The assertion of the last token request.
fn assertion(server: &TokenServer) -> String {
    assertion_in(&server.last_request())
}

fn assertion_in(request: &Request<Bytes>) -> String {
    let named = |(name, _): &(String, String)| name == "client_assertion";
    form(request).into_iter().find(named).unwrap().1
}

fn jti(request: &Request<Bytes>) -> String {
    decoded(&assertion_in(request)).1["jti"].to_string()
}

/// Header and claims.
fn decoded(jwt: &str) -> (Value, Value) {
    let part = |part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    let mut parts = jwt.split('.');
    (part(parts.next().unwrap()), part(parts.next().unwrap()))
}

#[tokio::test(start_paused = true)]
async fn a_client_proves_itself_with_a_signed_assertion() {
    let (rsa, ec) = (Key::rsa(), Key::ec());
    for (key, algorithm) in
        [(&rsa, JwtAlgorithm::Rs256), (&ec, JwtAlgorithm::Es256), (&rsa, JwtAlgorithm::Ps256)]
    {
        let server = TokenServer::default();
        server.source_with(key.settings(algorithm)).token().await.unwrap();
        let request = server.last_request();
        assert!(request.headers().get(AUTHORIZATION).is_none());
        let mut form = form(&request);
        form.sort();
        let jwt = assertion(&server);
        let expected = [
            ("client_assertion", &*jwt),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_id", "cdp"),
            ("grant_type", "client_credentials"),
        ];
        assert_eq!(form, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));

        let (header, mut claims) = decoded(&jwt);
        assert_eq!(header, json!({ "alg": algorithm.name(), "typ": "JWT", "kid": "key-1" }));
        assert!(claims["jti"].take().as_str().unwrap().len() >= 22, "128 bits");
        let issued = START / 1_000_000;
        let expected = json!({
            "iss": "cdp", "sub": "cdp", "aud": AUDIENCE, "iat": issued, "exp": issued + 300, "jti": null,
        });
        assert_eq!(claims, expected);
        assert!(key.signed(&jwt, algorithm), "{algorithm}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_ecdsa_signature_has_64_bytes_whatever_its_numbers() {
    let key = Key::ec();
    let server = TokenServer::answering(Answer::Token(r#","expires_in":1"#));
    let tokens = server.source_with(key.settings(JwtAlgorithm::Es256));
    // In one of 128 a number begins with a zero byte, in half of them DER adds one.
    for _ in 0..500 {
        tokens.token().await.unwrap();
        sleep(Duration::from_secs(1)).await;
        let jwt = assertion(&server);
        assert!(key.signed(&jwt, JwtAlgorithm::Es256), "{jwt}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_assertion_is_never_sent_twice() {
    let key = Key::ec();
    let server = TokenServer::answering(Answer::Status(503, ""));
    let tokens = server.source_with(key.settings(JwtAlgorithm::Es256));
    tokens.token().await.unwrap_err();
    assert_eq!(server.asked(), 3);
    let requests = server.0.lock().unwrap().requests.clone();
    let unique: HashSet<_> = requests.iter().map(|(_, request)| jti(request)).collect();
    assert_eq!(unique.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn without_a_key_id_there_is_none_in_the_header() {
    let key = Key::ec();
    let mut settings = key.settings(JwtAlgorithm::Es256);
    if let ClientAuth::PrivateKeyJwt(assertion) = &mut settings.client_auth {
        assertion.key_id = None;
    }
    let server = TokenServer::default();
    server.source_with(settings).token().await.unwrap();
    assert_eq!(decoded(&assertion(&server)).0, json!({ "alg": "ES256", "typ": "JWT" }));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_replaced_signs_the_next_grant() {
    let (old, new) = (Key::ec(), Key::ec());
    let server = TokenServer::default();
    let tokens = server.source_with(old.settings(JwtAlgorithm::Es256));
    tokens.token().await.unwrap();
    assert!(old.signed(&assertion(&server), JwtAlgorithm::Es256));

    old.write(&new.pair.serialize_pem());
    sleep(Duration::from_hours(1)).await;
    tokens.token().await.unwrap();
    assert!(new.signed(&assertion(&server), JwtAlgorithm::Es256));

    fs::remove_file(old.path()).unwrap();
    sleep(Duration::from_hours(1)).await;
    let error = tokens.token().await.unwrap_err();
    assert!(matches!(error, AttemptError::Secret(_)), "{error:?}");
    assert!(error.to_string().contains(old.path().to_str().unwrap()), "{error}");
    assert_eq!(server.asked(), 2);
}

#[test]
fn keys_in_older_forms_are_read() {
    for (key, label, algorithm) in [
        (Key::rsa(), "RSA PRIVATE KEY", JwtAlgorithm::Ps256),
        (Key::ec(), "EC PRIVATE KEY", JwtAlgorithm::Es256),
    ] {
        key.write_inner(label);
        assert_eq!(check_key(&key.path(), algorithm), Ok(()), "{label}");
        // Certificate and parameters may stand in the same file.
        let text = fs::read_to_string(key.path()).unwrap();
        key.write(&format!("# for acme\n-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n{text}"));
        assert_eq!(check_key(&key.path(), algorithm), Ok(()), "{label}");
    }
}

#[test]
fn a_key_file_that_cannot_be_used_is_told_by_what_is_in_it() {
    let says = |key: &Key, algorithm, expected: &str| {
        let error = check_key(&key.path(), algorithm).unwrap_err();
        assert!(error.contains(expected) && error.contains("key.pem"), "{error}");
    };
    let (rs256, es256) = (JwtAlgorithm::Rs256, JwtAlgorithm::Es256);
    let key = Key::ec();
    says(&key, rs256, "holds an EC key, with which RS256 does not sign");
    says(&key, JwtAlgorithm::Ps256, "holds an EC key, with which PS256 does not sign");
    says(&Key::rsa(), es256, "holds an RSA key, with which ES256 does not sign");
    let other = Key::new(KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap());
    says(&other, es256, "holds an EC key on another curve than P-256");
    let other = Key::new(KeyPair::generate_for(&PKCS_ED25519).unwrap());
    says(&other, es256, "holds an Ed25519 key");

    key.write(&key.pair.public_key_pem());
    says(&key, es256, "there is a public key but no private key");
    let certificate = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
    key.write(&certificate.cert.pem());
    says(&key, es256, "there is a certificate but no private key");
    let sound = key.pair.serialize_pem();
    key.write(&sound.replace("PRIVATE", "ENCRYPTED PRIVATE"));
    says(&key, es256, "there is an encrypted key");
    key.write("Proc-Type: 4,ENCRYPTED");
    says(&key, es256, "there is an encrypted key");
    key.write(&sound.replacen("MIG", "AAA", 1));
    says(&key, es256, "is damaged");
    key.write(&sound.replace("-----END", ""));
    says(&key, es256, "there is no private key in PEM form");
    key.write("hunter2");
    says(&key, es256, "there is no private key in PEM form");
    fs::remove_file(key.path()).unwrap();
    says(&key, es256, "cannot read the private key file");
}

#[tokio::test(start_paused = true)]
async fn a_refused_assertion_says_what_to_check_and_is_not_shown() {
    let key = Key::ec();
    let server = TokenServer::answering(Answer::Status(401, r#"{"error":"invalid_client"}"#));
    let tokens = server.source_with(key.settings(JwtAlgorithm::Es256));
    let error = tokens.token().await.unwrap_err();
    assert!(matches!(error, AttemptError::Token(TokenError::Refused(_))), "{error:?}");
    let expected = "invalid_client; check client_id, private_key_file, key_id, algorithm, \
                    assertion_audience and this machine's clock";
    assert!(error.to_string().ends_with(expected), "{error}");
}
