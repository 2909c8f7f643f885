//! What it means that a token request led to no token, and what to do about it.

use http::StatusCode;
use oauth2::{RequestTokenError, basic::BasicRequestTokenError};

use super::{
    ClientAuth, GrantType, OAuth2Settings,
    grant::{Failure, TokenEndpoint},
    proof::Proof,
};
use crate::delivery::{AttemptError, TokenError};

/// The longest part of `error_description` that is shown.
const DESCRIPTION_CHARS: usize = 300;

impl TokenEndpoint {
    /// What it means that no answer came.
    pub(super) fn not_sent(&self, error: AttemptError) -> Failure {
        let again = matches!(
            error,
            AttemptError::Connect(_) | AttemptError::Unprocessed(_) | AttemptError::Interrupted(_)
        );
        let error = match error {
            // A certificate does not mend itself.
            AttemptError::Tls(why) => {
                AttemptError::Tls(format!("token endpoint {}: {why}", self.shown))
            }
            AttemptError::Proxy(why) => {
                AttemptError::Proxy(format!("token endpoint {}: {why}", self.shown))
            }
            error => self.unavailable(&error.to_string()),
        };
        Failure { error, again }
    }

    /// What an answer without a token means and what to do about it.
    pub(super) fn explain(
        &self,
        error: BasicRequestTokenError<Failure>,
        status: Option<StatusCode>,
        proof: &Proof,
    ) -> Failure {
        let error = match (error, status) {
            (RequestTokenError::Request(failure), _) => return failure,
            (RequestTokenError::ServerResponse(answer), _) => {
                let code = answer.error().as_ref();
                let said = match answer.error_description() {
                    Some(text) => format!("{code} ({})", presentable(text, proof)),
                    None => presentable(code, proof),
                };
                match remedy(code, &self.settings) {
                    Some(remedy) => self.refused(&format!("it says {said}; {remedy}")),
                    None => self.unavailable(&format!("it says {said}")),
                }
            }
            // The details of the other errors may quote the token.
            (_, Some(code)) => {
                let remedy = match code.as_u16() {
                    401 | 403 => check_client(&self.settings.client_auth),
                    _ => "check auth_endpoint",
                };
                self.refused(&format!("it answered {code} without a token; {remedy}"))
            }
            (error, None) => self.refused(&error.to_string()),
        };
        Failure { error, again: false }
    }

    pub(super) fn refused(&self, why: &str) -> AttemptError {
        TokenError::Refused(format!("{}: {why}", self.shown)).into()
    }

    pub(super) fn unavailable(&self, why: &str) -> AttemptError {
        TokenError::Unavailable(format!("{}: {why}", self.shown)).into()
    }
}

/// What the operator does about an error code (RFC 6749 section 5.2, RFC 8707 section 2); none if
/// the endpoint says that it is its own trouble.
fn remedy(code: &str, settings: &OAuth2Settings) -> Option<&'static str> {
    let password = matches!(settings.grant, GrantType::Password { .. });
    match code {
        "invalid_client" => Some(check_client(&settings.client_auth)),
        "unauthorized_client" | "unsupported_grant_type" if password => {
            Some("allow this client the grant password")
        }
        "unauthorized_client" | "unsupported_grant_type" => {
            Some("allow this client the grant client_credentials")
        }
        "invalid_grant" if password => Some("check username and password"),
        "invalid_scope" => Some("check scopes"),
        "invalid_target" => Some("check audience or resource in extra_params"),
        "temporarily_unavailable" | "server_error" | "slow_down" => None,
        _ => Some("check client_id, scopes and extra_params"),
    }
}

fn check_client(client_auth: &ClientAuth) -> &'static str {
    match client_auth {
        ClientAuth::Body { .. } => "check client_id, client_secret and client_auth",
        ClientAuth::Basic { .. } => "check client_id, client_secret, client_auth and encode_basic",
        ClientAuth::PrivateKeyJwt(_) => {
            "check client_id, private_key_file, key_id, algorithm, assertion_audience and this \
             machine's clock"
        }
    }
}

/// Text of the endpoint that is fit for one line: short, without control characters, and without
/// the secrets, should the endpoint echo them.
fn presentable(text: &str, proof: &Proof) -> String {
    let text = proof.hide(text);
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(DESCRIPTION_CHARS).collect()
}
