//! Authentication of requests: a layer that writes `Authorization` and, when the endpoint answers
//! 401, tries once more with a newer credential, if there is one.
//!
//! Basic and bearer credentials come from the configuration or from a file that is read again when
//! it changes. OAuth2 tokens come from a [`TokenSource`], which all requests of a sink share; the
//! token endpoint is asked with a secret or with a JWT signed by a private key.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response, header::AUTHORIZATION};
//! use profile_http::delivery::{AttemptError, AuthSettings, Secret, auth::AuthLayer};
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let settings = AuthSettings::Bearer { token: Secret::Text("s3cret".into()) };
//! let transport = service_fn(async |request: Request<Bytes>| {
//!     assert_eq!(request.headers()[AUTHORIZATION], "Bearer s3cret");
//!     Ok::<_, AttemptError>(Response::new(Bytes::new()))
//! });
//! let service = AuthLayer::new(&settings, None)?.layer(transport);
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! service.oneshot(Request::new(Bytes::new())).await?;
//! # Ok(()) })
//! # }
//! ```

mod answer;
mod assertion;
mod credentials;
mod error;
mod fixed;
mod grant;
mod key;
mod layer;
mod proof;
mod refusal;
pub(super) mod secret;
mod service;
mod settings;
mod token;

#[cfg(test)]
mod tests;

pub use credentials::Credential;
pub use error::AuthError;
pub use grant::TokenTransport;
pub use key::check_key;
pub use layer::AuthLayer;
pub use secret::read as read_secret;
pub use service::Auth;
pub use settings::{AssertionSettings, ClientAuth, GrantType, JwtAlgorithm, OAuth2Settings};
pub use token::TokenSource;
