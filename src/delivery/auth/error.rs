use std::{io, path::PathBuf};

use super::JwtAlgorithm;

/// Why requests cannot be authenticated as configured.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The file of a secret cannot be read.
    #[error(
        "cannot read the secret file {path}: {source}; \
         check that it exists and that this process may read it",
        path = path.display()
    )]
    SecretFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file of a secret holds nothing.
    #[error("the secret file {} is empty; write the secret into it", .0.display())]
    EmptySecret(PathBuf),
    /// A secret holds what a header cannot carry, such as a line break.
    #[error("the {0} holds a character that no header can carry; check it for line breaks")]
    Unprintable(&'static str),
    /// The user of basic authentication holds a colon (RFC 7617 section 2).
    #[error("the user of basic authentication holds a colon, which separates it from the password")]
    ColonInUser,
    /// The private key cannot be used.
    #[error("{what}; {}", .algorithm.remedy())]
    PrivateKey {
        /// What is wrong.
        what: String,
        /// What it is to sign by.
        algorithm: JwtAlgorithm,
    },
    /// No signature came about although the key is sound.
    #[error("cannot sign the client's assertion; this machine may be out of random numbers")]
    Unsigned,
    /// The token endpoint is not a URL.
    #[error("auth_endpoint is not a URL: {0}")]
    TokenUrl(#[from] oauth2::url::ParseError),
    /// OAuth2 is configured but the layer was given no source of tokens.
    #[error("OAuth2 needs a source of tokens")]
    NoTokenSource,
}
