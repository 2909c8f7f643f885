//! Tokens as the whole stack uses them.

use std::{
    fs,
    sync::atomic::{AtomicUsize, Ordering},
};

use futures_util::future::join_all;
use tokio::time::sleep_until;
use tower::ServiceExt;

use super::*;
use crate::delivery::{
    Admission, AuthSettings, ConcurrencySettings, Deliver, DeliverySettings, Gate, GateState,
    TokenError, Trail,
    auth::AuthLayer,
    compose,
    stack::tests::settings as delivery_settings,
    test_support::{Outcome, request_with, secs, status},
};

/// A stack between a token endpoint and a data endpoint.
struct Rig {
    gate: Gate,
    service: Deliver,
    server: TokenServer,
    endpoint: Endpoint,
    /// Tokens up to this number are rejected.
    void: Arc<AtomicUsize>,
}

impl Rig {
    fn new() -> Self {
        Self::with(delivery_settings(), settings())
    }

    /// 200 requests may be under way at once, and none is repeated by the stack.
    fn with(mut settings: DeliverySettings, oauth2: OAuth2Settings) -> Self {
        settings.request.concurrency = ConcurrencySettings::Fixed(200);
        settings.request.retry.attempts = 0;
        settings.auth = AuthSettings::OAuth2(Box::new(oauth2.clone()));
        let server = TokenServer::default();
        let void = Arc::new(AtomicUsize::new(0));
        let endpoint = Endpoint::accepting({
            let void = void.clone();
            move |token| number(token) > void.load(Ordering::Relaxed)
        });
        let component = Component::detached();
        let gate = Gate::new(secs(300), component.clone());
        let auth = AuthLayer::new(&settings.auth, Some(server.source_with(oauth2))).unwrap();
        let service = compose(&settings, &gate, &component, auth, endpoint.clone()).service;
        Self { gate, service, server, endpoint, void }
    }

    async fn deliver(&self) -> Outcome {
        self.service.clone().oneshot(request()).await
    }

    async fn deliver_at_once(&self, count: usize) -> Vec<u16> {
        let outcomes = join_all((0..count).map(|_| self.deliver())).await;
        outcomes.iter().map(status).collect()
    }

    /// From now on no token is accepted that was granted before.
    fn revoke(&self) {
        self.void.store(self.server.0.lock().unwrap().issued, Ordering::Relaxed);
    }
}

fn number(token: &str) -> usize {
    token.strip_prefix("Bearer token-").unwrap().parse().unwrap()
}

fn is_unavailable(outcome: &Outcome) -> bool {
    matches!(outcome, Err(AttemptError::Token(TokenError::Unavailable(_))))
}

#[tokio::test(start_paused = true)]
async fn a_token_that_dies_with_200_requests_in_flight_costs_one_grant_and_no_delivery() {
    let rig = Rig::new();
    rig.deliver().await.unwrap();
    let deliveries = join_all((0..200).map(async |at| {
        // The last 401 comes long after the first has led to another token.
        sleep(Duration::from_micros(490 * at)).await;
        status(&rig.deliver().await)
    }));
    let (statuses, ()) = tokio::join!(deliveries, async {
        sleep(Duration::from_millis(99)).await;
        rig.revoke();
    });
    assert_eq!(statuses, [200; 200]);
    assert_eq!(rig.server.asked(), 2);
    assert_eq!(rig.endpoint.seen().len(), 1 + 200 + 200);
    assert_eq!(rig.gate.status().state, GateState::Open);
}

#[tokio::test(start_paused = true)]
async fn tokens_that_are_revoked_twice_a_minute_cost_no_delivery() {
    let rig = Rig::new();
    for _ in 0..10 {
        for _ in 0..300 {
            assert_eq!(rig.deliver_at_once(20).await, [200; 20]);
        }
        rig.revoke();
    }
    assert_eq!(rig.server.asked(), 10, "one for each that was needed");
    assert_eq!(rig.endpoint.seen().len(), 20 * (3000 + 9));
}

#[tokio::test(start_paused = true)]
async fn no_delivery_waits_for_a_token_endpoint_that_is_down_while_the_token_is_good() {
    for down in [Answer::Status(503, ""), Answer::Silence, INVALID_CLIENT] {
        let rig = Rig::new();
        rig.server.answer(Answer::Token(r#","expires_in":600"#));
        rig.deliver().await.unwrap();
        rig.server.answer(down);
        for _ in 0..500 {
            let begun = Instant::now();
            assert_eq!(rig.deliver_at_once(3).await, [200; 3]);
            assert_eq!(begun.elapsed(), Duration::from_millis(100));
            sleep(secs(1)).await;
        }
        assert!((2..=30).contains(&rig.server.asked()), "{} requests", rig.server.asked());
        assert_eq!(rig.gate.status().state, GateState::Open);
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_refuses_every_fresh_token_is_met_with_no_storm() {
    let rig = Rig::new();
    rig.void.store(usize::MAX, Ordering::Relaxed);
    let end = Instant::now() + secs(600);
    while Instant::now() < end {
        match rig.gate.ask() {
            Admission::Open => {
                join_all((0..200).map(|_| rig.deliver())).await;
            }
            Admission::Probe(probe) => {
                let probe = request_with(&Trail::of_probe(probe));
                let _ = rig.service.clone().oneshot(probe).await;
            }
            Admission::Closed { until } => sleep_until(until.unwrap_or(end)).await,
        }
    }
    // 200 that were under way, then probes 1, 2, 4, 8, 16 and 30 s apart, each with a replay.
    let (grants, requests) = (rig.server.asked(), rig.endpoint.seen().len());
    assert!((10..=25).contains(&grants), "{grants} grants");
    assert!((210..=250).contains(&requests), "{requests} requests");
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_rotated_costs_no_delivery() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    fs::write(&path, "old").unwrap();
    let client_auth = ClientAuth::Body { secret: Secret::File(path.clone()) };
    let rig = Rig::with(delivery_settings(), OAuth2Settings { client_auth, ..settings() });
    rig.server.answer(Answer::Token(r#","expires_in":60"#));
    rig.server.accept_only("old");
    for second in 0..600 {
        match second {
            // The server first: until the file follows, renewals fail.
            100 => rig.server.accept_only("new"),
            115 => fs::write(&path, "new").unwrap(),
            // The file first.
            300 => fs::write(&path, "newer").unwrap(),
            302 => rig.server.accept_only("newer"),
            _ => {}
        }
        let begun = Instant::now();
        assert_eq!(rig.deliver_at_once(3).await, [200; 3], "second {second}");
        assert!(second == 0 || begun.elapsed() == Duration::from_millis(100));
        sleep(Duration::from_millis(900)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_endpoint_that_hangs_is_not_mistaken_for_an_endpoint_that_does() {
    let mut delivery = delivery_settings();
    delivery.request.timeout = secs(1);
    let rig = Rig::with(delivery, OAuth2Settings { timeout: secs(5), ..settings() });
    rig.server.answer(Answer::Silence);
    let trail = Trail::default();
    let begun = Instant::now();
    let outcome = rig.service.clone().oneshot(request_with(&trail)).await;
    assert!(is_unavailable(&outcome), "{outcome:?}");
    assert_eq!(begun.elapsed(), secs(5));
    assert_eq!((trail.attempts(), trail.unknown()), (0, false), "nothing was sent");
}

#[tokio::test(start_paused = true)]
async fn the_time_of_an_attempt_begins_when_it_is_sent() {
    let mut delivery = delivery_settings();
    delivery.request.timeout = Duration::from_millis(110);
    let rig = Rig::with(delivery, settings());
    // 50 ms for the token and 100 ms for the answer, then the same again for the replay.
    rig.deliver().await.unwrap();
    rig.revoke();
    let begun = Instant::now();
    assert_eq!(status(&rig.deliver().await), 200);
    assert_eq!(begun.elapsed(), Duration::from_millis(250));
}
