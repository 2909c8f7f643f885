//! Who may call: without a token, whoever is on this machine and is no web page.
//!
//! A page in a browser on this machine can send requests to a loopback address, too. It cannot give
//! them a `Host` that is a loopback name unless it was served under one, which keeps it from
//! reading answers by a name that it lets point here; and it cannot add a header of its own without
//! asking first, which is not answered.

use std::net::IpAddr;

use http::{HeaderMap, Method, header, request::Parts};
use secrecy::ExposeSecret;

use super::{ApiError, Console};
use crate::{delivery::auth::read_secret, secret::same};

/// The header of calls that change something, needed where there is no token.
pub const CHANGE_HEADER: &str = "x-profile-http";

/// Its value.
pub const CHANGE_VALUE: &str = "1";

/// Says why a call is refused, if it is. Health is open to all: it says nothing of profiles.
pub(super) async fn check(console: &Console, request: &Parts) -> Result<(), ApiError> {
    if request.uri.path().starts_with("/health/") {
        return Ok(());
    }
    let Some(token) = &console.token else { return check_local(request) };
    let token = read_secret(token).await.map_err(|error| {
        tracing::error!(%error, "the API refuses everything: cannot read api.token");
        ApiError::Unavailable("api.token cannot be read; the log says why".to_owned())
    })?;
    let shown = request.headers.get(header::AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.as_bytes().split_at_checked("Bearer ".len())?;
        scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
    });
    match shown {
        Some(shown) if same(shown, token.expose_secret().as_bytes()) => Ok(()),
        _ => Err(ApiError::Unauthorized),
    }
}

fn check_local(request: &Parts) -> Result<(), ApiError> {
    if !host(request).is_some_and(is_loopback) {
        return Err(ApiError::Forbidden(
            "without api.token only requests to a loopback name (localhost, 127.0.0.1, [::1]) are \
             answered"
                .to_owned(),
        ));
    }
    let reads = matches!(request.method, Method::GET | Method::HEAD | Method::OPTIONS);
    if !reads && !has_change_header(&request.headers) {
        return Err(ApiError::Forbidden(
            "without api.token a call that changes something needs the header X-Profile-Http: 1, \
             so that no web page can make it"
                .to_owned(),
        ));
    }
    Ok(())
}

fn has_change_header(headers: &HeaderMap) -> bool {
    headers.get(CHANGE_HEADER).is_some_and(|value| value == CHANGE_VALUE)
}

/// The host that was asked, without its port.
fn host(request: &Parts) -> Option<&str> {
    let host = match request.uri.authority() {
        Some(authority) => authority.as_str(),
        None => request.headers.get(header::HOST)?.to_str().ok()?,
    };
    let port = host.rfind(':').filter(|at| host[at + 1..].bytes().all(|b| b.is_ascii_digit()));
    // The colons of an address in brackets are none of a port.
    Some(&host[..port.filter(|at| !host[*at..].contains(']')).unwrap_or(host.len())])
}

fn is_loopback(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost")
        || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(method: Method, headers: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::builder().method(method).uri("/api/v1/sinks");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn without_a_token_the_host_must_be_a_loopback_name() {
        let allowed = ["localhost", "LOCALHOST:8686", "127.0.0.1:8686", "127.1.2.3", "[::1]:8686"];
        for host in allowed.into_iter().chain(["[::1]"]) {
            assert!(check_local(&parts(Method::GET, &[("host", host)])).is_ok(), "{host}");
        }
        let refused = ["evil.example", "localhost.evil.example:8686", "10.0.0.1", "", ":8686", "["];
        for host in refused {
            assert!(check_local(&parts(Method::GET, &[("host", host)])).is_err(), "{host}");
        }
        assert!(check_local(&parts(Method::GET, &[])).is_err());
    }

    #[test]
    fn without_a_token_a_change_needs_a_header_that_no_web_page_can_send() {
        let local = ("host", "localhost");
        for method in [Method::POST, Method::DELETE, Method::PUT] {
            assert!(check_local(&parts(method.clone(), &[local])).is_err());
            let other = ("x-profile-http", "0");
            assert!(check_local(&parts(method.clone(), &[local, other])).is_err());
            let header = (CHANGE_HEADER, CHANGE_VALUE);
            assert!(check_local(&parts(method, &[local, header])).is_ok());
        }
    }
}
