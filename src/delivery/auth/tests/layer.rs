use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicUsize, Ordering},
};

use futures_util::future::join_all;
use tower::{Layer, ServiceExt};

use super::*;
use crate::delivery::{
    AuthSettings, RateLimitSettings, RateLimiter,
    auth::{Auth, AuthError, AuthLayer},
};

fn oauth2(tokens: TokenSource) -> AuthLayer {
    AuthLayer::new(&AuthSettings::OAuth2(Box::new(settings())), Some(tokens)).unwrap()
}

async fn send(auth: &Auth<Endpoint>) -> StatusCode {
    auth.clone().oneshot(request()).await.unwrap().status()
}

#[tokio::test(start_paused = true)]
async fn without_authentication_nothing_is_added() {
    let endpoint = Endpoint::accepting(str::is_empty);
    let auth = AuthLayer::new(&AuthSettings::None, None).unwrap().layer(endpoint);
    assert_eq!(send(&auth).await, 200);
}

#[tokio::test(start_paused = true)]
async fn requests_carry_the_token() {
    let server = TokenServer::default();
    let endpoint = Endpoint::accepting(|token| token == "Bearer token-1");
    let auth = oauth2(server.source()).layer(endpoint);
    assert_eq!(send(&auth).await, 200);
    assert_eq!(send(&auth).await, 200);
    assert_eq!(server.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_dies_with_200_requests_in_flight_costs_one_grant_and_no_request() {
    let server = TokenServer::default();
    let dead = Arc::new(AtomicUsize::new(0));
    let endpoint = Endpoint::accepting({
        let dead = dead.clone();
        move |token| token != format!("Bearer token-{}", dead.load(Ordering::Relaxed))
    });
    let auth = oauth2(server.source()).layer(endpoint);
    assert_eq!(send(&auth).await, 200);

    dead.store(1, Ordering::Relaxed);
    let answers = join_all((0..200).map(|_| send(&auth))).await;
    assert!(answers.iter().all(|status| *status == 200));
    assert_eq!(server.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_request_is_repeated_once_at_most() {
    let server = TokenServer::default();
    let endpoint = Endpoint::accepting(|_| false);
    let tokens = server.source();
    let first = tokens.token().await.unwrap();
    tokens.accept(first.generation());
    let auth = oauth2(tokens).layer(endpoint.clone());
    assert_eq!(send(&auth).await, 401);
    assert_eq!(endpoint.seen(), ["Bearer token-1", "Bearer token-2"]);
}

#[tokio::test(start_paused = true)]
async fn a_token_granted_after_the_request_began_is_not_replaced_for_it() {
    let server = TokenServer::default();
    let endpoint = Endpoint::accepting(|_| false);
    let auth = oauth2(server.source()).layer(endpoint.clone());
    assert_eq!(send(&auth).await, 401);
    assert_eq!(endpoint.seen(), ["Bearer token-1"]);

    let server = TokenServer::default();
    let calls = AtomicUsize::new(0);
    let endpoint = Endpoint::accepting(move |_| calls.fetch_add(1, Ordering::Relaxed) == 0);
    let auth = oauth2(server.source()).layer(endpoint.clone());
    let answers = tokio::join!(send(&auth), send(&auth));
    assert_eq!(answers, (StatusCode::OK, StatusCode::UNAUTHORIZED));
    assert_eq!(endpoint.seen(), ["Bearer token-1", "Bearer token-1"]);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_rejects_every_token_causes_no_storm() {
    let server = TokenServer::default();
    let endpoint = Endpoint::accepting(|_| false);
    let auth = oauth2(server.source()).layer(endpoint.clone());
    for _ in 0..100 {
        let answers = join_all((0..20).map(|_| send(&auth))).await;
        assert!(answers.iter().all(|status| *status == 401));
    }
    assert!(server.asked() <= 5, "{} grants in 10 s", server.asked());
    assert!(endpoint.seen().len() <= 2000 + 5 * 20);
}

#[tokio::test(start_paused = true)]
async fn a_repetition_waits_for_its_turn_in_the_rate_limit() {
    let server = TokenServer::default();
    let endpoint = Endpoint::accepting(|token| token == "Bearer token-2");
    let tokens = server.source();
    let first = tokens.token().await.unwrap();
    tokens.accept(first.generation());
    let one = NonZeroU32::MIN;
    let pace = RateLimitSettings { num: one, per: Duration::from_secs(3), burst: one };
    let pace = RateLimiter::new(pace);
    let auth = oauth2(tokens).paced_by(Some(pace.clone())).layer(endpoint);
    pace.take().await;
    let begun = Instant::now();
    assert_eq!(send(&auth).await, 200);
    assert!(begun.elapsed() >= Duration::from_secs(3));
    assert_eq!(send(&auth).await, 200);
    assert!(begun.elapsed() < Duration::from_secs(6), "only repetitions take slots here");
}

#[tokio::test(start_paused = true)]
async fn without_a_token_nothing_is_sent() {
    let server = TokenServer::answering(Answer::Status(401, r#"{"error":"invalid_client"}"#));
    let endpoint = Endpoint::accepting(|_| true);
    let auth = oauth2(server.source()).layer(endpoint.clone());
    let error = auth.oneshot(request()).await.unwrap_err();
    assert!(error.to_string().contains("invalid_client"), "{error}");
    assert!(!error.outcome_unknown());
    assert!(endpoint.seen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn errors_of_the_connection_pass_through() {
    let inner = service_fn(|_| async { Err(AttemptError::Interrupted("reset".into())) });
    let auth = oauth2(TokenServer::default().source()).layer(inner);
    let error = auth.oneshot(request()).await.unwrap_err();
    assert!(matches!(error, AttemptError::Interrupted(_)));
}

#[tokio::test]
async fn oauth2_without_a_source_of_tokens_is_an_error() {
    let settings = AuthSettings::OAuth2(Box::new(settings()));
    assert!(matches!(AuthLayer::new(&settings, None), Err(AuthError::NoTokenSource)));
}
