use std::net::{Ipv4Addr, SocketAddr};

use secrecy::ExposeSecret;

use super::{Located, Section};
use crate::{config::problem::Problem, delivery::Secret};

/// Where metrics, health, dead letters and the state of sinks are shown.
#[derive(Clone, Debug)]
pub struct ApiPlan {
    /// Where it listens. It is a loopback address unless there is a token.
    pub address: SocketAddr,
    /// What callers have to show.
    pub token: Option<Secret>,
    /// Whether the configuration speaks of it at all; else it is here by default.
    pub written: bool,
}

impl Default for ApiPlan {
    fn default() -> Self {
        Self { address: (Ipv4Addr::LOCALHOST, 8686).into(), token: None, written: false }
    }
}

/// Reads `api`; `None` where it is switched off.
pub(super) fn read(top: &mut Section<'_>) -> Option<ApiPlan> {
    let mut plan = ApiPlan::default();
    let Some(mut section) = top.section("api") else { return Some(plan) };
    plan.written = true;
    let enabled = section.get("enabled").unwrap_or(true);
    let address = section.located::<SocketAddr>("address");
    let has_token = section.has("token");
    let token = section.located::<Secret>("token");
    if let Some(Located { value: Secret::Text(text), place }) = &token
        && !text.expose_secret().bytes().all(|byte| byte.is_ascii_graphic())
    {
        section.findings().error(
            Problem::at(place, "`token` cannot be sent in a header")
                .help("use letters, digits and signs of ASCII only, without blanks"),
        );
    }
    plan.token = token.map(|token| token.value);
    if let Some(Located { value, place }) = address {
        if enabled && !has_token && !value.ip().is_loopback() {
            section.findings().error(
                Problem::at(
                    &place,
                    "the API shows personal data and has no `token`, so it cannot listen beyond \
                     this machine",
                )
                .help("set `api.token`, or write an address such as 127.0.0.1:8686"),
            );
        }
        plan.address = value;
    }
    section.finish();
    enabled.then_some(plan)
}
