use http::{
    HeaderMap, HeaderValue,
    header::{CONTENT_TYPE, USER_AGENT},
};
use tower::{Layer, ServiceExt};

use super::HeadersLayer;
use crate::delivery::{
    IdempotencyKey, ProfileVersion,
    test_support::{Script, request},
};

async fn sent(custom: &[(&'static str, &'static str)], own: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in custom {
        headers.append(*name, HeaderValue::from_static(value));
    }
    let script = Script::default();
    let service = HeadersLayer::new(headers).layer(script.clone());
    let mut request = request();
    request.extensions_mut().insert(IdempotencyKey(0xab));
    request.extensions_mut().insert(ProfileVersion(1_700_000_000_000_001));
    for (name, value) in own {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    service.oneshot(request).await.unwrap();
    script.last_request().headers().clone()
}

#[tokio::test]
async fn an_export_says_what_it_is_and_who_sends_it() {
    let headers = sent(&[], &[]).await;
    assert_eq!(headers[CONTENT_TYPE], "application/json");
    assert_eq!(headers[USER_AGENT], concat!("profile-http/", env!("CARGO_PKG_VERSION")));
    assert_eq!(headers["idempotency-key"], "000000000000000000000000000000ab");
    assert_eq!(headers["profile-version"], "1700000000000001");
    assert_eq!(headers.len(), 4);
}

#[tokio::test]
async fn custom_headers_are_added_and_may_replace_content_type_and_user_agent() {
    let custom = [
        ("x-tenant", "acme"),
        ("content-type", "application/vnd.acme+json"),
        ("user-agent", "cdp"),
    ];
    let headers = sent(&custom, &[]).await;
    assert_eq!(headers["x-tenant"], "acme");
    assert_eq!(headers[CONTENT_TYPE], "application/vnd.acme+json");
    assert_eq!(headers[USER_AGENT], "cdp");
    assert_eq!(headers.get_all(USER_AGENT).iter().count(), 1);
}

#[tokio::test]
async fn what_the_request_says_itself_holds() {
    let headers = sent(&[("x-a", "1"), ("x-b", "1")], &[("x-a", "2"), ("x-a", "3")]).await;
    assert_eq!(headers.get_all("x-a").iter().collect::<Vec<_>>(), ["2", "3"]);
    assert_eq!(headers["x-b"], "1");
}

#[tokio::test]
async fn values_that_may_be_secrets_are_not_shown_in_debug_output() {
    let headers = sent(&[("x-api-key", "s3cret"), ("x-tenant", "acme")], &[]).await;
    let shown = format!("{headers:?}");
    assert!(!shown.contains("s3cret") && shown.contains("acme"), "{shown}");
}
