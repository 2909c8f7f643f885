//! What a sender and this source prove to each other before records are taken: HELO, PING, PONG
//! of the forward protocol v1.
//!
//! | message | holds |
//! |---|---|
//! | HELO, ours | a nonce, and a salt for passwords where there are users |
//! | PING | hostname, salt, sha512(salt, hostname, nonce, shared key), user, sha512(password salt, user, password) |
//! | PONG, ours | whether the sender is let in, why not, our name, sha512(salt, our name, nonce, shared key) |

#[cfg(feature = "tls-aws-lc")]
use aws_lc_rs::digest;
#[cfg(all(feature = "tls-ring", not(feature = "tls-aws-lc")))]
use ring::digest;
use secrecy::{ExposeSecret, SecretString};
use tokio::{task::spawn_blocking, time::timeout};

use super::{Inbox, Security, Trouble, User, frame::text};
use crate::{
    secret::{Secret, same},
    source::msgpack::{Head, Reader},
};

/// How long a sender may take to answer HELO.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// The longest answer to HELO: from somebody who is not let in yet.
const MAX_PING: usize = 16 * 1024;

/// What we call ourselves. Fluentd turns away a peer that has its own name.
const NAME: &[u8] = b"profile-http";

const SALT: usize = 16;

/// Lets the sender in or says why not; `false` where it left before it answered.
pub(super) async fn admit(inbox: &mut Inbox, security: &Security) -> Result<bool, Trouble> {
    let (nonce, salt) = (random()?, random()?);
    let with_users = !security.users.is_empty();
    inbox.send(&helo(&nonce, if with_users { &salt } else { b"" })).await?;
    let answer = match timeout(PATIENCE, inbox.messages(1, MAX_PING)).await {
        Ok(Ok(Some(answer))) => answer,
        Ok(Ok(None)) => return Ok(false),
        // Whoever sends records at once may well send many.
        Ok(Err(Trouble::TooLong(_))) => return Err(Trouble::Denied(NO_PING)),
        Ok(Err(trouble)) => return Err(trouble),
        Err(_) => return Err(Trouble::Stalled(PATIENCE.as_secs())),
    };
    let Ok(Some(ping)) = Ping::parse(&answer) else { return Err(Trouble::Denied(NO_PING)) };
    let shared_key = read(&security.shared_key).await?;
    let password = match security.users.iter().find(|user| user.name.as_bytes() == ping.user) {
        Some(User { password, .. }) => Some(read(password).await?),
        None => None,
    };
    let key = shared_key.expose_secret().as_bytes();
    let knows_key = same(ping.digest, &sha512(&[ping.salt, ping.hostname, &nonce, key]));
    // An unknown user takes as long as a wrong password.
    let secret = password.as_ref().map_or("", |password| password.expose_secret());
    let digest = sha512(&[&salt, ping.user, secret.as_bytes()]);
    let knows_password = same(ping.password_digest, &digest) && password.is_some();
    if !knows_key {
        inbox.send(&pong(Err("shared_key mismatch"))).await?;
        return Err(Trouble::Denied(
            "the sender has another shared key; give both sides the same `shared_key`",
        ));
    }
    if with_users && !knows_password {
        inbox.send(&pong(Err("username/password mismatch"))).await?;
        return Err(Trouble::Denied(
            "the sender has no user name and password of `users`; add them there or correct them \
             in the sender",
        ));
    }
    inbox.send(&pong(Ok(&sha512(&[ping.salt, NAME, &nonce, key])))).await?;
    Ok(true)
}

const NO_PING: &str = "the sender does not authenticate; give it the `shared_key` of this source \
                       (Fluent Bit: Shared_Key and Self_Hostname; Fluentd: <security>)";

/// What a sender proves itself with.
struct Ping<'a> {
    hostname: &'a [u8],
    salt: &'a [u8],
    digest: &'a [u8],
    user: &'a [u8],
    password_digest: &'a [u8],
}

impl<'a> Ping<'a> {
    fn parse(message: &'a [u8]) -> Result<Option<Self>, Trouble> {
        let mut reader = Reader::new(message);
        if reader.head()? != Head::Array(6) || text(&mut reader)? != Some(b"PING") {
            return Ok(None);
        }
        let mut next = || text(&mut reader).map(Option::unwrap_or_default);
        Ok(Some(Self {
            hostname: next()?,
            salt: next()?,
            digest: next()?,
            user: next()?,
            password_digest: next()?,
        }))
    }
}

/// Whether an answer to HELO can be read.
#[cfg(any(test, fuzzing))]
pub(in crate::source) fn is_ping(message: &[u8]) -> bool {
    matches!(Ping::parse(message), Ok(Some(_)))
}

fn helo(nonce: &[u8], salt: &[u8]) -> Vec<u8> {
    let mut helo = b"\x92\xa4HELO\x83\xa5nonce".to_vec();
    push_bytes(&mut helo, 0xc4, nonce);
    helo.extend_from_slice(b"\xa4auth");
    // Fluentd sends an empty text where it knows no users.
    push_bytes(&mut helo, if salt.is_empty() { 0xd9 } else { 0xc4 }, salt);
    helo.extend_from_slice(b"\xa9keepalive\xc3");
    helo
}

fn pong(outcome: Result<&[u8], &str>) -> Vec<u8> {
    let mut pong = b"\x95\xa4PONG".to_vec();
    let (reason, name, digest) = match outcome {
        Ok(digest) => {
            pong.push(0xc3);
            (&b""[..], NAME, digest)
        }
        Err(reason) => {
            pong.push(0xc2);
            (reason.as_bytes(), &b""[..], &b""[..])
        }
    };
    for text in [reason, name, digest] {
        push_bytes(&mut pong, 0xd9, text);
    }
    pong
}

/// Appends at most 255 bytes after a marker whose length takes one byte.
fn push_bytes(out: &mut Vec<u8>, marker: u8, bytes: &[u8]) {
    let length = u8::try_from(bytes.len()).expect("nothing that is sent is longer than a digest");
    out.extend_from_slice(&[marker, length]);
    out.extend_from_slice(bytes);
}

/// The digest of the parts one after the other, as lower-case hexadecimal.
pub(super) fn sha512(parts: &[&[u8]]) -> Vec<u8> {
    let mut context = digest::Context::new(&digest::SHA512);
    for part in parts {
        context.update(part);
    }
    let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
    context.finish().as_ref().iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn random() -> Result<[u8; SALT], Trouble> {
    let mut bytes = [0; SALT];
    getrandom::fill(&mut bytes)
        .map_err(|error| Trouble::Secret(format!("no random numbers: {error}")))?;
    Ok(bytes)
}

/// The secret as it is now. An empty one lets nobody in.
async fn read(secret: &Secret) -> Result<SecretString, Trouble> {
    let named = secret.clone();
    let read = match secret {
        Secret::Text(text) => Ok(text.clone()),
        Secret::File(_) => spawn_blocking(move || named.read())
            .await
            .unwrap_or_else(|_| Err(std::io::ErrorKind::Interrupted.into())),
    };
    match read {
        Ok(text) if text.expose_secret().is_empty() => {
            Err(Trouble::Secret("its file is empty".to_owned()))
        }
        Ok(text) => Ok(text),
        Err(error) => Err(Trouble::Secret(match secret {
            Secret::File(path) => format!("{}: {error}", path.display()),
            Secret::Text(_) => error.to_string(),
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_the_parts_in_a_row() {
        let expected = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                        2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
        assert_eq!(sha512(&[b"a", b"", b"bc"]), expected.as_bytes());
    }
}
