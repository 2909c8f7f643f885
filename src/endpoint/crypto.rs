//! The cryptography that TLS uses, for what is signed beside it.

#[cfg(feature = "tls-aws-lc")]
pub(crate) use aws_lc_rs::{hmac, signature};
#[cfg(all(feature = "tls-ring", not(feature = "tls-aws-lc")))]
pub(crate) use ring::{hmac, signature};
