use futures_util::future::join_all;
use tokio::time::{advance, timeout};

use super::*;
use crate::delivery::TokenError;

const TOKEN_ENDPOINT_DOWN: Answer = Answer::Status(503, "");

async fn value(tokens: &TokenSource) -> String {
    tokens.token().await.unwrap().authorization().to_str().unwrap().to_owned()
}

/// Gets a token and has it accepted.
async fn use_once(tokens: &TokenSource) -> String {
    let token = tokens.token().await.unwrap();
    tokens.accept(token.generation());
    token.authorization().to_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn callers_at_once_share_one_grant() {
    let server = TokenServer::default();
    let tokens = server.source();
    let got = join_all((0..200).map(|_| value(&tokens))).await;
    assert!(got.iter().all(|token| token == "Bearer token-1"));
    assert_eq!(server.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_before_a_token_is_needed() {
    let server = TokenServer::default();
    let _tokens = server.source();
    sleep(Duration::from_secs(10_000)).await;
    assert_eq!(server.asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_token_in_use_is_renewed_ahead_of_its_expiry_and_nobody_waits() {
    let server = TokenServer::default();
    let tokens = server.source();
    assert_eq!(use_once(&tokens).await, "Bearer token-1");
    sleep(Duration::from_secs(3538)).await;
    assert_eq!(server.asked(), 1);
    sleep(Duration::from_millis(1970)).await;
    assert_eq!(server.asked(), 2, "renewal is under way a minute ahead");
    let now = Instant::now();
    assert_eq!(value(&tokens).await, "Bearer token-1");
    assert_eq!(now, Instant::now(), "callers do not wait for it");
    sleep(Duration::from_millis(60)).await;
    assert_eq!(value(&tokens).await, "Bearer token-2");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_nobody_could_use_is_let_lapse() {
    let server = TokenServer::default();
    let tokens = server.source();
    use_once(&tokens).await;
    sleep(Duration::from_hours(10)).await;
    assert_eq!(server.asked(), 2, "renewed once, and not again since it was not used");
    assert_eq!(value(&tokens).await, "Bearer token-3");
}

#[tokio::test(start_paused = true)]
async fn a_short_lived_token_is_used_for_half_of_its_life() {
    let server = TokenServer::answering(Answer::Token(r#","expires_in":10"#));
    let tokens = server.source();
    use_once(&tokens).await;
    sleep(Duration::from_millis(4900)).await;
    assert_eq!(server.asked(), 1);
    sleep(Duration::from_millis(200)).await;
    assert_eq!(value(&tokens).await, "Bearer token-2");
}

#[tokio::test(start_paused = true)]
async fn without_expires_in_a_token_is_taken_to_last_five_minutes() {
    for answer in ["", r#","expires_in":null"#, r#","expires_in":0"#, r#","expires_in":-5"#] {
        let server = TokenServer::answering(Answer::Token(answer));
        let tokens = server.source();
        value(&tokens).await;
        sleep(Duration::from_secs(299)).await;
        assert_eq!(value(&tokens).await, "Bearer token-1", "{answer}");
        sleep(Duration::from_secs(1)).await;
        assert_eq!(value(&tokens).await, "Bearer token-2", "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lifetime_that_is_configured_counts_where_the_answer_has_none() {
    for (answer, lasts) in [("", 1800), (r#","expires_in":900"#, 900)] {
        let server = TokenServer::answering(Answer::Token(answer));
        let token_lifetime = Duration::from_mins(30);
        let tokens = server.source_with(OAuth2Settings { token_lifetime, ..settings() });
        value(&tokens).await;
        sleep(Duration::from_secs(lasts - 1)).await;
        assert_eq!(value(&tokens).await, "Bearer token-1", "{answer}");
        sleep(Duration::from_secs(1)).await;
        assert_eq!(value(&tokens).await, "Bearer token-2", "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_token_is_good_a_token_endpoint_that_is_down_holds_nobody_up() {
    for down in [TOKEN_ENDPOINT_DOWN, Answer::Silence, Answer::Status(401, "")] {
        let server = TokenServer::default();
        let tokens = server.source();
        use_once(&tokens).await;
        server.answer(down);
        for _ in 0..3599 {
            let now = Instant::now();
            assert_eq!(value(&tokens).await, "Bearer token-1");
            assert_eq!(now, Instant::now());
            sleep(Duration::from_secs(1)).await;
        }
        assert!((4..=22).contains(&server.asked()), "{} requests", server.asked());
        server.answer(Answer::default());
        sleep(Duration::from_secs(31)).await;
        assert_eq!(value(&tokens).await, "Bearer token-2");
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_failed_grant_callers_fail_at_once_for_a_second() {
    let server = TokenServer::answering(Answer::Status(401, r#"{"error":"invalid_client"}"#));
    let tokens = server.source();
    let results = join_all((0..50).map(|_| tokens.token())).await;
    assert!(results.iter().all(Result::is_err));
    let now = Instant::now();
    tokens.token().await.unwrap_err();
    assert_eq!(now, Instant::now());
    assert_eq!(server.asked(), 1);
    server.answer(Answer::default());
    advance(Duration::from_secs(1)).await;
    assert_eq!(value(&tokens).await, "Bearer token-1", "a probe a second later asks anew");
    assert_eq!(server.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn probes_cause_one_grant_each() {
    let server = TokenServer::answering(Answer::Status(400, r#"{"error":"invalid_scope"}"#));
    let tokens = server.source();
    for (probe, pause) in [1, 2, 4, 8].into_iter().enumerate() {
        tokens.token().await.unwrap_err();
        assert_eq!(server.asked(), probe + 1);
        sleep(Duration::from_secs(pause)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_rejection_concerns_only_the_token_that_was_rejected() {
    let server = TokenServer::default();
    let tokens = server.source();
    use_once(&tokens).await;
    assert!(tokens.reject(1));
    assert_eq!(use_once(&tokens).await, "Bearer token-2");
    assert!(tokens.reject(1), "there is a newer one");
    assert_eq!(value(&tokens).await, "Bearer token-2");
    assert_eq!(server.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_fresh_token_that_is_rejected_is_replaced_after_growing_pauses() {
    let server = TokenServer::default();
    let tokens = server.source();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(200) {
        let token = timeout(Duration::from_secs(1), tokens.token()).await.unwrap().unwrap();
        tokens.reject(token.generation());
        sleep(Duration::from_millis(10)).await;
    }
    let times = server.times();
    let pauses: Vec<_> = times.windows(2).map(|pair| (pair[1] - pair[0]).as_secs()).collect();
    assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30, 30, 30]);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_now_accepts_and_now_rejects_causes_no_storm() {
    let server = TokenServer::default();
    let tokens = server.source();
    for _ in 0..10_000 {
        let token = tokens.token().await.unwrap();
        tokens.accept(token.generation());
        tokens.reject(token.generation());
        sleep(Duration::from_millis(10)).await;
    }
    assert!(server.asked() < 10, "{} token requests in 100 s", server.asked());
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_good_for_a_while_is_replaced_at_once() {
    let server = TokenServer::default();
    let tokens = server.source();
    for number in 1..20 {
        assert_eq!(use_once(&tokens).await, format!("Bearer token-{number}"));
        sleep(Duration::from_secs(70)).await;
        assert!(tokens.reject(number));
    }
    use_once(&tokens).await;
    sleep(Duration::from_secs(2)).await;
    assert!(tokens.reject(20), "earlier rejections do not count against it");
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_ends_within_a_moment_is_not_seen() {
    let server = TokenServer::answering(Answer::Error(AttemptError::Connect("refused".into())));
    let tokens = server.source();
    let got = tokio::join!(tokens.token(), async {
        sleep(Duration::from_millis(10)).await;
        server.answer(Answer::default());
    });
    got.0.unwrap();
    assert_eq!(server.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_token_endpoint_that_is_down_is_asked_three_times_a_grant() {
    let server = TokenServer::answering(TOKEN_ENDPOINT_DOWN);
    let tokens = server.source();
    let error = tokens.token().await.unwrap_err();
    assert!(matches!(error, AttemptError::Token(TokenError::Unavailable(_))));
    assert_eq!(server.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_up_does_not_stop_the_grant() {
    let server = TokenServer::default();
    let tokens = server.source();
    timeout(Duration::from_millis(10), tokens.token()).await.unwrap_err();
    assert_eq!(value(&tokens).await, "Bearer token-1");
    assert_eq!(server.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_task_ends_with_the_last_handle() {
    let server = TokenServer::default();
    let tokens = server.source();
    let other = tokens.clone();
    use_once(&tokens).await;
    drop(tokens);
    assert_eq!(value(&other).await, "Bearer token-1");
    drop(other);
    tokio::task::yield_now().await;
    assert_eq!(Arc::strong_count(&server.0), 1, "nothing holds the transport any more");
}
