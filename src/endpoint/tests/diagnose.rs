use rcgen::date_time_ymd;

use super::{
    identity::Setup,
    proxy::{open_proxy, proxy_answering, through},
    tls::Authority,
    *,
};
use crate::endpoint::{
    diagnose::{Handshake, connect, handshake, resolve, route, tunnel},
    tls,
};

async fn walk(server: &Server, settings: &TransportSettings) -> Result<Handshake, SendError> {
    let url = format!("https://{}/", server.address).parse().unwrap();
    let route = route(&url, settings).unwrap();
    let addresses = resolve(route.first_host(), route.first_port()).await?;
    let mut connection = connect(&addresses, settings.connect_timeout).await?;
    tunnel(&route, &mut connection).await?;
    Ok(handshake(&route, connection, settings).await.unwrap())
}

fn trusting(setup: &Setup) -> TransportSettings {
    TransportSettings { tls: setup.trusting(), ..TransportSettings::default() }
}

#[tokio::test]
async fn what_the_server_shows_is_told() {
    let setup = Setup::new();
    let server = setup.server("127.0.0.1").await;
    let seen = walk(&server, &trusting(&setup)).await.unwrap();
    assert_eq!(seen.outcome, Ok(()));
    assert_eq!(seen.version.as_deref(), Some("TLSv1_3"));
    assert_eq!(seen.alpn.as_deref(), Some("h2"));
    assert!(!seen.asks_for_client);
    assert_eq!(seen.chain.len(), 1);
    assert_eq!(seen.chain[0].names, ["127.0.0.1"]);
    assert!(seen.chain[0].issuer.contains("CN=one"), "{:?}", seen.chain);
    assert!(seen.chain[0].not_after > 4_000_000_000);
}

#[tokio::test]
async fn what_a_server_shows_is_told_also_when_it_is_not_accepted() {
    let setup = Setup::new();
    let server = setup.server("other.example").await;
    let seen = walk(&server, &trusting(&setup)).await.unwrap();
    assert!(matches!(&seen.outcome, Err(SendError::Tls(why)) if why.contains("other.example")));
    assert_eq!(seen.chain[0].names, ["other.example"]);

    let (certificate, key) = Authority::new("another").issue("127.0.0.1", |params| {
        params.not_after = date_time_ymd(2020, 1, 1);
    });
    let server = super::tls::server((certificate, key), rustls::ALL_VERSIONS).await;
    let seen = walk(&server, &trusting(&setup)).await.unwrap();
    assert!(matches!(seen.outcome, Err(SendError::Tls(_))));
    assert_eq!(seen.chain[0].not_after, 1_577_836_800);
}

#[tokio::test]
async fn a_server_that_wants_a_client_certificate_is_found_out_without_a_request() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let setup = Setup { wants_client: true, versions: vec![version], ..Setup::new() };
        let server = setup.server("127.0.0.1").await;
        let seen = walk(&server, &trusting(&setup)).await.unwrap();
        assert!(seen.asks_for_client);
        assert!(matches!(seen.outcome, Err(SendError::Tls(_))), "{version:?} {seen:?}");

        let identity = setup.write_client(&setup.authority, "sink");
        let tls = TlsSettings { identity: Some(identity), ..setup.trusting() };
        let settings = TransportSettings { tls, ..TransportSettings::default() };
        let seen = walk(&server, &settings).await.unwrap();
        assert!(seen.asks_for_client);
        assert_eq!(seen.outcome, Ok(()), "{version:?}");
    }
}

#[tokio::test]
async fn the_way_leads_through_the_proxy() {
    let setup = Setup::new();
    let server = setup.server("127.0.0.1").await;
    let (proxy, heads) = open_proxy().await;
    let settings = TransportSettings { proxy: Some(through(proxy.address)), ..trusting(&setup) };
    assert_eq!(walk(&server, &settings).await.unwrap().outcome, Ok(()));
    assert_eq!(heads.lock().unwrap().len(), 1);

    let strict = proxy_answering("HTTP/1.1 407 No\r\n\r\n").await;
    let settings = TransportSettings { proxy: Some(through(strict.address)), ..trusting(&setup) };
    assert!(matches!(walk(&server, &settings).await, Err(SendError::Proxy(_))));
}

#[tokio::test]
async fn each_step_says_why_it_fails() {
    let error = resolve("nowhere.invalid", 443).await.unwrap_err().to_string();
    assert!(error.contains("cannot look up nowhere.invalid"), "{error}");
    let nowhere = [([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into()];
    let error = connect(&nowhere, Duration::from_secs(1)).await.unwrap_err().to_string();
    assert!(error.contains("127.0.0.1:1: ") && error.contains("127.0.0.1:2: "), "{error}");
    let settings = TransportSettings::default();
    let plain = route(&"http://[::1]/".parse().unwrap(), &settings).unwrap();
    assert_eq!((plain.first_host(), plain.first_port(), plain.over_tls()), ("::1", 80, false));
    // Files of our own that cannot be used are told from what the server does.
    let broken = TlsSettings { ca_file: Some("/nowhere/ca.pem".into()), ..TlsSettings::default() };
    assert!(tls::client_config(&broken).is_err());
}
