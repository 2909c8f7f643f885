//! Calls to the API of a running process.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use profile_http::{
    config::ApiPlan,
    console::{CHANGE_HEADER, CHANGE_VALUE, Refused},
    delivery::auth::read_secret,
};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::Failure;

/// How long a process may take to tell how it stands.
const READING: Duration = Duration::from_secs(10);

/// How long a process may take to change something; all dead letters are many.
const CHANGING: Duration = Duration::from_mins(10);

/// The longest answer that is read.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// The API at one address.
pub(super) struct Api {
    client: Client<HttpConnector, Full<Bytes>>,
    url: String,
    token: Option<SecretString>,
}

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// Nobody answered.
    #[error("nothing answers at {url} ({reason})")]
    NoAnswer { url: String, reason: String },
    /// The process refuses the call.
    #[error("{error}")]
    Refused { status: StatusCode, error: String },
    /// The answer is none of this API.
    #[error("what answers at {url} is no profile-http ({reason})")]
    Foreign { url: String, reason: String },
}

impl Api {
    /// The API of a process that runs with this plan.
    pub(super) async fn of_plan(plan: &ApiPlan) -> Result<Self, Failure> {
        let token = match &plan.token {
            Some(token) => Some(read_secret(token).await.map_err(Failure::of)?),
            None => None,
        };
        Ok(Self::new(format!("http://{}", reachable(plan.address)), token))
    }

    /// The API at a URL, with the token of the plan if there is one.
    pub(super) fn at(url: &str, token: Option<SecretString>) -> Result<Self, Failure> {
        let uri: http::Uri = url.parse().map_err(|_| not_a_url(url))?;
        if uri.scheme_str() != Some("http") || uri.path() != "/" || uri.query().is_some() {
            return Err(not_a_url(url));
        }
        Ok(Self::new(url.trim_end_matches('/').to_owned(), token))
    }

    /// The same process, reached at another URL.
    pub(super) fn moved(self, url: &str) -> Result<Self, Failure> {
        Self::at(url, self.token)
    }

    fn new(url: String, token: Option<SecretString>) -> Self {
        Self { client: Client::builder(TokioExecutor::new()).build_http(), url, token }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        self.call(Method::GET, path, READING).await
    }

    pub(super) async fn post<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        self.call(Method::POST, path, CHANGING).await
    }

    pub(super) async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        self.call(Method::DELETE, path, CHANGING).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        limit: Duration,
    ) -> Result<T, CallError> {
        let no_answer = |reason: String| CallError::NoAnswer { url: self.url.clone(), reason };
        let foreign = |reason: String| CallError::Foreign { url: self.url.clone(), reason };
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header(CHANGE_HEADER, CHANGE_VALUE);
        if let Some(token) = &self.token {
            let credential = format!("Bearer {}", token.expose_secret());
            request = request.header(header::AUTHORIZATION, credential);
        }
        let request = request.body(Full::default()).map_err(|e| no_answer(e.to_string()))?;
        let answer = async {
            let answer = self.client.request(request).await.map_err(|error| {
                let mut cause: &dyn std::error::Error = &error;
                while let Some(source) = cause.source() {
                    cause = source;
                }
                no_answer(cause.to_string())
            })?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
            Ok((status, body.map_err(|error| foreign(error.to_string()))?.to_bytes()))
        };
        let (status, body) = timeout(limit, answer)
            .await
            .map_err(|_| no_answer(format!("no answer within {} s", limit.as_secs())))??;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| foreign(error.to_string()));
        }
        match serde_json::from_slice::<Refused>(&body) {
            Ok(Refused { error }) => Err(CallError::Refused { status, error }),
            Err(_) => Err(foreign(format!("it answers {status}"))),
        }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        Self::of(error)
    }
}

/// The address to talk to of a process that listens at this one.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip: IpAddr = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn not_a_url(url: &str) -> Failure {
    Failure::Other(format!("--api {url}: write a URL such as http://127.0.0.1:8686"))
}
