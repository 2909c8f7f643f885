use http::{HeaderMap, HeaderValue, Uri, header::AUTHORIZATION};
use profile_http::delivery::AuthSettings;

use super::explanation::Header;

/// What stands for something that is not shown.
pub(super) const HIDDEN: &str = "<hidden>";

/// The URL without the values of its query: any of them may be a key, whatever its name.
pub(super) fn url(url: &Uri) -> String {
    let shown = url.to_string();
    let Some((before, query)) = shown.split_once('?') else { return shown };
    let pairs: Vec<_> = query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((name, _)) => format!("{name}={HIDDEN}"),
            None => HIDDEN.to_owned(),
        })
        .collect();
    format!("{before}?{}", pairs.join("&"))
}

/// The headers in the order in which they are sent, `Authorization` as `auth` makes it.
pub(super) fn headers(headers: &HeaderMap, auth: &AuthSettings) -> Vec<Header> {
    let shown = headers.iter().map(|(name, value)| Header {
        name: name.to_string(),
        value: match authorization(auth).filter(|_| name == AUTHORIZATION) {
            Some(authorization) => authorization,
            None if name == "webhook-signature" => signatures(value),
            None if value.is_sensitive() => HIDDEN.to_owned(),
            None => String::from_utf8_lossy(value.as_bytes()).into_owned(),
        },
    });
    shown.collect()
}

/// The kinds of the signatures. Those themselves are made when it comes to sending.
fn signatures(value: &HeaderValue) -> String {
    let signatures = value.to_str().unwrap_or_default().split(' ');
    let kinds = signatures.map(|signature| signature.split(',').next().unwrap_or_default());
    kinds.map(|kind| format!("{kind},{HIDDEN}")).collect::<Vec<_>>().join(" ")
}

/// What `Authorization` says, if `auth` sets it. The user of basic authentication is not shown
/// either: where there is no password it is a key.
fn authorization(auth: &AuthSettings) -> Option<String> {
    match auth {
        AuthSettings::None => None,
        AuthSettings::Basic { .. } => Some(format!("Basic {HIDDEN}")),
        AuthSettings::Bearer { .. } => Some(format!("Bearer {HIDDEN}")),
        AuthSettings::OAuth2(oauth2) => {
            Some(format!("Bearer <token from {}>", url(&oauth2.auth_endpoint)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_of_a_query_is_shown() {
        let shown = |text: &'static str| url(&Uri::from_static(text));
        assert_eq!(
            shown("https://a.example/p?tenant=acme&code=s3cret&s3cret"),
            "https://a.example/p?tenant=<hidden>&code=<hidden>&<hidden>"
        );
        assert_eq!(shown("https://a.example/p"), "https://a.example/p");
    }
}
