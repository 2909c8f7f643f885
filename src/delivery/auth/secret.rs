use std::{fs, io, path::Path};

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
    let bytes = fs::read(path).map_err(|source| file_error(path, source))?;
    // The decoding error would carry the bytes of the secret.
    let not_text = |_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text");
    let mut text =
        String::from_utf8(bytes).map_err(not_text).map_err(|source| file_error(path, source))?;
    text.truncate(without_line_end(&text).len());
    if text.is_empty() {
        return Err(AuthError::EmptySecret(path.to_owned()));
    }
    Ok(text.into())
}

/// Editors and `echo` end a file with a line end, which is not part of the secret.
fn without_line_end(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
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
