use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use pkcs8::der::{Decode, Reader, SliceReader, asn1::UintRef};
use secrecy::SecretString;
use serde::Serialize;
use tokio::task::spawn_blocking;

use super::{AssertionSettings, AuthError, JwtAlgorithm, key};
use crate::clock::{Clock, Micros};

/// What `client_assertion_type` says of such a JWT (RFC 7523 section 2.2).
pub(super) const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

#[derive(Serialize)]
struct Header<'a> {
    alg: &'a str,
    typ: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
}

/// RFC 7523 section 3.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    iat: u64,
    exp: u64,
    jti: String,
}

/// A JWT that says that this client asks, and is good for one token request.
pub(super) async fn sign(
    settings: &AssertionSettings,
    client_id: &str,
    clock: &Clock,
) -> Result<SecretString, AuthError> {
    let (settings, client_id, now) = (settings.clone(), client_id.to_owned(), clock.now());
    // Reading the key blocks, and an RSA signature takes a millisecond.
    let signing = spawn_blocking(move || assertion(&settings, &client_id, now)).await;
    signing.unwrap_or(Err(AuthError::Unsigned))
}

fn assertion(
    settings: &AssertionSettings,
    client_id: &str,
    now: Micros,
) -> Result<SecretString, AuthError> {
    let signer = key::read(&settings.key_file, settings.algorithm)?;
    let issued = Duration::from_micros(now).as_secs();
    let header =
        Header { alg: settings.algorithm.name(), typ: "JWT", kid: settings.key_id.as_deref() };
    let claims = Claims {
        iss: client_id,
        sub: client_id,
        aud: &settings.audience,
        iat: issued,
        exp: issued + settings.lifetime.as_secs(),
        jti: unique()?,
    };
    let message = format!("{}.{}", part(&header), part(&claims));
    let signature = signer.sign(message.as_bytes()).map_err(|_| AuthError::Unsigned)?;
    let signature = match settings.algorithm {
        JwtAlgorithm::Es256 => fixed(&signature).ok_or(AuthError::Unsigned)?.to_vec(),
        JwtAlgorithm::Rs256 | JwtAlgorithm::Ps256 => signature,
    };
    Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)).into())
}

/// A number that nobody has seen, by which a server knows an assertion that is sent twice.
fn unique() -> Result<String, AuthError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| AuthError::Unsigned)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn part(of: &impl Serialize) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(of).expect("text and numbers are always JSON"))
}

/// An ECDSA signature on P-256 as JWTs write it, two numbers of 32 bytes (RFC 7518 section 3.4),
/// from the DER that TLS writes (RFC 3279 section 2.2.3).
fn fixed(der: &[u8]) -> Option<[u8; 64]> {
    let mut reader = SliceReader::new(der).ok()?;
    let numbers = |reader: &mut _| Ok((UintRef::decode(reader)?, UintRef::decode(reader)?));
    let (r, s) = reader.sequence(|inner| numbers(inner)).ok()?;
    let mut fixed = [0; 64];
    for (number, end) in [(r.as_bytes(), 32), (s.as_bytes(), 64)] {
        let start = end - Some(number.len()).filter(|len| *len <= 32)?;
        fixed[start..end].copy_from_slice(number);
    }
    Some(fixed)
}
