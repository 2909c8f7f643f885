use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, Method, header::RETRY_AFTER};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::{Instant, sleep, timeout},
};
use tower::ServiceExt;

use super::*;
use crate::{
    delivery::{
        Admission, AuthSettings, BackoffSettings, Classes, Coding, ConcurrencySettings, Http2,
        IdempotencyKey, ProfileVersion, RateLimitSettings, Reason, RequestSettings, Secret,
        SigningSettings, TlsSettings, Trail,
        test_support::{Script, answer, answer_with, millis, request, request_with, secs, status},
    },
    endpoint::crypto::hmac,
};

pub(in crate::delivery) fn settings() -> DeliverySettings {
    DeliverySettings {
        endpoint: "http://endpoint.example/profiles".parse().unwrap(),
        method: Method::POST,
        headers: HeaderMap::new(),
        header_templates: Vec::new(),
        auth: AuthSettings::None,
        signing: None,
        request: RequestSettings {
            timeout: secs(10),
            connect_timeout: secs(5),
            http2: Http2::default(),
            proxy: None,
            deadline: secs(30),
            concurrency: ConcurrencySettings::Fixed(4),
            rate_limit: None,
            honour_rate_limit_headers: true,
            retry: BackoffSettings { attempts: 3, initial: millis(200), max_duration: secs(10) },
            retry_after_max: secs(300),
            classes: Classes::default(),
            compression: None,
        },
        tls: TlsSettings::default(),
    }
}

fn a_second_apart() -> RateLimitSettings {
    let one = 1.try_into().unwrap();
    RateLimitSettings { num: one, per: secs(1), burst: one }
}

struct Rig {
    gate: Gate,
    script: Script,
    service: Deliver,
}

/// A stack over a script.
fn rig(settings: &DeliverySettings, script: Script) -> Rig {
    let component = Component::detached();
    let gate = Gate::new(settings.request.retry_after_max, Arc::clone(&component));
    let auth = AuthLayer::new(&settings.auth, None).unwrap();
    let service = compose(settings, &gate, &component, auth, script.clone()).service;
    Rig { gate, script, service }
}

#[tokio::test(start_paused = true)]
async fn the_trail_tells_what_happened_on_the_way() {
    let timed_out = (secs(60), answer(200));
    let script = Script::new([(Duration::ZERO, answer(503)), timed_out]);
    let rig = rig(&settings(), script);
    let trail = Trail::default();
    let mut request = request_with(&trail);
    request.extensions_mut().insert(IdempotencyKey(1));
    request.extensions_mut().insert(ProfileVersion(2));
    // The timeout leaves no time for a third attempt in ten seconds.
    let result = rig.service.oneshot(request).await;
    assert!(matches!(result, Err(AttemptError::Timeout(_))), "{result:?}");
    assert_eq!((trail.attempts(), trail.unknown()), (2, true));
    let sent = rig.script.last_request();
    assert_eq!(sent.headers()["profile-version"], "2");
    assert!(sent.headers().contains_key("idempotency-key"));
}

#[tokio::test(start_paused = true)]
async fn the_row_of_failures_is_counted_over_attempts_not_deliveries() {
    let rig = rig(&settings(), Script::of((0..40).map(|_| answer(500))));
    for _ in 0..3 {
        let _ = rig.service.clone().oneshot(request()).await;
    }
    assert_eq!(rig.script.calls(), 10);
    assert_eq!(rig.gate.status().reason, Some(Reason::Failing));
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_permit_is_not_sent_when_the_gate_closes() {
    let rig = rig(&settings(), Script::new((0..4).map(|_| (secs(1), answer(401)))));
    let trails: Vec<Trail> = (0..10).map(|_| Trail::default()).collect();
    let deliveries = trails.iter().map(|trail| rig.service.clone().oneshot(request_with(trail)));
    let results = futures_util::future::join_all(deliveries).await;
    assert_eq!(rig.script.calls(), 4);
    let held = results.iter().filter(|r| matches!(r, Err(AttemptError::GateClosed))).count();
    assert_eq!(held, 6);
    assert!(trails[4..].iter().all(|trail| trail.attempts() == 0 && !trail.unknown()));
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_holds_the_other_deliveries_too() {
    let answers = [answer_with(429, &[(RETRY_AFTER, "20")])];
    let rig = rig(&settings(), Script::of(answers));
    let started = Instant::now();
    // Twenty seconds are more than the retry may wait.
    assert_eq!(status(&rig.service.clone().oneshot(request()).await), 429);
    let result = rig.service.clone().oneshot(request()).await;
    assert!(matches!(result, Err(AttemptError::GateClosed)));
    assert_eq!(started.elapsed(), Duration::ZERO);
    let Admission::Closed { until: Some(until) } = rig.gate.ask() else { panic!("closed") };
    assert_eq!(until - started, secs(20));
}

#[tokio::test(start_paused = true)]
async fn a_probe_goes_the_whole_way_through_a_closed_gate() {
    let rig = rig(&settings(), Script::of([answer(403)]));
    rig.service.clone().oneshot(request()).await.unwrap();
    sleep(secs(1)).await;
    let Admission::Probe(probe) = rig.gate.ask() else { panic!("a probe is due") };
    let trail = Trail::of_probe(probe);
    assert_eq!(status(&rig.service.clone().oneshot(request_with(&trail)).await), 200);
    assert!(matches!(rig.gate.ask(), Admission::Open));
}

#[tokio::test(start_paused = true)]
async fn repetitions_and_probes_keep_the_pace() {
    let mut settings = settings();
    settings.request.rate_limit = Some(a_second_apart());
    settings.request.retry.initial = Duration::ZERO;
    let rig = rig(&settings, Script::of([answer(500), answer(500)]));
    let one = rig.service.clone().oneshot(request());
    let other = rig.service.clone().oneshot(request());
    let (one, other) = tokio::join!(one, other);
    assert_eq!((status(&one), status(&other)), (200, 200));
    let times = rig.script.times();
    assert_eq!(times.len(), 4);
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= secs(1)), "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_is_dropped_frees_permit_and_socket() {
    let mut settings = settings();
    settings.request.concurrency = ConcurrencySettings::Fixed(1);
    let rig = rig(&settings, Script::new([(secs(9), answer(200))]));
    assert!(timeout(secs(1), rig.service.clone().oneshot(request())).await.is_err());
    assert_eq!(rig.script.running(), 0);
    timeout(millis(1), rig.service.oneshot(request())).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_body_is_compressed_once_for_all_attempts() {
    let mut settings = settings();
    settings.request.compression = Some(Coding::Zstd);
    let rig = rig(&settings, Script::of([answer(503), answer(503)]));
    let request = request().map(|_| Bytes::from(vec![b'x'; 1_000]));
    assert_eq!(status(&rig.service.oneshot(request).await), 200);
    let sent = rig.script.requests();
    assert_eq!(sent.len(), 3);
    assert!(sent[0].body().len() < 100);
    let first = sent[0].body().as_ptr();
    assert!(sent.iter().all(|sent| sent.body().as_ptr() == first));
    assert!(sent.iter().all(|sent| sent.headers()["content-encoding"] == "zstd"));
    assert!(sent.iter().all(|sent| sent.headers()["content-type"] == "application/json"));
}

#[tokio::test]
async fn each_attempt_signs_the_bytes_that_it_sends() {
    let token = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(token.path(), "old").unwrap();
    let mut settings = settings();
    settings.auth = AuthSettings::Bearer { token: Secret::File(token.path().to_owned()) };
    settings.request.compression = Some(Coding::Gzip);
    settings.request.retry.initial = Duration::ZERO;
    let secret = Secret::Text("whsec_ZXhhbXBsZS1zZWNyZXQtbm90LWZvci11c2U=".into());
    settings.signing = Some(SigningSettings { secrets: vec![secret], ed25519_key: None });
    let rig = rig(&settings, Script::of([answer(503), answer(401), answer(200)]));
    std::fs::write(token.path(), "new").unwrap();
    let mut request = request().map(|_| Bytes::from(vec![b'x'; 1_000]));
    request.extensions_mut().insert(IdempotencyKey(1));
    assert_eq!(status(&rig.service.oneshot(request).await), 200);

    let sent = rig.script.requests();
    assert_eq!(sent.len(), 3, "a repetition and a replay with another token");
    assert_eq!(sent[1].headers()["authorization"], "Bearer old");
    assert_eq!(sent[2].headers()["authorization"], "Bearer new");
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"example-secret-not-for-use");
    for sent in sent {
        let text = |name: &str| sent.headers()[name].to_str().unwrap();
        assert!(sent.body().len() < 100, "it was compressed before");
        assert_eq!(text("webhook-id"), text("idempotency-key"));
        let head = format!("{}.{}.", text("webhook-id"), text("webhook-timestamp"));
        let signed = [head.as_bytes(), sent.body()].concat();
        let signature = text("webhook-signature").strip_prefix("v1,").unwrap();
        hmac::verify(&key, &signed, &STANDARD.decode(signature).unwrap()).unwrap();
    }
}

#[tokio::test]
async fn the_stack_reaches_a_real_endpoint() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut text = Vec::new();
        while !text.ends_with(b"{}") {
            text.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        String::from_utf8(text).unwrap()
    });
    let component = Component::detached();
    let gate = Gate::new(secs(300), Arc::clone(&component));
    let mut settings = settings();
    settings.request.rate_limit = Some(a_second_apart());
    let stack = stack(&settings, &gate, &Clock::system(), &component).unwrap();
    assert_eq!(stack.rate.interval(), secs(1));
    let mut request = request();
    *request.uri_mut() = format!("http://{address}/profiles").parse().unwrap();
    assert_eq!(status(&stack.service.oneshot(request).await), 204);
    let text = server.await.unwrap();
    assert!(text.contains("content-type: application/json"), "{text}");
    assert!(text.contains("user-agent: profile-http/"), "{text}");
    assert_eq!(component.requests.get(), 1);
    assert_eq!(component.responses(204).get(), 1);
}
