use std::{fmt::Write, path::PathBuf};

use profile_http::{
    config::{self, ConfigErrors, Env, Plan, Problem, SinkPlan, SourceKind},
    delivery::{AuthSettings, GrantType},
    profile::Attributes,
};

use super::{ConfigArgs, Failure, print, warn};

/// Check a configuration without running it
///
/// Binds no port and locks no store, so it may run beside a live process.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,

    /// The same as -c FILE
    #[arg(value_name = "FILE")]
    more: Vec<PathBuf>,

    /// Do not look at files that the configuration names, the data directory or host names
    #[arg(long)]
    no_environment: bool,

    /// Treat warnings as errors
    #[arg(long)]
    deny_warnings: bool,
}

pub(super) fn run(mut args: Args, env: &Env) -> Result<(), Failure> {
    args.config.files.append(&mut args.more);
    let plan = args.config.load(env)?;
    let accept = |warnings: &[Problem]| {
        if args.deny_warnings && !warnings.is_empty() {
            return Err(ConfigErrors::from(warnings.to_vec()));
        }
        warn(warnings);
        Ok(())
    };
    accept(&plan.warnings)?;
    if !args.no_environment {
        accept(&config::check_files(&plan)?)?;
        config::check_hosts(&plan)?;
    }
    print(&summary(&plan))
}

fn summary(plan: &Plan) -> String {
    let mut text = String::new();
    for source in &plan.sources {
        let from = match source.kind.listen() {
            None => "standard input".to_owned(),
            Some(listen) => {
                let protocol = match source.kind {
                    SourceKind::Fluent { .. } => "forward protocol",
                    SourceKind::Vector { .. } => "Vector's protocol",
                    SourceKind::OpenTelemetry { .. } => "OTLP over HTTP",
                    SourceKind::HttpServer { .. } | SourceKind::Stdin { .. } => "HTTP",
                };
                let over = if listen.tls.is_some() { " over TLS" } else { "" };
                format!("{protocol}{over} at {}", listen.address)
            }
        };
        line(&mut text, &format!("source {}: {from}", source.name));
    }
    if let Some(api) = &plan.api {
        line(&mut text, &format!("API: http://{}", api.address));
    }
    for sink in &plan.sinks {
        describe(&mut text, sink);
    }
    line(&mut text, "The configuration is valid.");
    text
}

fn describe(text: &mut String, sink: &SinkPlan) {
    let delivery = &sink.delivery;
    let auth = match &delivery.auth {
        AuthSettings::None if delivery.signing.is_some() => "with signatures",
        AuthSettings::None => "without authentication",
        AuthSettings::Basic { .. } => "with basic authentication",
        AuthSettings::Bearer { .. } => "with a bearer token",
        AuthSettings::OAuth2(oauth2) => match oauth2.grant {
            GrantType::ClientCredentials => "with OAuth2 client credentials",
            GrantType::Password { .. } => "with OAuth2 and a user's password",
        },
    };
    let endpoint = delivery.endpoint.without_query();
    let mapping = sink.mapping.spec();
    let keys: Vec<_> = mapping.key.iter().map(ToString::to_string).collect();
    let attributes = match &mapping.attributes {
        Attributes::All => "all attributes".to_owned(),
        Attributes::Listed(paths) => count(paths.len(), "attribute"),
    };
    line(text, &format!("sink {}, from {}", sink.name, sink.inputs.join(", ")));
    line(text, &format!("  {} {endpoint} {auth}", delivery.method));
    if let Some(proxy) =
        delivery.request.proxy.as_ref().and_then(|p| p.proxy_of(delivery.endpoint.origin()))
    {
        line(text, &format!("  through the proxy {}", proxy.address()));
    }
    line(text, &format!("  key {}", keys.join(", else ")));
    line(text, &format!("  maps {attributes} and {}", count(mapping.segments.len(), "segment")));
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn line(text: &mut String, line: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{line}");
}
