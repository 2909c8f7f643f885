use std::{collections::BTreeMap, fs};

use prometheus_client::{encoding::text::encode, registry::Registry};

use super::*;
use crate::{
    delivery::{TokenError, test_support::secs},
    telemetry::Metrics,
};

fn form(request: &Request<Bytes>) -> BTreeMap<String, String> {
    oauth2::url::form_urlencoded::parse(request.body()).into_owned().collect()
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

/// The error of a grant that the token endpoint answers so.
async fn error(answer: Answer) -> AttemptError {
    let error = TokenServer::answering(answer).source().token().await.unwrap_err();
    for hidden in [SECRET, "hunter2", "user:pass", "key=abc"] {
        assert!(!error.to_string().contains(hidden), "{error}");
        assert!(!format!("{error:?}").contains(hidden), "{error:?}");
    }
    error
}

fn is_refused(error: &AttemptError) -> bool {
    matches!(error, AttemptError::Token(TokenError::Refused(_)))
}

fn is_unavailable(error: &AttemptError) -> bool {
    matches!(error, AttemptError::Token(TokenError::Unavailable(_)))
}

#[tokio::test(start_paused = true)]
async fn a_client_proves_itself_in_the_body() {
    let server = TokenServer::default();
    let settings = OAuth2Settings {
        scopes: vec!["profiles.write".into(), "profiles.read".into()],
        extra_params: vec![("audience".into(), "https://api.example".into())],
        ..settings()
    };
    server.source_with(settings).token().await.unwrap();
    let request = server.last_request();
    assert_eq!(request.method(), "POST");
    assert_eq!(request.headers()["content-type"], "application/x-www-form-urlencoded");
    assert!(request.headers().get(AUTHORIZATION).is_none());
    let expected = [
        ("grant_type", "client_credentials"),
        ("client_id", "cdp"),
        ("client_secret", SECRET),
        ("scope", "profiles.write profiles.read"),
        ("audience", "https://api.example"),
    ];
    assert_eq!(form(&request), pairs(&expected));
}

#[tokio::test(start_paused = true)]
async fn a_client_proves_itself_by_basic_with_id_and_secret_form_encoded() {
    let server = TokenServer::default();
    let request = by_basic(&server, true).await;
    let authorization = &request.headers()[AUTHORIZATION];
    // cdp:hunter2%2B%2F%3D
    assert_eq!(authorization, "Basic Y2RwOmh1bnRlcjIlMkIlMkYlM0Q=");
    assert!(authorization.is_sensitive());
    assert_eq!(form(&request), pairs(&[("grant_type", "client_credentials")]));
}

#[tokio::test(start_paused = true)]
async fn id_and_secret_are_not_encoded_for_a_server_that_does_not_decode_them() {
    let server = TokenServer::default();
    let request = by_basic(&server, false).await;
    let authorization = &request.headers()[AUTHORIZATION];
    // cdp:hunter2+/=
    assert_eq!(authorization, "Basic Y2RwOmh1bnRlcjIrLz0=");
    assert!(authorization.is_sensitive());
    assert_eq!(form(&request), pairs(&[("grant_type", "client_credentials")]));
}

async fn by_basic(server: &TokenServer, encode: bool) -> Request<Bytes> {
    let secret = Secret::Text(SECRET.into());
    let client_auth = ClientAuth::Basic { secret, encode };
    server.source_with(OAuth2Settings { client_auth, ..settings() }).token().await.unwrap();
    server.last_request()
}

#[tokio::test(start_paused = true)]
async fn a_token_is_got_for_a_user_with_a_password() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    fs::write(&path, "pass & word\n").unwrap();
    let server = TokenServer::default();
    let password = Secret::File(path.clone());
    let grant = GrantType::Password { username: "ada@acme.example".into(), password };
    let settings = OAuth2Settings { grant, scopes: vec!["write".into()], ..settings() };
    let tokens = server.source_with(settings);
    tokens.token().await.unwrap();
    let expected = [
        ("grant_type", "password"),
        ("username", "ada@acme.example"),
        ("password", "pass & word"),
        ("client_id", "cdp"),
        ("client_secret", SECRET),
        ("scope", "write"),
    ];
    assert_eq!(form(&server.last_request()), pairs(&expected));

    fs::write(&path, "another").unwrap();
    sleep(Duration::from_hours(1)).await;
    let wrong = r#"{"error":"invalid_grant","error_description":"not another"}"#;
    server.answer(Answer::Status(400, wrong));
    let error = tokens.token().await.unwrap_err();
    assert_eq!(form(&server.last_request())["password"], "another");
    let expected = "it says invalid_grant (not [hidden]); check username and password";
    assert!(is_refused(&error) && error.to_string().ends_with(expected), "{error}");
}

#[tokio::test(start_paused = true)]
async fn all_requests_of_a_grant_have_one_timeout() {
    let server = TokenServer::answering(Answer::Status(503, ""));
    let tokens = server.source_with(OAuth2Settings { timeout: secs(2), ..settings() });
    let begun = Instant::now();
    let (error, ()) = tokio::join!(tokens.token(), async {
        sleep(Duration::from_millis(10)).await;
        server.answer(Answer::Silence);
    });
    assert!(is_unavailable(&error.unwrap_err()));
    assert_eq!((server.asked(), begun.elapsed()), (2, secs(2)));
}

#[tokio::test(start_paused = true)]
async fn the_secret_is_read_from_its_file_for_each_grant() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    fs::write(&path, "first\n").unwrap();
    let server = TokenServer::default();
    let client_auth = ClientAuth::Body { secret: Secret::File(path.clone()) };
    let settings = OAuth2Settings { client_auth, ..settings() };
    let tokens = server.source_with(settings);
    tokens.token().await.unwrap();
    assert_eq!(form(&server.last_request())["client_secret"], "first");

    fs::write(&path, "second").unwrap();
    sleep(Duration::from_hours(1)).await;
    tokens.token().await.unwrap();
    assert_eq!(form(&server.last_request())["client_secret"], "second");

    fs::remove_file(&path).unwrap();
    sleep(Duration::from_hours(1)).await;
    let error = tokens.token().await.unwrap_err();
    assert!(matches!(error, AttemptError::Secret(_)));
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_where_why_and_what_to_do() {
    let cases = [
        ("invalid_client", "check client_id, client_secret and client_auth"),
        ("unauthorized_client", "allow this client the grant client_credentials"),
        ("invalid_scope", "check scopes"),
        ("invalid_grant", "check client_id, scopes and extra_params"),
        ("something_else", "check client_id, scopes and extra_params"),
    ];
    for (code, remedy) in cases {
        let body = format!(r#"{{"error":"{code}","error_description":"no\nway, hunter2+/="}}"#);
        let error = error(Answer::Status(400, body.leak())).await;
        assert!(is_refused(&error), "{error}");
        let expected = format!(
            "the token endpoint refuses the client: https://login.example/oauth/token: \
             it says {code} (no way, [hidden]); {remedy}"
        );
        assert_eq!(error.to_string(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_without_an_oauth2_body_tells_the_status() {
    let cases = [
        (401, "", "401 Unauthorized without a token; check client_id"),
        (403, "<html>forbidden</html>", "403 Forbidden without a token; check client_id"),
        (404, "not here", "404 Not Found without a token; check auth_endpoint"),
        (302, "", "302 Found without a token; check auth_endpoint"),
        (200, "<html>log in</html>", "200 OK without a token; check auth_endpoint"),
        (200, r#"{"access_token":17}"#, "200 OK without a token; check auth_endpoint"),
    ];
    for (status, body, expected) in cases {
        let error = error(Answer::Status(status, body)).await;
        assert!(is_refused(&error), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn trouble_that_passes_is_no_refusal() {
    let cases = [
        Answer::Status(500, r#"{"error":"invalid_client"}"#),
        Answer::Status(503, ""),
        Answer::Status(429, ""),
        Answer::Status(400, r#"{"error":"temporarily_unavailable"}"#),
        Answer::Error(AttemptError::Connect("refused".into())),
        Answer::Error(AttemptError::Timeout(Duration::from_secs(5))),
        Answer::Silence,
    ];
    for answer in cases {
        let error = error(answer).await;
        assert!(is_unavailable(&error), "{error}");
        assert!(error.to_string().contains("https://login.example/oauth/token"), "{error}");
        assert!(!error.outcome_unknown(), "nothing was sent to the data endpoint");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_request_has_a_timeout_of_its_own() {
    let server = TokenServer::answering(Answer::Silence);
    let begun = Instant::now();
    let error = server.source().token().await.unwrap_err();
    assert!(error.to_string().contains("no answer within 10s"), "{error}");
    assert_eq!(begun.elapsed(), Duration::from_secs(10), "what took so long is not repeated");
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_is_not_accepted_stays_an_error_of_tls() {
    let error = error(Answer::Error(AttemptError::Tls("certificate expired".into()))).await;
    assert!(matches!(error, AttemptError::Tls(_)));
    let expected =
        "TLS failed: token endpoint https://login.example/oauth/token: certificate expired";
    assert_eq!(error.to_string(), expected);
}

#[tokio::test(start_paused = true)]
async fn answers_that_bend_the_standard_are_taken() {
    let answers = [
        (200, r#"{"access_token":"t"}"#),
        (201, r#"{"access_token":"t","token_type":"bearer"}"#),
        (200, r#"{"access_token":"t","token_type":"BEARER","expires_in":"3599"}"#),
        (200, r#"{"access_token":"t","token_type":"Bearer","expires_in":3599.5,"x":{}}"#),
        (200, r#"{"access_token":"t","token_type":"Bearer","expires_in":1e300}"#),
        (200, r#"{"access_token":"t","token_type":"Bearer","expires_in":1e19}"#),
    ];
    for (status, body) in answers {
        let token = TokenServer::answering(Answer::Status(status, body)).source().token().await;
        assert_eq!(token.unwrap().authorization(), "Bearer t", "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_cannot_be_sent_is_a_refusal() {
    let answers = [r#"{"access_token":"t","token_type":"mac"}"#, r#"{"access_token":"hunter2\n"}"#];
    for body in answers {
        let error = error(Answer::Status(200, body)).await;
        assert!(is_refused(&error), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn secrets_are_not_shown() {
    let server = TokenServer::default();
    let tokens = server.source();
    let token = tokens.token().await.unwrap();
    for shown in [format!("{tokens:?}"), format!("{token:?}"), format!("{:?}", settings())] {
        assert!(!shown.contains("token-1"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn token_requests_are_counted_by_outcome() {
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry).component("crm", "sink", "profile_http");
    let server = TokenServer::answering(Answer::Status(503, ""));
    let clock = Clock::anchored(START);
    let tokens = TokenSource::new(settings(), server.transport(), clock, metrics).unwrap();
    tokens.token().await.unwrap_err();
    server.answer(Answer::Status(401, ""));
    sleep(Duration::from_secs(1)).await;
    tokens.token().await.unwrap_err();
    server.answer(Answer::default());
    sleep(Duration::from_secs(1)).await;
    let token = tokens.token().await.unwrap();
    tokens.reject(token.generation());
    tokens.reject(token.generation());

    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    for (outcome, count) in [("unavailable", 3), ("refused", 1), ("granted", 1), ("rejected", 1)] {
        let series = format!("outcome=\"{outcome}\"}} {count}\n");
        assert!(text.contains(&series), "{series}{text}");
    }
}
