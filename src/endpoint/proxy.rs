//! Tunnels through an HTTP proxy (CONNECT, RFC 9110 section 9.3.6).
//!
//! Every server is reached through a tunnel, `http` ones too: what is said to the server and what
//! is said to the proxy never mix, and a proxy's answer cannot be taken for the server's.

use std::{io, path::PathBuf};

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderValue, StatusCode, Uri};
use hyper_util::client::proxy::matcher::Matcher;
use secrecy::ExposeSecret;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{EndpointError, connector::ConnectError};
use crate::secret::Secret;

/// The longest head of a proxy's answer that is read, in bytes.
const HEAD_LIMIT: usize = 8 * 1024;

/// Which proxies stand between us and servers, and who is reached without one.
#[derive(Clone, Debug, Default)]
pub struct ProxySettings {
    /// The proxy on the way to `https` servers.
    pub https: Option<Proxy>,
    /// The proxy on the way to `http` servers.
    pub http: Option<Proxy>,
    /// The hosts that are reached without a proxy: names with all that is below them, addresses,
    /// networks such as `10.0.0.0/8`, or `*` for all.
    pub no_proxy: Vec<String>,
}

/// One HTTP proxy.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// `http://host:port`.
    pub url: Uri,
    /// Who we are to the proxy.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<Secret>,
}

impl ProxySettings {
    /// The proxy on the way to `url`, if it is not reached directly.
    pub fn proxy_of(&self, url: &Uri) -> Option<&Proxy> {
        let proxy =
            if url.scheme_str() == Some("https") { &self.https } else { &self.http }.as_ref()?;
        (!self.is_exception(url)).then_some(proxy)
    }

    /// Whether `no_proxy` names the host of `url`.
    pub fn is_exception(&self, url: &Uri) -> bool {
        // For the matcher a `*` covers names and no addresses.
        if self.no_proxy.iter().any(|entry| entry.trim() == "*") {
            return true;
        }
        // It only serves to match; which proxy it would name makes no difference.
        let matcher = Matcher::builder().all("http://proxy").no(self.no_proxy.join(",")).build();
        matcher.intercept(url).is_none()
    }

    /// The files that these settings name.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let passwords = [&self.https, &self.http].into_iter().flatten().map(|p| &p.password);
        let files = passwords.filter_map(|password| match password {
            Some(Secret::File(file)) => Some(file.clone()),
            _ => None,
        });
        files.collect()
    }
}

impl Proxy {
    /// Host and port.
    pub fn address(&self) -> String {
        let port = self.url.port_u16().unwrap_or(80);
        format!("{}:{port}", self.url.host().unwrap_or_default())
    }

    /// The value of `Proxy-Authorization`, if there is a user. Reads the password.
    fn authorization(&self) -> Result<Option<HeaderValue>, EndpointError> {
        let Some(user) = &self.user else { return Ok(None) };
        let password = match &self.password {
            Some(password) => password.read().map_err(EndpointError::ProxyPassword)?,
            None => String::new().into(),
        };
        let credentials = BASE64_STANDARD.encode(format!("{user}:{}", password.expose_secret()));
        let mut value = HeaderValue::from_str(&format!("Basic {credentials}"))
            .map_err(|error| EndpointError::ProxyPassword(io::Error::other(error)))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

/// The settings with what they refer to.
#[derive(Debug)]
pub(super) struct Proxies {
    settings: ProxySettings,
    https: Option<HeaderValue>,
    http: Option<HeaderValue>,
}

/// The way to one server.
#[derive(Debug)]
pub(super) struct Tunnel {
    pub(super) proxy: Proxy,
    authorization: Option<HeaderValue>,
    /// Host and port of the server.
    target: String,
}

impl Proxies {
    pub(super) fn new(settings: &ProxySettings) -> Result<Self, EndpointError> {
        let authorization = |proxy: &Option<Proxy>| match proxy {
            Some(proxy) => proxy.authorization(),
            None => Ok(None),
        };
        Ok(Self {
            https: authorization(&settings.https)?,
            http: authorization(&settings.http)?,
            settings: settings.clone(),
        })
    }

    /// The tunnel to ask for on the way to `url`; none where it is reached directly.
    pub(super) fn tunnel_to(&self, url: &Uri) -> Option<Tunnel> {
        let proxy = self.settings.proxy_of(url)?.clone();
        let (authorization, port) = match url.scheme_str() {
            Some("https") => (&self.https, 443),
            _ => (&self.http, 80),
        };
        let port = url.port_u16().unwrap_or(port);
        let target = format!("{}:{port}", url.host()?);
        Some(Tunnel { proxy, authorization: authorization.clone(), target })
    }
}

impl Tunnel {
    /// Asks the proxy at the other end of `stream` to connect it to the server.
    pub(super) async fn open(&self, stream: &mut TcpStream) -> Result<(), ConnectError> {
        let lost = |error: io::Error| self.unreachable(error.into());
        stream.write_all(&self.request()).await.map_err(lost)?;
        let head = read_head(stream).await.map_err(lost)?;
        self.judge(&head)
    }

    fn request(&self) -> Vec<u8> {
        let target = &self.target;
        let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n").into_bytes();
        if let Some(authorization) = &self.authorization {
            request.extend_from_slice(b"Proxy-Authorization: ");
            request.extend_from_slice(authorization.as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        request
    }

    /// What the proxy's answer means and what to do about it.
    fn judge(&self, head: &str) -> Result<(), ConnectError> {
        let (proxy, target) = (self.proxy.address(), &self.target);
        let mut words = head.lines().next().unwrap_or_default().splitn(3, ' ');
        let version = words.next().unwrap_or_default();
        let status = words.next().and_then(|code| code.parse::<StatusCode>().ok());
        let Some(status) = status.filter(|_| version.starts_with("HTTP/1.")) else {
            return Err(ConnectError::ProxyRefuses(format!(
                "{proxy} does not answer like an HTTP proxy; check request.proxy.url"
            )));
        };
        if status.is_success() {
            return Ok(());
        }
        // Some proxies say 401 to credentials that are wrong.
        if matches!(status.as_u16(), 401 | 407) {
            return Err(ConnectError::ProxyRefuses(self.wants_credentials(head)));
        }
        if status.is_server_error() {
            return Err(ConnectError::ProxyFails(format!(
                "the proxy {proxy} cannot reach {target}: it answers {status}"
            )));
        }
        Err(ConnectError::ProxyRefuses(format!(
            "the proxy {proxy} answers {status} and does not let us through to {target}; ask who \
             runs it to allow CONNECT to this host and port"
        )))
    }

    fn wants_credentials(&self, head: &str) -> String {
        let proxy = self.proxy.address();
        let schemes: Vec<_> = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .filter(|(name, _)| name.eq_ignore_ascii_case("proxy-authenticate"))
            .filter_map(|(_, value)| value.split_whitespace().next())
            .collect();
        let basic = schemes.iter().any(|scheme| scheme.eq_ignore_ascii_case("basic"));
        match self.authorization {
            _ if !basic && !schemes.is_empty() => format!(
                "the proxy {proxy} wants to be convinced by {}, and only Basic is spoken here; ask \
                 who runs it for a user and a password",
                schemes.join(" or ")
            ),
            None => format!(
                "the proxy {proxy} wants credentials; set request.proxy.user and \
                 request.proxy.password"
            ),
            Some(_) => format!(
                "the proxy {proxy} does not accept the credentials; check request.proxy.user and \
                 request.proxy.password"
            ),
        }
    }

    /// The error of a proxy that cannot be talked to.
    pub(super) fn unreachable(
        &self,
        source: Box<dyn std::error::Error + Send + Sync>,
    ) -> ConnectError {
        ConnectError::ProxyUnreachable { proxy: self.proxy.address(), source }
    }
}

/// Reads the head of an answer and not a byte more: what follows belongs to the server.
async fn read_head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD_LIMIT {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            // Judged by what there is.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && !head.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}
