use super::*;
use crate::{
    config::check_files,
    delivery::{GrantType, JwtAlgorithm},
};

const OAUTH2: &str = "strategy: oauth2, auth_endpoint: https://b.example, client_id: a";

/// A sink with OAuth2 and these options besides.
fn sink(options: &str) -> String {
    format!("    auth: {{ {OAUTH2}, {options} }}")
}

#[test]
fn what_is_left_out_of_oauth2_has_the_documented_default() {
    let plan = plan(&sink("client_secret: s"));
    let oauth2 = oauth2(&plan);
    assert!(matches!(oauth2.grant, GrantType::ClientCredentials));
    assert!(matches!(oauth2.client_auth, ClientAuth::Body { .. }));
    let secs = Duration::from_secs;
    assert_eq!(
        [oauth2.token_lifetime, oauth2.refresh_before, oauth2.timeout],
        [secs(300), secs(60), secs(10)]
    );
    assert!(oauth2.scopes.is_empty() && oauth2.extra_params.is_empty());
    assert!(plan.warnings.is_empty());
}

#[test]
fn options_of_the_token_endpoint_are_read() {
    let lines = sink(
        "client_secret: s, client_auth: basic, encode_basic: false, token_lifetime_secs: 1800, \
         refresh_before_secs: 90, timeout_secs: 3, tls: { ca_file: /ca.pem, min_version: 1.3 }",
    ) + "\n    tls: { ca_file: /other.pem }";
    let plan = plan(&lines);
    let oauth2 = oauth2(&plan);
    assert!(matches!(oauth2.client_auth, ClientAuth::Basic { encode: false, .. }));
    let secs = Duration::from_secs;
    assert_eq!(
        [oauth2.token_lifetime, oauth2.refresh_before, oauth2.timeout],
        [secs(1800), secs(90), secs(3)]
    );
    assert_eq!(oauth2.tls.ca_file.as_deref(), Some(Path::new("/ca.pem")));
    assert_eq!(oauth2.tls.min_version, TlsVersion::V1_3);
    assert_eq!(plan.sinks[0].delivery.tls.ca_file.as_deref(), Some(Path::new("/other.pem")));
}

#[test]
fn a_private_key_takes_the_place_of_a_secret() {
    let assertion = |options: &str| {
        let options = format!("client_auth: private_key_jwt, private_key_file: k.pem{options}");
        match &oauth2(&plan(&sink(&options))).client_auth {
            ClientAuth::PrivateKeyJwt(assertion) => assertion.clone(),
            other => panic!("{other:?}"),
        }
    };
    let defaults = assertion("");
    assert_eq!(defaults.key_file, Path::new("k.pem"));
    assert_eq!((defaults.key_id, defaults.algorithm), (None, JwtAlgorithm::Rs256));
    assert_eq!(defaults.audience, "https://b.example", "as it is written");
    assert_eq!(defaults.lifetime, Duration::from_mins(5));
    let given = assertion(
        ", key_id: k1, algorithm: ES256, assertion_audience: issuer, assertion_lifetime_secs: 60",
    );
    assert_eq!((given.key_id.as_deref(), given.algorithm), (Some("k1"), JwtAlgorithm::Es256));
    assert_eq!((given.audience.as_str(), given.lifetime), ("issuer", Duration::from_mins(1)));
}

#[test]
fn the_password_grant_has_a_user_and_a_password() {
    let options = "client_secret: s, grant: password, username: u, password: { file: p }";
    match &oauth2(&plan(&sink(options))).grant {
        GrantType::Password { username, password: Secret::File(path) } => {
            assert_eq!((username.as_str(), path.as_path()), ("u", Path::new("p")));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn mistakes_in_oauth2_have_one_clear_message_each() {
    const JWT: &str = "client_auth: private_key_jwt";
    for (options, message) in [
        ("", "has no `client_secret`"),
        (JWT, "has no `private_key_file`"),
        ("private_key_file: k", "has no `client_auth`"),
        ("client_secret: s, grant: implicit", "`grant` must be `client_credentials` or `password`"),
        ("client_secret: s, grant: passwrod, username: u", "`grant` must be"),
        ("client_secret: s, grant: password, password: p", "has no `username`"),
        ("client_secret: s, grant: password, username: u", "has no `password`"),
        ("client_secret: s, username: u", "`username` belongs to `grant: password`"),
        ("client_secret: s, password: u", "`password` belongs to `grant: password`"),
        ("client_secret: s, token: t", "`token` belongs to `strategy: bearer`"),
        ("client_secret: s, user: u", "`user` belongs to `strategy: basic`"),
        ("client_secret: s, client_auth: jwt, key_id: k", "`client_auth` must be `body`, `basic`"),
        (
            "client_secret: s, client_auth: private_key_jwt, private_key_file: k",
            "`client_secret` belongs to `client_auth: body`",
        ),
        (
            "client_secret: s, private_key_file: k",
            "`private_key_file` belongs to `client_auth: private_key_jwt`",
        ),
        ("client_secret: s, key_id: k", "`key_id` belongs to `client_auth: private_key_jwt`"),
        (
            "client_secret: s, client_auth: basic, assertion_audience: k",
            "`assertion_audience` belongs to `client_auth: private_key_jwt`",
        ),
        ("client_secret: s, encode_basic: true", "`encode_basic` belongs to `client_auth: basic`"),
        ("client_secret: s, token_lifetime_secs: 0", "`token_lifetime_secs` cannot be 0"),
        ("client_secret: s, token_lifetime_secs: 0.1", "is shorter than a second"),
        ("client_secret: s, token_lifetime_secs: 1e9", "`token_lifetime_secs` cannot be"),
        ("client_secret: s, refresh_before_secs: 0", "`refresh_before_secs` cannot be 0"),
        (
            "client_secret: s, token_lifetime_secs: 60, refresh_before_secs: 60",
            "`refresh_before_secs` is no shorter than `token_lifetime_secs`",
        ),
        ("client_secret: s, timeout_secs: 0", "`timeout_secs` cannot be 0"),
        ("client_secret: s, extra_params: { username: u }", "`username` is part of the token"),
        ("client_secret: s, extra_params: { client_assertion: u }", "is part of the token"),
    ] {
        let errors = errors(&sink(options));
        assert!(errors.contains(message), "{options}\n{errors}");
        assert_eq!(errors.matches("c.yaml:").count(), 1, "{options}\n{errors}");
    }
    for (options, message) in [
        ("algorithm: HS256", "`algorithm` must be `RS256`, `ES256` or `PS256`, not `HS256`"),
        ("algorithm: none", "`algorithm` must be"),
        ("algorithm: es256", "did you mean `ES256`?"),
        ("assertion_lifetime_secs: 0", "`assertion_lifetime_secs` cannot be 0"),
        ("assertion_lifetime_secs: 0.5", "`assertion_lifetime_secs` cannot be 0.5"),
        ("assertion_lifetime_secs: 7200", "`assertion_lifetime_secs` cannot be 7200"),
        ("key_id: ''", "`key_id` is empty"),
    ] {
        let errors = errors(&sink(&format!("{JWT}, private_key_file: k, {options}")));
        assert!(errors.contains(message), "{options}\n{errors}");
        assert_eq!(errors.matches("c.yaml:").count(), 1, "{options}\n{errors}");
    }
    let lines = sink("client_secret: s, client_auth: basic, encode_basic: false");
    let errors = errors(&lines.replace("client_id: a", "client_id: 'a:b'"));
    assert!(errors.contains("`client_id` has a colon in it"), "{errors}");
}

#[test]
fn the_strategy_that_was_meant_is_the_one_with_most_of_the_options() {
    let errors = errors("    auth: { grant: password, username: u, password: p, client_id: a }");
    assert!(errors.contains("`strategy: oauth2`"), "{errors}");
}

#[test]
fn a_token_that_may_take_as_long_as_a_delivery_is_a_warning() {
    let warned = "`timeout_secs` of `auth` is no shorter than `deadline_secs` of `request`";
    let warnings = warnings(&sink("client_secret: s, timeout_secs: 30"));
    assert!(warnings.contains(warned), "{warnings}");
}

#[test]
fn a_key_file_is_checked_against_the_algorithm_with_the_environment() {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    for (algorithm, contents, expected) in [
        ("ES256", key.serialize_pem(), None),
        ("RS256", key.serialize_pem(), Some("holds an EC key, with which RS256 does not sign")),
        ("ES256", key.public_key_pem(), Some("there is a public key but no private key")),
        ("ES256", "-----BEGIN ENCRYPTED PRIVATE KEY-----".into(), Some("an encrypted key")),
    ] {
        let files = Files::new(&[("k.pem", &contents)]);
        let path = files.0.path().join("k.pem");
        let auth = sink(&format!(
            "client_auth: private_key_jwt, algorithm: {algorithm}, private_key_file: '{}'",
            path.display()
        ));
        let plan = plan(&auth);
        let found = check_files(&plan).err().map(|errors| errors.to_string()).unwrap_or_default();
        // The data directory of these tests is nowhere.
        let found = found.split("\n\n").find(|problem| problem.contains("k.pem"));
        assert_eq!(found.is_some(), expected.is_some(), "{found:?}");
        if let (Some(found), Some(expected)) = (found, expected) {
            assert!(found.contains(expected), "{found}");
            assert!(found.contains("help: name a PEM file with an"), "{found}");
            assert!(found.contains("c.yaml:"), "{found}");
        }
    }
}
