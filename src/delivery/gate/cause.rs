use std::{fmt, time::Duration};

use http::{
    HeaderMap, Response, StatusCode, Uri,
    header::{ALLOW, HeaderName, LOCATION},
};

use crate::delivery::{AttemptError, TokenError};

/// Why the gate is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// An answer of this status says that the endpoint as a whole cannot take anything.
    Endpoint(StatusCode),
    /// No TLS connection can be made.
    Tls,
    /// The proxy does not let us through.
    Proxy,
    /// The token endpoint refuses the client.
    Token,
    /// A secret cannot be read.
    Secret,
    /// Attempts failed in a row.
    Failing,
    /// The endpoint asked us to wait.
    RetryAfter,
    /// The endpoint refuses every profile.
    RefusesEverything,
    /// It was closed by hand.
    Paused,
}

impl Reason {
    /// The name, as status and metrics show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Endpoint(_) => "endpoint",
            Self::Tls => "tls",
            Self::Proxy => "proxy",
            Self::Token => "token",
            Self::Secret => "secret",
            Self::Failing => "failing",
            Self::RetryAfter => "retry_after",
            Self::RefusesEverything => "refuses_everything",
            Self::Paused => "paused",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A reason and what an operator should know and do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cause {
    pub(super) reason: Reason,
    pub(super) message: String,
}

impl Cause {
    /// The cause that a result of class *endpoint* gives.
    pub(super) fn of_endpoint<B>(result: &Result<Response<B>, AttemptError>) -> Self {
        match result {
            Ok(answer) => Self {
                reason: Reason::Endpoint(answer.status()),
                message: advice(answer.status(), answer.headers()),
            },
            Err(error @ AttemptError::Tls(_)) => {
                Self { reason: Reason::Tls, message: error.to_string() }
            }
            Err(error @ AttemptError::Proxy(_)) => {
                Self { reason: Reason::Proxy, message: error.to_string() }
            }
            Err(AttemptError::Token(error @ TokenError::Refused(_))) => {
                Self { reason: Reason::Token, message: error.to_string() }
            }
            Err(error @ AttemptError::Secret(_)) => {
                Self { reason: Reason::Secret, message: error.to_string() }
            }
            Err(error @ AttemptError::Results { status, .. }) => {
                Self { reason: Reason::Endpoint(*status), message: error.to_string() }
            }
            Err(error) => Self { reason: Reason::Failing, message: error.to_string() },
        }
    }

    /// The cause that a row of failures gives, of which `result` was the last.
    pub(super) fn of_row<B>(row: u32, result: &Result<Response<B>, AttemptError>) -> Self {
        let last = outcome(result);
        let message = if row > 1 {
            format!("{row} attempts in a row failed, the last one: {last}")
        } else {
            last
        };
        Self { reason: Reason::Failing, message }
    }

    /// The cause that `Retry-After` gives.
    pub(super) fn of_retry_after<B>(
        wait: Duration,
        result: &Result<Response<B>, AttemptError>,
    ) -> Self {
        let message =
            format!("{} and asks to wait {}s", outcome(result), wait.as_secs_f64().ceil());
        Self { reason: Reason::RetryAfter, message }
    }

    /// The cause that a probe gives whose profile was refused.
    pub(super) fn of_refused_probe<B>(result: &Result<Response<B>, AttemptError>) -> Self {
        let message = format!("{} to a probe; another profile will be tried", outcome(result));
        Self { reason: Reason::RefusesEverything, message }
    }
}

/// What came of an attempt, in a few words.
fn outcome<B>(result: &Result<Response<B>, AttemptError>) -> String {
    match result {
        Ok(answer) => format!("the endpoint answers {}", answer.status()),
        Err(error) => error.to_string(),
    }
}

/// What an operator can do about an answer of class *endpoint*.
fn advice(status: StatusCode, headers: &HeaderMap) -> String {
    let advice = match status.as_u16() {
        300..=399 => {
            let place = headers.get(LOCATION).map_or_else(String::new, |location| {
                format!(" to {}", location.to_str().map_or_else(|_| "?".to_owned(), place))
            });
            return format!(
                "the endpoint answers {status}, a redirect{place}; redirects are not followed, so \
                 that data and credentials go only where the configuration says: set \
                 http_endpoint to the final URL"
            );
        }
        401 => "it does not accept the credentials; check auth",
        402 => "it wants to be paid; ask its owner about the account",
        403 => {
            "it knows the credentials but does not allow this; ask its owner for the permission \
             to write (scopes, allowed addresses)"
        }
        404 => "it has nothing at this path; check http_endpoint",
        405 => {
            return format!(
                "the endpoint answers {status}{}; check method and http_endpoint",
                header(headers, &ALLOW).map_or_else(String::new, |m| format!(" (it allows {m})"))
            );
        }
        407 => "a proxy on the way wants credentials; ask who runs the network",
        410 => "what was at this path is gone for good; ask its owner for the new http_endpoint",
        501 => "it does not know the method; check method",
        _ => "request.classes says that this concerns the endpoint as a whole",
    };
    format!("the endpoint answers {status}: {advice}")
}

/// Where a redirect leads, without query and fragment, which may hold secrets.
fn place(location: &str) -> String {
    let end = location.find(['?', '#']).unwrap_or(location.len());
    let location = &location[..end];
    // Nor user and password.
    let without_user = location.parse::<Uri>().ok().and_then(|uri| {
        let authority = uri.authority()?.as_str();
        let (user, host) = authority.rsplit_once('@')?;
        Some(location.replacen(&format!("{user}@{host}"), host, 1))
    });
    without_user.unwrap_or_else(|| location.to_owned()).chars().take(200).collect()
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(status: u16, headers: &[(HeaderName, &str)]) -> String {
        let mut answer = Response::new(());
        *answer.status_mut() = StatusCode::from_u16(status).unwrap();
        for (name, value) in headers {
            answer.headers_mut().insert(name, value.parse().unwrap());
        }
        Cause::of_endpoint(&Ok(answer)).message
    }

    #[test]
    fn the_message_names_the_status_and_what_to_do() {
        for (status, what) in [
            (401, "check auth"),
            (402, "account"),
            (403, "permission"),
            (404, "check http_endpoint"),
            (405, "check method"),
            (407, "proxy"),
            (410, "new http_endpoint"),
            (501, "check method"),
            (418, "request.classes"),
        ] {
            let message = message(status, &[]);
            assert!(message.contains(&status.to_string()), "{message}");
            assert!(message.contains(what), "{message}");
        }
    }

    #[test]
    fn a_redirect_is_shown_with_its_place_but_without_what_may_be_secret() {
        let message =
            message(308, &[(LOCATION, "https://me:secret@api.example/v2/profiles?token=x#y")]);
        assert!(message.contains(" to https://api.example/v2/profiles;"), "{message}");
        assert!(!message.contains("secret") && !message.contains("token"), "{message}");
    }

    #[test]
    fn the_methods_that_the_endpoint_allows_are_shown() {
        assert!(message(405, &[(ALLOW, "PUT, PATCH")]).contains("it allows PUT, PATCH"));
    }

    #[test]
    fn a_refused_client_is_told_from_other_trouble() {
        let message = "invalid_client; check client_secret".to_owned();
        let error = AttemptError::Token(TokenError::Refused(message));
        let cause = Cause::of_endpoint::<()>(&Err(error));
        assert_eq!(cause.reason, Reason::Token);
        assert!(cause.message.contains("invalid_client"), "{}", cause.message);
        assert!(cause.message.contains("client_secret"), "{}", cause.message);
        let cause = Cause::of_endpoint::<()>(&Err(AttemptError::Tls("expired".to_owned())));
        assert_eq!(cause.reason, Reason::Tls);
    }
}
