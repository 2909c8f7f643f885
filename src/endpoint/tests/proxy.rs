use std::sync::Mutex;

use tokio::io::copy_bidirectional;

use super::*;
use crate::{
    endpoint::{Proxy, ProxySettings},
    secret::Secret,
};

/// What was asked of a proxy.
pub(super) type Heads = Arc<Mutex<Vec<String>>>;

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// A proxy that lets everyone through, and what it was asked.
pub(super) async fn open_proxy() -> (Server, Heads) {
    let heads = Heads::default();
    let seen = heads.clone();
    let server = Server::start(move |mut stream, _| {
        let seen = seen.clone();
        async move {
            let head = read_head(&mut stream).await;
            let target = head.split(' ').nth(1).unwrap().to_owned();
            seen.lock().unwrap().push(head);
            let mut server = TcpStream::connect(target).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
            let _ = copy_bidirectional(&mut stream, &mut server).await;
        }
    })
    .await;
    (server, heads)
}

/// A proxy that gives this answer to everyone.
pub(super) async fn proxy_answering(answer: &'static str) -> Server {
    Server::start(move |mut stream, _| async move {
        read_head(&mut stream).await;
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await
}

async fn endpoint() -> Server {
    Server::start(|mut stream, _| async move {
        while read_request(&mut stream).await.is_some() {
            stream.write_all(OK).await.unwrap();
        }
    })
    .await
}

pub(super) fn through(proxy: SocketAddr) -> ProxySettings {
    let url = format!("http://{proxy}").parse().unwrap();
    let proxy = Proxy { url, user: None, password: None };
    ProxySettings { https: Some(proxy.clone()), http: Some(proxy), no_proxy: Vec::new() }
}

fn as_user(settings: ProxySettings) -> ProxySettings {
    let http = settings.http.map(|proxy| Proxy {
        user: Some("me".into()),
        password: Some(Secret::Text("p:w".into())),
        ..proxy
    });
    ProxySettings { http, ..settings }
}

fn transport(proxy: ProxySettings) -> Transport {
    let settings = TransportSettings { proxy: Some(proxy), ..TransportSettings::default() };
    Transport::new(settings).unwrap()
}

async fn ask(proxy: ProxySettings, server: SocketAddr) -> Result<Response<Bytes>, SendError> {
    transport(proxy).oneshot(request(&format!("http://{server}/"))).await
}

#[tokio::test]
async fn a_tunnel_through_the_proxy_is_used_for_all_requests() {
    let (proxy, heads) = open_proxy().await;
    let server = endpoint().await;
    let transport = transport(through(proxy.address));
    for _ in 0..3 {
        let request = request(&format!("http://{}/", server.address));
        assert_eq!(transport.clone().oneshot(request).await.unwrap().body(), "ok");
    }
    let head = format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\n", server.address);
    assert_eq!(*heads.lock().unwrap(), [head]);
}

#[tokio::test]
async fn credentials_go_to_the_proxy_and_no_further() {
    let (proxy, heads) = open_proxy().await;
    let seen = Heads::default();
    let requests = seen.clone();
    let server = Server::start(move |mut stream, _| {
        let requests = requests.clone();
        async move {
            let text = read_request(&mut stream).await.unwrap();
            requests.lock().unwrap().push(text);
            stream.write_all(OK).await.unwrap();
        }
    })
    .await;
    ask(as_user(through(proxy.address)), server.address).await.unwrap();
    let head = heads.lock().unwrap()[0].clone();
    // `me:p:w` in Base64.
    assert!(head.contains("\r\nProxy-Authorization: Basic bWU6cDp3\r\n"), "{head}");
    let request = seen.lock().unwrap()[0].to_lowercase();
    assert!(!request.contains("proxy-"), "{request}");
}

#[tokio::test]
async fn credentials_are_not_shown() {
    let settings = as_user(through(([127, 0, 0, 1], 1).into()));
    let shown = format!("{settings:?} {:?}", transport(settings.clone()));
    assert!(!shown.contains("p:w") && !shown.contains("bWU6cDp3"), "{shown}");
}

#[tokio::test]
async fn a_host_in_no_proxy_is_reached_directly() {
    let server = endpoint().await;
    let nowhere = through(([127, 0, 0, 1], 1).into());
    for exception in ["127.0.0.1", "127.0.0.0/8", "*"] {
        let settings = ProxySettings { no_proxy: vec![exception.into()], ..nowhere.clone() };
        assert_eq!(ask(settings, server.address).await.unwrap().status(), 200);
    }
    let settings = ProxySettings { no_proxy: vec!["10.0.0.0/8".into()], ..nowhere };
    assert!(ask(settings, server.address).await.is_err());
}

/// What is said of a proxy that gives this answer.
async fn refusal(answer: &'static str, user: bool) -> SendError {
    let proxy = proxy_answering(answer).await;
    let settings = through(proxy.address);
    let settings = if user { as_user(settings) } else { settings };
    let error = ask(settings, ([127, 0, 0, 1], 9).into()).await.unwrap_err();
    assert!(error.to_string().contains(&proxy.address.to_string()), "{error}");
    assert!(!error.to_string().contains("p:w"), "{error}");
    error
}

#[tokio::test]
async fn a_proxy_that_does_not_accept_the_credentials_is_told_from_one_that_wants_some() {
    const BASIC: &str = "HTTP/1.0 407 Proxy Authentication Required\r\n\
                         Proxy-Authenticate: Basic realm=\"office\"\r\n\r\n";
    let SendError::Proxy(wanting) = refusal(BASIC, false).await else { panic!() };
    assert!(wanting.contains("set request.proxy.user"), "{wanting}");
    let SendError::Proxy(refusing) = refusal(BASIC, true).await else { panic!() };
    assert!(refusing.contains("check request.proxy.user"), "{refusing}");
    let other =
        "HTTP/1.1 407 No\r\nproxy-authenticate: Negotiate\r\nproxy-authenticate: NTLM\r\n\r\n";
    let SendError::Proxy(other) = refusal(other, true).await else { panic!() };
    assert!(other.contains("Negotiate or NTLM"), "{other}");
}

#[tokio::test]
async fn a_proxy_that_forbids_the_way_is_no_fault_that_passes() {
    let SendError::Proxy(error) = refusal("HTTP/1.1 403 Filtered\r\n\r\n", false).await else {
        panic!()
    };
    assert!(error.contains("403") && error.contains("127.0.0.1:9"), "{error}");
    for garbage in ["220 mail.example ESMTP\r\n\r\n", "HTTP/1.1 2000 Odd\r\n\r\n", "x"] {
        let SendError::Proxy(error) = refusal(garbage, false).await else { panic!() };
        assert!(error.contains("check request.proxy.url"), "{error}");
    }
}

#[tokio::test]
async fn a_proxy_that_cannot_reach_the_server_may_succeed_later() {
    for answer in ["HTTP/1.1 502 Bad Gateway\r\n\r\n", "HTTP/1.1 503 Busy\r\n\r\n", ""] {
        let error = refusal(answer, false).await;
        assert!(matches!(error, SendError::Connect(_)), "{error:?}");
    }
    let nowhere = through(([127, 0, 0, 1], 1).into());
    let SendError::Connect(error) = ask(nowhere, ([127, 0, 0, 1], 9).into()).await.unwrap_err()
    else {
        panic!()
    };
    assert!(error.contains("cannot reach the proxy 127.0.0.1:1") && error.contains("refused"));
}

#[tokio::test]
async fn a_proxy_that_says_nothing_is_not_waited_for() {
    let proxy =
        Server::start(|mut stream, _| async move { while stream.read_u8().await.is_ok() {} }).await;
    let settings = TransportSettings {
        proxy: Some(through(proxy.address)),
        connect_timeout: Duration::from_millis(50),
        ..TransportSettings::default()
    };
    let request = request("http://127.0.0.1:9/");
    let error = Transport::new(settings).unwrap().oneshot(request).await.unwrap_err();
    // Nothing was sent, so the outcome is known.
    assert!(matches!(&error, SendError::Connect(why) if why.contains("timed out")), "{error:?}");
}
