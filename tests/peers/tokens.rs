use futures_util::future::join_all;
use profile_http::{
    delivery::{
        AttemptError, ClientAuth, OAuth2Settings, Secret, TokenError,
        auth::{Credential, TokenSource},
        token_transport,
    },
    telemetry::Component,
};

use crate::{nginx::Nginx, oidc::Oidc};

fn source(settings: OAuth2Settings) -> TokenSource {
    let transport = token_transport(&settings, None).unwrap();
    TokenSource::new(settings, transport, Component::detached()).unwrap()
}

fn token(credential: &Credential) -> &str {
    credential.authorization().to_str().unwrap().strip_prefix("Bearer ").unwrap()
}

#[tokio::test]
async fn a_client_gets_a_token_that_is_good_for_what_it_asked() {
    let Some(oidc) = Oidc::start(600) else { return };
    for client_auth in [ClientAuth::Body, ClientAuth::Basic] {
        let granted = source(oidc.settings(client_auth)).token().await.unwrap();
        let said = oidc.introspect(token(&granted)).await;
        assert_eq!(said["active"], true, "{said}");
        assert_eq!(said["scope"], "profiles.write");
        assert_eq!(said["aud"], "https://api.example");
    }
}

#[tokio::test]
async fn callers_at_once_cause_one_grant() {
    let Some(oidc) = Oidc::start(600) else { return };
    let tokens = source(oidc.settings(ClientAuth::Basic));
    let results = join_all((0..200).map(|_| tokens.token())).await;
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(oidc.grants().await, 1);
}

#[tokio::test]
async fn a_revoked_token_is_replaced() {
    let Some(oidc) = Oidc::start(600) else { return };
    let tokens = source(oidc.settings(ClientAuth::Body));
    let first = tokens.token().await.unwrap();
    tokens.accept(first.generation());
    oidc.revoke(token(&first)).await;
    assert_eq!(oidc.introspect(token(&first)).await["active"], false);

    assert!(tokens.reject(first.generation()));
    let second = tokens.token().await.unwrap();
    assert_eq!(oidc.introspect(token(&second)).await["active"], true);
}

#[tokio::test]
async fn a_refusal_tells_the_operator_what_to_do() {
    let Some(oidc) = Oidc::start(600) else { return };
    let refused = async |settings: OAuth2Settings| {
        let error = source(settings).token().await.unwrap_err();
        assert!(matches!(error, AttemptError::Token(TokenError::Refused(_))), "{error}");
        error.to_string()
    };
    for client_auth in [ClientAuth::Body, ClientAuth::Basic] {
        let settings = oidc.settings(client_auth);
        let wrong = Secret::Text("not the secret".into());
        let error = refused(OAuth2Settings { client_secret: wrong, ..settings }).await;
        let expected = format!(
            "the token endpoint refuses the client: {}/token: \
             it says invalid_client (client authentication failed); \
             check client_id, client_secret and client_auth",
            oidc.address()
        );
        assert_eq!(error, expected);
    }
    let settings = oidc.settings(ClientAuth::Body);
    let error = refused(OAuth2Settings { client_id: "not-allowed".into(), ..settings }).await;
    assert!(error.contains("grant type is not allowed for this client"), "{error}");
    let settings = oidc.settings(ClientAuth::Body);
    let scopes = vec!["profiles.erase".into()];
    let error = refused(OAuth2Settings { scopes, ..settings }).await;
    assert!(error.contains("invalid_scope"), "{error}");
    assert!(error.contains("check scopes"), "{error}");
    let settings = oidc.settings(ClientAuth::Body);
    let auth_endpoint = format!("{}/tokens", oidc.address()).parse().unwrap();
    let error = refused(OAuth2Settings { auth_endpoint, ..settings }).await;
    assert!(error.contains("check auth_endpoint"), "{error}");
}

#[tokio::test]
async fn a_token_endpoint_behind_tls_of_a_private_authority_is_reached() {
    let Some(oidc) = Oidc::start(600) else { return };
    let proxy = format!("location / {{ proxy_pass {}; }}", oidc.address());
    let Some(nginx) = Nginx::start(&proxy) else { return };
    let mut settings = oidc.settings(ClientAuth::Basic);
    settings.auth_endpoint = nginx.url("/token").parse().unwrap();
    settings.tls.ca_file = Some(nginx.ca_file());
    let granted = source(settings).token().await.unwrap();
    assert_eq!(oidc.introspect(token(&granted)).await["active"], true);
}

#[tokio::test]
async fn a_token_endpoint_whose_certificate_is_not_accepted_is_named() {
    let Some(nginx) = Nginx::start("") else { return };
    let Some(oidc) = Oidc::start(600) else { return };
    let mut settings = oidc.settings(ClientAuth::Basic);
    settings.auth_endpoint = nginx.url("/token").parse().unwrap();
    let error = source(settings).token().await.unwrap_err();
    assert!(matches!(error, AttemptError::Tls(_)), "{error}");
    assert!(error.to_string().contains(&nginx.url("/token")), "{error}");
}
