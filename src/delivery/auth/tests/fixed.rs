use std::fs;

use tower::{Layer, ServiceExt};

use super::*;
use crate::delivery::{
    AuthSettings,
    auth::{Auth, AuthError, AuthLayer},
};

fn basic(user: &str, password: &str) -> AuthSettings {
    AuthSettings::Basic { user: user.into(), password: Secret::Text(password.into()) }
}

async fn send(auth: &Auth<Endpoint>) -> StatusCode {
    auth.clone().oneshot(request()).await.unwrap().status()
}

async fn sent(settings: &AuthSettings) -> String {
    let endpoint = Endpoint::accepting(|_| true);
    send(&AuthLayer::new(settings, None).unwrap().layer(endpoint.clone())).await;
    endpoint.seen().remove(0)
}

#[tokio::test(start_paused = true)]
async fn basic_is_the_base64_of_user_and_password() {
    // The example of RFC 7617 section 2, and that of section 2.1, which is in UTF-8.
    let first = sent(&basic("Aladdin", "open sesame")).await;
    assert_eq!(first, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    assert_eq!(sent(&basic("test", "123£")).await, "Basic dGVzdDoxMjPCow==");
    assert_eq!(sent(&basic("u", "a:b")).await, "Basic dTphOmI=");
}

#[tokio::test(start_paused = true)]
async fn what_no_header_can_carry_is_found_at_the_start() {
    let error = AuthLayer::new(&basic("a:b", "c"), None).unwrap_err();
    assert!(matches!(error, AuthError::ColonInUser));
    let token = Secret::Text("to\nken".into());
    let error = AuthLayer::new(&AuthSettings::Bearer { token }, None).unwrap_err();
    assert!(matches!(error, AuthError::Unprintable(_)));
}

#[tokio::test(start_paused = true)]
async fn a_fixed_credential_that_is_rejected_is_not_sent_again() {
    let endpoint = Endpoint::accepting(|_| false);
    let token = Secret::Text("token".into());
    let layer = AuthLayer::new(&AuthSettings::Bearer { token }, None).unwrap();
    let auth = layer.layer(endpoint.clone());
    assert_eq!(send(&auth).await, 401);
    assert_eq!(endpoint.seen(), ["Bearer token"]);
}

#[tokio::test]
async fn a_secret_is_the_text_of_its_file_without_the_line_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    for (content, secret) in
        [("abc", "abc"), ("abc\n", "abc"), ("abc\r\n", "abc"), (" a \n", " a ")]
    {
        fs::write(&path, content).unwrap();
        let token = Secret::File(path.clone());
        assert_eq!(sent(&AuthSettings::Bearer { token }).await, format!("Bearer {secret}"));
    }
}

#[tokio::test]
async fn a_secret_file_without_a_secret_is_found_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let settings = AuthSettings::Bearer { token: Secret::File(path.clone()) };
    let error = AuthLayer::new(&settings, None).unwrap_err().to_string();
    assert!(error.contains(path.to_str().unwrap()), "{error}");
    fs::write(&path, "\n").unwrap();
    assert!(matches!(AuthLayer::new(&settings, None), Err(AuthError::EmptySecret(_))));
    fs::write(&path, [0xff]).unwrap();
    assert!(matches!(AuthLayer::new(&settings, None), Err(AuthError::SecretFile { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_rejected_secret_is_read_again_and_the_request_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, "old").unwrap();
    let endpoint = Endpoint::accepting(|token| token == "Bearer new");
    let settings = AuthSettings::Bearer { token: Secret::File(path.clone()) };
    let auth = AuthLayer::new(&settings, None).unwrap().layer(endpoint.clone());
    assert_eq!(send(&auth).await, 401);
    assert_eq!(endpoint.seen(), ["Bearer old"], "the file is the same: nothing to repeat");

    fs::write(&path, "new").unwrap();
    assert_eq!(send(&auth).await, 200);
    assert_eq!(endpoint.seen(), ["Bearer old", "Bearer old", "Bearer new"]);
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_changes_is_used_before_the_old_one_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, "old").unwrap();
    let endpoint = Endpoint::accepting(|_| true);
    let settings = AuthSettings::Bearer { token: Secret::File(path.clone()) };
    let auth = AuthLayer::new(&settings, None).unwrap().layer(endpoint.clone());
    send(&auth).await;
    fs::write(&path, "new").unwrap();
    sleep(Duration::from_secs(5)).await;
    send(&auth).await;
    fs::remove_file(&path).unwrap();
    sleep(Duration::from_secs(5)).await;
    send(&auth).await;
    assert_eq!(endpoint.seen(), ["Bearer old", "Bearer new", "Bearer new"]);
}
