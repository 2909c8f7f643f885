//! Through a real proxy.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::{Request, Response};
use profile_http::endpoint::{
    Http2, ProxySettings, SendError, TlsSettings, Transport, TransportSettings,
};
use tower::ServiceExt;

use crate::{
    nginx::{Nginx, TAKE},
    oidc::{Client, Oidc, SECRET},
    program::{ends_well, oauth2, options, profile, records, run},
    support::Site,
    tinyproxy::{PASSWORD, Tinyproxy, USER},
};

async fn send(nginx: &Nginx, proxy: ProxySettings) -> Result<Response<Bytes>, SendError> {
    let transport = Transport::new(TransportSettings {
        tls: TlsSettings { ca_file: Some(nginx.ca_file()), ..TlsSettings::default() },
        proxy: Some(proxy),
        ..TransportSettings::default()
    })
    .unwrap();
    transport.oneshot(request(nginx)).await
}

fn request(nginx: &Nginx) -> Request<Bytes> {
    Request::post(nginx.url("/profiles")).body(Bytes::from("{}")).unwrap()
}

/// `CONNECT` and the address of nginx.
fn connect(nginx: &Nginx) -> String {
    let url = nginx.url("");
    format!("CONNECT {} HTTP/1.1", url.trim_start_matches("https://"))
}

#[tokio::test]
async fn requests_go_through_a_tunnel_with_tls_inside() {
    let Some(proxy) = Tinyproxy::start("") else { return };
    let Some(nginx) = Nginx::start("location / { return 204; }") else { return };
    assert_eq!(send(&nginx, proxy.settings(None)).await.unwrap().status(), 204);
    assert_eq!(proxy.requests(), [connect(&nginx)]);
}

#[tokio::test]
async fn http_2_is_spoken_through_a_tunnel() {
    let Some(proxy) = Tinyproxy::with_password() else { return };
    let Some(nginx) = Nginx::start_http2("location / { return 204; }") else { return };
    let transport = Transport::new(TransportSettings {
        tls: TlsSettings { ca_file: Some(nginx.ca_file()), ..TlsSettings::default() },
        http2: Http2::Always,
        proxy: Some(proxy.settings(Some(PASSWORD))),
        ..TransportSettings::default()
    })
    .unwrap();
    for _ in 0..10 {
        let answer = transport.clone().oneshot(request(&nginx)).await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (204, http::Version::HTTP_2));
    }
    assert_eq!(proxy.requests(), [connect(&nginx)]);
}

#[tokio::test]
async fn a_proxy_that_wants_a_password_gets_it_or_is_explained() {
    let Some(proxy) = Tinyproxy::with_password() else { return };
    let Some(nginx) = Nginx::start("location / { return 204; }") else { return };
    let answer = send(&nginx, proxy.settings(Some(PASSWORD))).await;
    assert_eq!(answer.unwrap().status(), 204);
    for (password, advice) in [(None, "set request.proxy.user"), (Some("wrong"), "check request")] {
        let error = send(&nginx, proxy.settings(password)).await.unwrap_err();
        assert!(matches!(error, SendError::Proxy(_)), "{error:?}");
        assert!(error.to_string().contains(advice), "{error}");
    }
}

#[tokio::test]
async fn a_proxy_that_does_not_let_us_to_a_port_is_explained() {
    let Some(proxy) = Tinyproxy::start("ConnectPort 443") else { return };
    let Some(nginx) = Nginx::start("location / { return 204; }") else { return };
    let error = send(&nginx, proxy.settings(None)).await.unwrap_err();
    assert!(matches!(error, SendError::Proxy(_)), "{error:?}");
    assert!(error.to_string().contains("allow CONNECT"), "{error}");
}

#[tokio::test]
async fn a_host_in_no_proxy_is_reached_directly() {
    let Some(proxy) = Tinyproxy::start("") else { return };
    let Some(nginx) = Nginx::start("location / { return 204; }") else { return };
    let settings = ProxySettings { no_proxy: vec!["localhost".into()], ..proxy.settings(None) };
    assert_eq!(send(&nginx, settings).await.unwrap().status(), 204);
    assert_eq!(proxy.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn profiles_and_token_requests_go_through_the_proxy() {
    let Some(proxy) = Tinyproxy::with_password() else { return };
    let Some(oidc) = Oidc::start(600) else { return };
    let Some(nginx) = Nginx::start(&format!("{}\n{TAKE}", oidc.guard())) else { return };
    let site = Site::new();
    site.write("secret", SECRET);
    site.write("password", PASSWORD);
    let options = format!(
        "{}{}    request:\n      proxy:\n        url: http://{}\n        user: {USER}\n        \
         password: {{ file: '{}' }}\n",
        options(&nginx),
        oauth2(&oidc, &site, Client::InBody),
        proxy.address,
        site.path("password").display(),
    );
    let mut process = run(&site, &nginx, &options);
    process.write(&records(100, 1));
    let log = ends_well(process);
    assert!(!log.contains(PASSWORD), "{log}");
    assert!(log.contains(&format!("proxy=\"{}\"", proxy.address)), "{log}");
    let delivered: BTreeSet<_> = nginx.rest().iter().map(profile).collect();
    assert_eq!(delivered.len(), 100);
    let asked = proxy.requests();
    let token = format!("CONNECT {} HTTP/1.1", oidc.address().trim_start_matches("http://"));
    assert!(asked.contains(&token), "{asked:?}");
    assert!(asked.iter().all(|request| request.starts_with("CONNECT ")), "{asked:?}");
}
