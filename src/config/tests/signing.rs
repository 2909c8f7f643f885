//! Keys of signatures as an operator writes them.

use super::*;

const KEY: &str = "whsec_ZXhhbXBsZS1zZWNyZXQtbm90LWZvci11c2U=";

#[test]
fn one_secret_several_or_an_ed25519_key_sign() {
    let signing = |line: &str| {
        let plan = plan(&format!("    signing: {line}"));
        let signing = plan.sinks[0].delivery.signing.clone().unwrap();
        (signing.secrets.len(), signing.ed25519_key.is_some())
    };
    assert_eq!(signing(&format!("{{ secret: {KEY} }}")), (1, false));
    assert_eq!(signing(&format!("{{ secrets: [{KEY}, {{ file: /k }}] }}")), (2, false));
    let seed = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc=";
    assert_eq!(signing(&format!("{{ ed25519_key: {seed} }}")), (0, true));
    assert_eq!(signing(&format!("{{ secret: {KEY}, ed25519_key: {{ file: /k }} }}")), (1, true));
    assert!(plan("").sinks[0].delivery.signing.is_none());
}

#[test]
fn what_cannot_sign_is_one_clear_error_that_shows_no_key() {
    for (line, message) in [
        ("signing: {}".to_owned(), "`signing` names no key"),
        ("signing: { secrets: [] }".to_owned(), "`signing` names no key"),
        (format!("signing: {{ secret: {KEY}, secrets: [{KEY}] }}"), "has `secret` and `secrets`"),
        ("signing: { secret: hunter2! }".to_owned(), "the signing secret is not base64"),
        ("signing: { secret: whsec_hunter22 }".to_owned(), "has 6 bytes, not 24 to 64"),
        ("signing: { secrets: [whpk_hunter22] }".to_owned(), "is a public key"),
        ("signing: { secret: whsk_hunter22 }".to_owned(), "is an Ed25519 key"),
        (format!("signing: {{ ed25519_key: {KEY} }}"), "is a shared secret"),
        ("signing: { ed25519_key: whsk_hunter22 }".to_owned(), "the Ed25519 key has 6 bytes"),
        (format!("signing: {{ secert: {KEY}, secret: {KEY} }}"), "unknown option `secert`"),
    ] {
        let errors = yaml(&with(&format!("    {line}")), &[]).unwrap_err();
        let text = errors.to_string();
        assert_eq!(errors.problems().len(), 1, "{line}\n{text}");
        assert!(text.contains(message), "{line}\n{text}");
        assert!(!text.contains("hunter2") && !text.contains("ZXhhbXBs"), "{text}");
    }
}

#[test]
fn headers_of_signatures_are_left_to_signing() {
    for name in ["webhook-id", "Webhook-Signature", "webhook-timestamp"] {
        let headers = format!("    custom_headers: {{ {name}: x }}");
        let errors = errors(&format!("{headers}\n    signing: {{ secret: {KEY} }}"));
        assert!(errors.contains(&format!("header `{name}` is what `signing` sets")), "{errors}");
        assert!(yaml(&with(&headers), &[]).is_ok());
    }
}

#[test]
fn a_signed_sink_needs_no_authentication() {
    assert_eq!(warnings(&format!("    signing: {{ secret: {KEY} }}")), "");
}

#[test]
fn a_key_in_a_file_is_checked_with_the_environment() {
    let files = Files::new(&[("key", "whsec_hunter22\n"), ("good", &format!("{KEY}\n"))]);
    let check = |name: &str| {
        let path = files.0.path().join(name);
        let lines = format!("    signing: {{ secret: {{ file: {} }} }}", path.display());
        let plan = yaml(&with(&lines).replace("/d\n", "/tmp\n"), &[]).unwrap();
        crate::config::check_files(&plan).map_err(|errors| errors.to_string())
    };
    check("good").unwrap();
    let error = check("key").unwrap_err();
    assert!(error.contains("the signing secret has 6 bytes, not 24 to 64, in "), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
    let error = check("none").unwrap_err();
    assert_eq!(error.matches("cannot read the secret").count(), 1, "{error}");
}

#[test]
fn a_plan_shows_no_key_of_signatures() {
    let plan = plan(&format!("    signing: {{ secret: {KEY} }}"));
    assert!(!format!("{plan:?}").contains("ZXhhbXBs"));
}
