use futures_util::future::join_all;
use profile_http::{
    clock::Clock,
    delivery::{
        AssertionSettings, AttemptError, ClientAuth, GrantType, JwtAlgorithm, OAuth2Settings,
        Secret, TokenError,
        auth::{Credential, TokenSource},
        token_transport,
    },
    telemetry::Component,
};

use crate::{
    nginx::Nginx,
    oidc::{ALGORITHMS, Client, Oidc, PASSWORD, SECRET},
};

fn source(settings: OAuth2Settings) -> TokenSource {
    let transport = token_transport(&settings, None).unwrap();
    TokenSource::new(settings, transport, Clock::system(), Component::detached()).unwrap()
}

fn token(credential: &Credential) -> &str {
    credential.authorization().to_str().unwrap().strip_prefix("Bearer ").unwrap()
}

/// Why the server refuses these.
async fn refused(settings: OAuth2Settings) -> String {
    let error = source(settings).token().await.unwrap_err();
    assert!(matches!(error, AttemptError::Token(TokenError::Refused(_))), "{error}");
    error.to_string()
}

#[tokio::test]
async fn a_client_gets_a_token_that_is_good_for_what_it_asked() {
    let Some(oidc) = Oidc::start(600) else { return };
    let signing = ALGORITHMS.map(Client::Signing);
    for client in [Client::InBody, Client::InHeader].into_iter().chain(signing) {
        let granted = source(oidc.settings(client)).token().await.unwrap();
        let said = oidc.introspect(token(&granted)).await;
        assert_eq!(said["active"], true, "{said}");
        assert_eq!(said["client_id"], client.id());
        assert_eq!(said["scope"], "profiles.write");
        assert_eq!(said["aud"], "https://api.example");
    }
}

#[tokio::test]
async fn an_assertion_with_another_key_or_for_somebody_else_is_refused() {
    let Some(oidc) = Oidc::start(600) else { return };
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("key.pem");
    std::fs::write(&key_file, rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let settings = oidc.settings(Client::Signing(JwtAlgorithm::Es256));
    let ClientAuth::PrivateKeyJwt(right) = settings.client_auth.clone() else { panic!() };
    for wrong in [
        AssertionSettings { key_file, ..right.clone() },
        AssertionSettings { audience: "https://login.example".into(), ..right.clone() },
        AssertionSettings { key_id: Some("another".into()), ..right },
    ] {
        let client_auth = ClientAuth::PrivateKeyJwt(wrong);
        let error = refused(OAuth2Settings { client_auth, ..settings.clone() }).await;
        assert!(error.contains("invalid_client"), "{error}");
        assert!(error.contains("check client_id, private_key_file"), "{error}");
    }
}

#[tokio::test]
async fn an_assertion_is_made_for_each_grant() {
    let Some(oidc) = Oidc::start(600) else { return };
    for algorithm in ALGORITHMS {
        let tokens = source(oidc.settings(Client::Signing(algorithm)));
        let first = tokens.token().await.unwrap();
        tokens.accept(first.generation());
        assert!(tokens.reject(first.generation()));
        // The server takes no assertion twice.
        assert_eq!(tokens.token().await.unwrap().generation(), 2);
    }
}

#[tokio::test]
async fn a_token_is_got_with_a_users_password() {
    let Some(oidc) = Oidc::start(600) else { return };
    let settings = |password: &str| OAuth2Settings {
        grant: GrantType::Password {
            username: "ada".into(),
            password: Secret::Text(password.into()),
        },
        client_id: "for-a-user".into(),
        ..oidc.settings(Client::InBody)
    };
    let granted = source(settings(PASSWORD)).token().await.unwrap();
    assert_eq!(oidc.introspect(token(&granted)).await["active"], true);
    let error = refused(settings("wrong")).await;
    assert!(
        error.ends_with("invalid_grant (grant request is invalid); check username and password"),
        "{error}"
    );
}

#[tokio::test]
async fn callers_at_once_cause_one_grant() {
    let Some(oidc) = Oidc::start(600) else { return };
    let tokens = source(oidc.settings(Client::InHeader));
    let results = join_all((0..200).map(|_| tokens.token())).await;
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(oidc.grants().await, 1);
}

#[tokio::test]
async fn a_revoked_token_is_replaced() {
    let Some(oidc) = Oidc::start(600) else { return };
    let tokens = source(oidc.settings(Client::InBody));
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
    let secret = || Secret::Text("not the secret".into());
    for (client, wrong, check) in [
        (
            Client::InBody,
            ClientAuth::Body { secret: secret() },
            "client_id, client_secret and client_auth",
        ),
        (
            Client::InHeader,
            ClientAuth::Basic { secret: secret(), encode: true },
            "client_id, client_secret, client_auth and encode_basic",
        ),
    ] {
        let settings = oidc.settings(client);
        let error = refused(OAuth2Settings { client_auth: wrong, ..settings }).await;
        let expected = format!(
            "the token endpoint refuses the client: {}/token: \
             it says invalid_client (client authentication failed); check {check}",
            oidc.address()
        );
        assert_eq!(error, expected);
    }
    // The right one, but this server wants it encoded.
    let client_auth = ClientAuth::Basic { secret: Secret::Text(SECRET.into()), encode: false };
    let settings = oidc.settings(Client::InHeader);
    let error = refused(OAuth2Settings { client_auth, ..settings }).await;
    assert!(error.contains("not properly encoded"), "{error}");
    let settings = oidc.settings(Client::InBody);
    let error = refused(OAuth2Settings { client_id: "not-allowed".into(), ..settings }).await;
    assert!(error.contains("grant type is not allowed for this client"), "{error}");
    let settings = oidc.settings(Client::InBody);
    let scopes = vec!["profiles.erase".into()];
    let error = refused(OAuth2Settings { scopes, ..settings }).await;
    assert!(error.contains("invalid_scope"), "{error}");
    assert!(error.contains("check scopes"), "{error}");
    let settings = oidc.settings(Client::InBody);
    let auth_endpoint = format!("{}/tokens", oidc.address()).parse().unwrap();
    let error = refused(OAuth2Settings { auth_endpoint, ..settings }).await;
    assert!(error.contains("check auth_endpoint"), "{error}");
}

#[tokio::test]
async fn a_token_endpoint_behind_tls_of_a_private_authority_is_reached() {
    let Some(oidc) = Oidc::start(600) else { return };
    let proxy = format!("location / {{ proxy_pass {}; }}", oidc.address());
    let Some(nginx) = Nginx::start(&proxy) else { return };
    let mut settings = oidc.settings(Client::InHeader);
    settings.auth_endpoint = nginx.url("/token").parse().unwrap();
    settings.tls.ca_file = Some(nginx.ca_file());
    let granted = source(settings).token().await.unwrap();
    assert_eq!(oidc.introspect(token(&granted)).await["active"], true);
}

#[tokio::test]
async fn a_token_endpoint_whose_certificate_is_not_accepted_is_named() {
    let Some(nginx) = Nginx::start("") else { return };
    let Some(oidc) = Oidc::start(600) else { return };
    let mut settings = oidc.settings(Client::InHeader);
    settings.auth_endpoint = nginx.url("/token").parse().unwrap();
    let error = source(settings).token().await.unwrap_err();
    assert!(matches!(error, AttemptError::Tls(_)), "{error}");
    assert!(error.to_string().contains(&nginx.url("/token")), "{error}");
}
