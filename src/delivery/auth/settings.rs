use std::{fmt, path::PathBuf, time::Duration};

use http::Uri;

use crate::{
    delivery::Secret,
    endpoint::{ProxySettings, TlsSettings, TransportSettings},
};

/// How tokens are got from an OAuth2 token endpoint.
#[derive(Clone, Debug)]
pub struct OAuth2Settings {
    /// The token endpoint.
    pub auth_endpoint: Uri,
    /// What a token is granted for.
    pub grant: GrantType,
    /// The client id.
    pub client_id: String,
    /// How the client proves itself.
    pub client_auth: ClientAuth,
    /// The scopes asked for.
    pub scopes: Vec<String>,
    /// Parameters added to the token request, such as `audience`.
    pub extra_params: Vec<(String, String)>,
    /// How long a token lasts whose answer does not say so.
    pub token_lifetime: Duration,
    /// How long before its expiry a token is renewed, half of its lifetime at most.
    pub refresh_before: Duration,
    /// Time for one token to be got, repeated requests included.
    pub timeout: Duration,
    /// TLS towards the token endpoint.
    pub tls: TlsSettings,
}

/// What a token is granted for.
#[derive(Clone, Debug)]
pub enum GrantType {
    /// The client itself (RFC 6749 section 4.4).
    ClientCredentials,
    /// A user's name and password (RFC 6749 section 4.3).
    Password {
        /// The name.
        username: String,
        /// The password.
        password: Secret,
    },
}

impl OAuth2Settings {
    /// How the token endpoint is connected to, by the proxies of the sink.
    pub fn transport(&self, proxy: Option<&ProxySettings>) -> TransportSettings {
        TransportSettings {
            tls: self.tls.clone(),
            proxy: proxy.cloned(),
            connect_timeout: self.timeout,
            max_idle: 1,
            ..TransportSettings::default()
        }
    }
}

impl GrantType {
    /// The name, as configuration and token requests write it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ClientCredentials => "client_credentials",
            Self::Password { .. } => "password",
        }
    }
}

/// How an OAuth2 client proves itself to the token endpoint.
#[derive(Clone, Debug)]
pub enum ClientAuth {
    /// `client_id` and `client_secret` in the form body.
    Body {
        /// The client secret.
        secret: Secret,
    },
    /// `Authorization: Basic`.
    Basic {
        /// The client secret.
        secret: Secret,
        /// Whether id and secret are form-encoded first, as RFC 6749 section 2.3.1 demands. There
        /// are servers that take both as they are.
        encode: bool,
    },
    /// A JWT signed with the client's key (RFC 7523 section 2.2).
    PrivateKeyJwt(AssertionSettings),
}

/// The JWT with which a client proves itself.
#[derive(Clone, Debug)]
pub struct AssertionSettings {
    /// The private key in PEM form: PKCS#8, PKCS#1 or SEC1. Read for each token request, so that
    /// it may be replaced while the process runs.
    pub key_file: PathBuf,
    /// By what name the token endpoint knows the key (`kid`).
    pub key_id: Option<String>,
    /// The algorithm of the signature.
    pub algorithm: JwtAlgorithm,
    /// For whom it is made (`aud`).
    pub audience: String,
    /// How long it is good.
    pub lifetime: Duration,
}

/// An algorithm that JWTs are signed by (RFC 7518 section 3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JwtAlgorithm {
    /// RSA with PKCS#1 v1.5 padding and SHA-256.
    #[default]
    Rs256,
    /// ECDSA on the curve P-256 with SHA-256.
    Es256,
    /// RSA with PSS padding and SHA-256.
    Ps256,
}

impl JwtAlgorithm {
    /// The name, as configuration and JWTs write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::Ps256 => "PS256",
        }
    }

    /// What kind of key file it needs, as a remedy.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Rs256 | Self::Ps256 => {
                "name a PEM file with an RSA key of 2048 to 8192 bits, not encrypted, in \
                 `private_key_file`"
            }
            Self::Es256 => {
                "name a PEM file with an EC key on the curve P-256, not encrypted, in \
                 `private_key_file`"
            }
        }
    }
}

impl fmt::Display for JwtAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
