use std::{io, path::Path};

use secrecy::{ExposeSecret, SecretString};
use tokio::task::spawn_blocking;

use super::AuthError;
use crate::delivery::Secret;

/// The secret as it is now: a file is read each time, without holding up the runtime.
pub async fn read(secret: &Secret) -> Result<SecretString, AuthError> {
    match secret {
        Secret::Text(text) => Ok(text.clone()),
        Secret::File(path) => {
            let of = path.clone();
            let reading = spawn_blocking(move || read_file(&of)).await;
            reading.unwrap_or_else(|_| Err(file_error(path, io::ErrorKind::Interrupted.into())))
        }
    }
}

/// The secret as it is now, read on the spot.
pub(in crate::delivery) fn read_now(secret: &Secret) -> Result<SecretString, AuthError> {
    match secret {
        Secret::Text(text) => Ok(text.clone()),
        Secret::File(path) => read_file(path),
    }
}

fn read_file(path: &Path) -> Result<SecretString, AuthError> {
    let text = crate::secret::read_file(path).map_err(|source| file_error(path, source))?;
    if text.expose_secret().is_empty() {
        return Err(AuthError::EmptySecret(path.to_owned()));
    }
    Ok(text)
}

fn file_error(path: &Path, source: io::Error) -> AuthError {
    AuthError::SecretFile { path: path.to_owned(), source }
}

/// `text` with each occurrence of the secret hidden.
pub(super) fn hide(text: &str, secret: &SecretString) -> String {
    match secret.expose_secret() {
        "" => text.to_owned(),
        secret => text.replace(secret, "[hidden]"),
    }
}
