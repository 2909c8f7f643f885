//! Delivery: the Tower stack that carries one export to the endpoint, layer by layer, and the
//! classes into which answers fall.

mod class;
mod error;
mod settings;
mod trail;

pub use class::{Class, Classes};
pub use error::{AttemptError, TokenError};
pub use settings::{
    AuthSettings, BackoffSettings, ClientAuth, DeliverySettings, OAuth2Settings, RateLimitSettings,
    RequestSettings, Secret,
};
pub use trail::{IdempotencyKey, ProfileVersion, Trail};

pub use crate::endpoint::{TlsSettings, TlsVersion};
