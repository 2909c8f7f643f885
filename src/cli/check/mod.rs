//! Connects to what a sink delivers to, step by step, and says which step fails and what to do.

mod connect; // names, connections, TLS
mod sample; // a record that any mapping can read
mod send; // one export through the whole stack
mod step; // what is said of a step

use std::{ffi::OsString, path::Path};

use http::Uri;
use profile_http::{
    clock::Clock,
    config::{Env, Plan, SinkPlan},
    delivery::{AuthSettings, OAuth2Settings, ProxySettings, auth::TokenSource, token_transport},
    endpoint::TransportSettings,
    telemetry::Component,
};

use self::step::{Checked, Step};
use super::{ConfigArgs, Failure, print, sink, warn};

/// Check that a sink's endpoint can be reached
///
/// Resolves names, connects, shakes hands and gets a token, as the sink would. Sends nothing,
/// unless told to by --send. May run beside a live process.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,

    /// The sink; all of them when left out
    #[arg(long, value_name = "NAME")]
    sink: Option<String>,

    /// Send a profile too: made up, with the id `profile-http-check`, or the record of a file
    #[arg(
        long,
        value_name = "FILE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = ""
    )]
    send: Option<OsString>,

    /// Print one JSON array with an object for each sink
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args, env: &Env) -> Result<(), Failure> {
    let plan = args.config.load(env)?;
    warn(&plan.warnings);
    let sinks = match &args.sink {
        Some(name) => vec![sink(&plan, Some(name))?],
        None => plan.sinks.iter().collect(),
    };
    let mut all = Vec::new();
    for sink in sinks {
        let mut checking = Checking::begin(sink, args.json)?;
        let reached = checking.reach().await?;
        if let (true, Some(file)) = (reached, &args.send) {
            checking.of = "endpoint";
            let step = match record(sink, Path::new(file)) {
                Ok(record) => send::send(sink, &record).await,
                Err(reason) => Step::failed("send", reason),
            };
            checking.note(step)?;
        }
        all.push(Checked { sink: sink.name.clone(), steps: checking.steps });
    }
    if args.json {
        let array = serde_json::to_string_pretty(&all).map_err(Failure::of)?;
        print(&format!("{array}\n"))?;
    }
    let failed: Vec<_> = all.iter().filter(|checked| checked.failed()).collect();
    match failed[..] {
        [] => Ok(()),
        [only] => Err(Failure::Other(format!("the check of sink {} failed", only.sink))),
        _ => Err(Failure::Other(format!("the checks of {} sinks failed", failed.len()))),
    }
}

/// Fails unless the endpoint of every sink can be reached and grants a token.
pub(super) async fn require_healthy(plan: &Plan) -> Result<(), Failure> {
    for sink in &plan.sinks {
        let mut checking = Checking::begin(sink, true)?;
        checking.reach().await?;
        if let Some(step) = checking.steps.into_iter().find(|step| !step.ok) {
            let (name, Step { of, name: step, detail, .. }) = (&sink.name, step);
            return Err(Failure::Other(format!(
                "--require-healthy: sink {name} is not healthy: step {step} of the {of}: {detail}"
            )));
        }
    }
    Ok(())
}

/// The check of one sink.
struct Checking<'a> {
    sink: &'a SinkPlan,
    json: bool,
    /// What the steps are about.
    of: &'static str,
    steps: Vec<Step>,
}

impl<'a> Checking<'a> {
    fn begin(sink: &'a SinkPlan, json: bool) -> Result<Self, Failure> {
        if !json {
            print(&format!("sink {}\n", sink.name))?;
        }
        Ok(Self { sink, json, of: "endpoint", steps: Vec::new() })
    }

    /// Adds a step and shows it at once; returns whether it succeeded.
    fn note(&mut self, mut step: Step) -> Result<bool, Failure> {
        step.of = self.of;
        if !self.json {
            print(&step.line())?;
        }
        let ok = step.ok;
        self.steps.push(step);
        Ok(ok)
    }

    /// Everything up to the first export; returns whether all of it succeeded.
    async fn reach(&mut self) -> Result<bool, Failure> {
        let delivery = &self.sink.delivery;
        // A template keeps the host literal.
        let url = delivery.endpoint.origin();
        self.heading("endpoint", &delivery.endpoint.without_query())?;
        let reached = self.connect(url, &delivery.transport()).await?;
        let AuthSettings::OAuth2(oauth2) = &delivery.auth else { return Ok(reached) };
        let proxy = delivery.request.proxy.as_ref();
        let url = oauth2.auth_endpoint.to_string();
        self.heading("token endpoint", url.split('?').next().unwrap_or_default())?;
        let connected = self.connect(&oauth2.auth_endpoint, &oauth2.transport(proxy)).await?;
        Ok(connected && self.note(token(oauth2, proxy).await)? && reached)
    }

    async fn connect(&mut self, url: &Uri, settings: &TransportSettings) -> Result<bool, Failure> {
        let mut ok = true;
        for step in connect::steps(url, settings).await {
            ok &= self.note(step)?;
        }
        Ok(ok)
    }

    fn heading(&mut self, of: &'static str, url: &str) -> Result<(), Failure> {
        self.of = of;
        if self.json { Ok(()) } else { print(&format!("  {of} {url}\n")) }
    }
}

/// Gets a token, as the sink would.
async fn token(settings: &OAuth2Settings, proxy: Option<&ProxySettings>) -> Step {
    let got = async {
        let transport = token_transport(settings, proxy).map_err(|error| error.to_string())?;
        let (clock, metrics) = (Clock::system(), Component::detached());
        let source = TokenSource::new(settings.clone(), transport, clock, metrics)
            .map_err(|error| error.to_string())?;
        source.token().await.map_err(|error| error.to_string())
    };
    match got.await {
        Ok(_) => Step::ok("token", format!("granted to client {}", settings.client_id)),
        Err(reason) => Step::failed("token", reason),
    }
}

/// The record of a file; made up where none is named.
fn record(sink: &SinkPlan, file: &Path) -> Result<Vec<u8>, String> {
    if file.as_os_str().is_empty() {
        return Ok(sample::record(sink.mapping.spec()).to_string().into_bytes());
    }
    std::fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))
}
