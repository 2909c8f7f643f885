use bytes::Bytes;
use http::{HeaderMap, Request};
use secrecy::ExposeSecret;
use tempfile::TempDir;
use tokio::time::advance;
use tower::{Layer, Service, ServiceExt};

use super::{KeyKind, SignLayer, check, keys::Keys};
use crate::{
    clock::Clock,
    delivery::{
        AttemptError, IdempotencyKey, Secret, SigningSettings,
        test_support::{Script, answer, millis, request, secs},
    },
    endpoint::crypto::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey},
};

/// The vectors that implementations of Standard Webhooks share.
const SECRETS: [&str; 2] =
    ["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"];
const ED25519_KEY: &str =
    "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";

fn keys(secrets: &[&str], ed25519: Option<&str>) -> Keys {
    let secrets: Vec<_> = secrets.iter().map(|text| (*text).into()).collect();
    Keys::new(&secrets, ed25519.map(Into::into).as_ref()).unwrap()
}

fn text(secrets: &[&str], ed25519: Option<&str>) -> SigningSettings {
    let text = |text: &&str| Secret::Text((**text).into());
    SigningSettings {
        secrets: secrets.iter().map(text).collect(),
        ed25519_key: ed25519.as_ref().map(text),
    }
}

#[test]
fn the_published_vectors_hold() {
    let body = br#"{"email":"test@example.com","username":"test_user"}"#;
    assert_eq!(
        keys(&SECRETS[..1], None).sign("msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", 1_649_367_553, body),
        "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw="
    );
    let (id, timestamp) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330);
    let body = br#"{"test": 2432232314}"#;
    let v1 = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    assert_eq!(keys(&SECRETS[1..], None).sign(id, timestamp, body), v1);
    let v1a = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==";
    assert_eq!(keys(&[], Some(ED25519_KEY)).sign(id, timestamp, body), v1a);
    let all = keys(&SECRETS, Some(ED25519_KEY)).sign(id, timestamp, body);
    let all: Vec<_> = all.split(' ').collect();
    assert_eq!((all.len(), all[1], all[2]), (3, v1, v1a));
}

#[test]
fn a_key_may_be_written_without_prefix_and_padding_or_as_a_seed() {
    let (id, timestamp, body) = ("msg", 1, b"{}");
    let whole = keys(&SECRETS[..1], Some(ED25519_KEY)).sign(id, timestamp, body);
    let seed = "6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc";
    let bare = keys(&[&SECRETS[0]["whsec_".len()..]], Some(seed)).sign(id, timestamp, body);
    assert_eq!(whole, bare);
}

#[test]
fn a_key_that_cannot_be_used_is_refused_with_the_reason_and_not_shown() {
    let (secret, ed25519) = (KeyKind::Secret, KeyKind::Ed25519);
    for (kind, text, said) in [
        (secret, "whsec_hunter2!", "the signing secret is not base64"),
        (secret, "hunter2hunter2!", "the signing secret is not base64"),
        (secret, "whsec_aHVudGVyMg==", "the signing secret has 7 bytes, not 24 to 64"),
        (secret, "whpk_aHVudGVyMg==", "is a public key"),
        (secret, ED25519_KEY, "write it as `ed25519_key`"),
        (ed25519, SECRETS[0], "write it as `secret`"),
        (ed25519, "whpk_aHVudGVyMg==", "write the private one"),
        (ed25519, "whsk_aHVudGVyMg==", "the Ed25519 key has 7 bytes, not 32"),
        (ed25519, &ED25519_KEY.replace("VKIDij", "VKIDik"), "the halves of the Ed25519 key"),
    ] {
        let error = check(kind, text).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
        assert!(!error.contains("hunter2") && !error.contains("aHVudGVyMg"), "{error}");
    }
    assert!(check(secret, SECRETS[0]).is_ok() && check(ed25519, ED25519_KEY).is_ok());
}

/// The headers of a request that was sent, and what of it was signed.
fn signed(request: &Request<Bytes>) -> (&HeaderMap, Vec<u8>) {
    let headers = request.headers();
    let text = |name: &str| headers[name].to_str().unwrap();
    let head = format!("{}.{}.", text("webhook-id"), text("webhook-timestamp"));
    (headers, [head.as_bytes(), request.body()].concat())
}

#[tokio::test(start_paused = true)]
async fn each_attempt_has_a_time_of_its_own_and_the_id_of_its_version() {
    let clock = Clock::anchored(1_700_000_000_999_999);
    let script = Script::default();
    let mut service = SignLayer::new(text(&SECRETS, None), clock).layer(script.clone());
    for _ in 0..2 {
        let mut request = request();
        request.extensions_mut().insert(IdempotencyKey(0xab));
        service.ready().await.unwrap().call(request).await.unwrap();
        advance(secs(7)).await;
    }
    let sent = script.requests();
    let value = |i: usize, name: &str| sent[i].headers()[name].to_str().unwrap().to_owned();
    for i in [0, 1] {
        assert_eq!(value(i, "webhook-id"), "000000000000000000000000000000ab");
    }
    assert_eq!(value(0, "webhook-timestamp"), "1700000000");
    assert_eq!(value(1, "webhook-timestamp"), "1700000007");
    assert_ne!(value(0, "webhook-signature"), value(1, "webhook-signature"));
    assert_eq!(value(0, "webhook-signature").split(' ').count(), 2);
}

#[tokio::test]
async fn an_ed25519_signature_is_verified_with_the_public_key() {
    let script = Script::default();
    let layer = SignLayer::new(text(&[], Some(ED25519_KEY)), Clock::system());
    layer.layer(script.clone()).oneshot(request()).await.unwrap();
    let sent = script.last_request();
    let (headers, message) = signed(&sent);
    let signature = headers["webhook-signature"].to_str().unwrap().strip_prefix("v1a,").unwrap();
    let decode = |text| base64::Engine::decode(&base64::prelude::BASE64_STANDARD, text).unwrap();
    let pair = Ed25519KeyPair::from_seed_unchecked(&decode(&ED25519_KEY["whsk_".len()..])[..32]);
    let public = pair.unwrap().public_key().as_ref().to_vec();
    UnparsedPublicKey::new(&ED25519, public).verify(&message, &decode(signature)).unwrap();
}

struct File(TempDir);

impl File {
    fn new(text: &str) -> Self {
        let file = Self(tempfile::tempdir().unwrap());
        file.write(text);
        file
    }

    fn write(&self, text: &str) {
        std::fs::write(self.0.path().join("key"), text).unwrap();
    }

    fn settings(&self) -> SigningSettings {
        let secrets = vec![Secret::File(self.0.path().join("key"))];
        SigningSettings { secrets, ed25519_key: None }
    }
}

/// What a service signs with now, told by whether it is the signature of that secret.
async fn signs_with(
    service: &mut (impl Service<Request<Bytes>, Error = AttemptError> + Send),
    script: &Script,
    secret: &str,
) -> bool {
    service.ready().await.unwrap().call(request()).await.map(|_| ()).unwrap();
    let sent = script.last_request();
    let headers = sent.headers();
    let text = |name: &str| headers[name].to_str().unwrap();
    let timestamp = text("webhook-timestamp").parse().unwrap();
    let expected = keys(&[secret], None).sign(text("webhook-id"), timestamp, sent.body());
    headers["webhook-signature"] == expected
}

#[tokio::test(start_paused = true)]
async fn a_secret_in_a_file_is_read_again_when_it_changes() {
    let file = File::new(SECRETS[0]);
    let script = Script::default();
    let mut service = SignLayer::new(file.settings(), Clock::system()).layer(script.clone());
    assert!(signs_with(&mut service, &script, SECRETS[0]).await);
    file.write(&format!("{}\n", SECRETS[1]));
    advance(secs(5)).await;
    assert!(signs_with(&mut service, &script, SECRETS[1]).await);
    // A file that is being replaced.
    file.write("");
    advance(secs(5)).await;
    assert!(signs_with(&mut service, &script, SECRETS[1]).await);
    assert_eq!(script.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_signed_is_not_sent() {
    let file = File::new("whsec_hunter2!");
    let script = Script::of([answer(200)]);
    let layer = SignLayer::new(file.settings(), Clock::system());
    let result = layer.layer(script.clone()).oneshot(request()).await;
    assert!(matches!(result, Err(AttemptError::Secret(_))), "{result:?}");
    assert_eq!(script.calls(), 0);
    assert!(file.settings().check().is_err());
    file.write(SECRETS[0]);
    advance(millis(1)).await;
    layer.layer(script.clone()).oneshot(request()).await.unwrap();
    file.settings().check().unwrap();
}

#[test]
fn no_key_shows_in_debug_output() {
    let settings = text(&SECRETS, Some(ED25519_KEY));
    let shown = format!("{settings:?} {:?}", SignLayer::new(settings.clone(), Clock::system()));
    let Secret::Text(secret) = &settings.secrets[0] else { panic!("{settings:?}") };
    assert!(!shown.contains(secret.expose_secret()) && !shown.contains("whsk_"), "{shown}");
}
