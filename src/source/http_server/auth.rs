use std::{io, sync::Arc};

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::{HeaderMap, header};
use secrecy::{ExposeSecret, SecretString};
use tokio::task::spawn_blocking;

use crate::secret::{Kept, Secret, same};

/// Base64 as it comes, with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How senders prove who they are.
#[derive(Clone, Debug)]
pub enum SenderAuth {
    /// User and password (RFC 7617).
    Basic {
        /// The name, without a colon.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A token (RFC 6750).
    Bearer {
        /// The token.
        token: Secret,
    },
}

/// Lets senders in that know the secret.
#[derive(Debug)]
pub(super) struct Guard {
    auth: SenderAuth,
    secret: Kept<SecretString>,
}

/// The secret cannot be read, and never could be.
#[derive(Debug, thiserror::Error)]
#[error("the secret that senders must know cannot be read: {0}")]
pub(super) struct NoSecret(#[from] io::Error);

impl SenderAuth {
    /// What `WWW-Authenticate` says is asked for.
    pub(super) fn challenge(&self) -> &'static str {
        match self {
            Self::Basic { .. } => "Basic realm=\"profile-http\", charset=\"UTF-8\"",
            Self::Bearer { .. } => "Bearer realm=\"profile-http\"",
        }
    }

    fn secret(&self) -> &Secret {
        match self {
            Self::Basic { password, .. } => password,
            Self::Bearer { token } => token,
        }
    }

    /// Whether the credentials of a request are the right ones.
    fn accepts(&self, headers: &HeaderMap, secret: &SecretString) -> bool {
        let secret = secret.expose_secret().as_bytes();
        let given = headers.get(header::AUTHORIZATION).map_or(&[][..], |value| value.as_bytes());
        let (scheme, given) = match given.iter().position(|byte| *byte == b' ') {
            Some(space) => (&given[..space], given[space..].trim_ascii()),
            None => return false,
        };
        match self {
            Self::Basic { user, .. } if scheme.eq_ignore_ascii_case(b"basic") => {
                let expected = [user.as_bytes(), b":", secret].concat();
                BASE64.decode(given).is_ok_and(|given| same(&given, &expected))
            }
            Self::Bearer { .. } if scheme.eq_ignore_ascii_case(b"bearer") => same(given, secret),
            _ => false,
        }
    }
}

impl Guard {
    pub(super) fn new(auth: SenderAuth) -> Self {
        let secret = Kept::new(auth.secret().is_file());
        Self { auth, secret }
    }

    /// What is asked for.
    pub(super) fn challenge(&self) -> &'static str {
        self.auth.challenge()
    }

    /// Whether a request comes from a sender that knows the secret.
    pub(super) async fn admits(&self, headers: &HeaderMap) -> Result<bool, NoSecret> {
        let secret = self.secret().await?;
        Ok(self.auth.accepts(headers, &secret))
    }

    /// The secret. A file that was last read a while ago is read again; one that cannot be read,
    /// perhaps because it is being replaced, leaves the secret as it was.
    async fn secret(&self) -> Result<Arc<SecretString>, io::Error> {
        if let Some(known) = self.secret.at_hand() {
            return Ok(known);
        }
        let secret = self.auth.secret().clone();
        let read = spawn_blocking(move || match secret.read() {
            Ok(text) if text.expose_secret().is_empty() => {
                Err(io::Error::new(io::ErrorKind::InvalidData, "it is empty"))
            }
            read => read,
        });
        let read = read.await.unwrap_or_else(|_| Err(io::ErrorKind::Interrupted.into()));
        self.secret.renew(read, |error| {
            tracing::warn!("the secret of senders cannot be read: {error}; it stays as it was");
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::RECHECK;

    fn headers(authorization: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, authorization.parse().unwrap())])
    }

    fn text(secret: &str) -> Secret {
        Secret::Text(secret.into())
    }

    #[test]
    fn only_the_right_credentials_are_accepted() {
        let basic = SenderAuth::Basic { user: "ada".to_owned(), password: text("l:ove") };
        let bearer = SenderAuth::Bearer { token: text("t0ken") };
        let accepts = |auth: &SenderAuth, authorization, secret: &str| {
            auth.accepts(&headers(authorization), &secret.into())
        };
        // ada:l:ove, with and without padding.
        assert!(accepts(&basic, "Basic YWRhOmw6b3Zl", "l:ove"));
        assert!(accepts(&basic, "basic  YWRhOmw6b3ZlcnM=", "l:overs"));
        assert!(accepts(&basic, "basic YWRhOmw6b3ZlcnM", "l:overs"));
        assert!(accepts(&bearer, "bearer t0ken", "t0ken"));
        for wrong in ["Basic YWRhOmxvdmU=", "Basic !", "Basic ", "Bearer l:ove", "YWRhOmw6b3Zl", ""]
        {
            assert!(!accepts(&basic, wrong, "l:ove"), "{wrong}");
        }
        for wrong in ["Bearer t0keN", "Bearer t0ken2", "Bearer", "Basic t0ken"] {
            assert!(!accepts(&bearer, wrong, "t0ken"), "{wrong}");
        }
        assert!(!bearer.accepts(&HeaderMap::new(), &"t0ken".into()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_secret_is_replaced_while_the_source_runs() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        let guard = Guard::new(SenderAuth::Bearer { token: Secret::File(file.clone()) });
        let admits = async |token: &str| guard.admits(&headers(&format!("Bearer {token}"))).await;
        assert!(admits("one").await.is_err(), "nobody knows yet who may send");

        std::fs::write(&file, "one\n").unwrap();
        assert!(admits("one").await.unwrap());
        std::fs::write(&file, "two\n").unwrap();
        tokio::time::advance(RECHECK).await;
        assert!(admits("two").await.unwrap());
        assert!(!admits("one").await.unwrap());

        std::fs::remove_file(&file).unwrap();
        tokio::time::advance(RECHECK).await;
        assert!(admits("two").await.unwrap(), "a file that is missing leaves the secret as it was");
    }
}
