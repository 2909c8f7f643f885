use profile_http::{
    config::{Env, Plan},
    console::{GateView, SinkStatus},
};

use super::{
    ConfigArgs, Failure,
    api::{Api, CallError},
    failure,
    place::is_same,
    print, sink,
    table::{Table, count, duration},
};

/// Show how the sinks of a running process stand
///
/// Asks the process through its API, so that one that runs on another machine can be asked with
/// --api, too. Totals are those since the process started.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,

    /// Where the API of the process is, if not at `api.address` of the configuration; with -c the
    /// token of the configuration is sent
    #[arg(long, value_name = "URL")]
    api: Option<String>,

    /// One sink only
    #[arg(long, value_name = "NAME")]
    sink: Option<String>,

    /// Print one JSON array with an object for each sink; with --sink, that object
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args, env: &Env) -> Result<(), Failure> {
    // A process that is named by its URL alone needs no configuration.
    let plan = match &args.api {
        Some(_) if !args.config.is_named() => None,
        _ => Some(args.config.load(env)?),
    };
    let api = api(&args, plan.as_ref()).await?;
    let path = match &args.sink {
        Some(sink) => format!("/api/v1/sinks/{sink}"),
        None => "/api/v1/sinks".to_owned(),
    };
    let sinks: Vec<SinkStatus> = match &args.sink {
        Some(_) => api.get(&path).await.map(|sink| vec![sink]),
        None => api.get(&path).await,
    }
    .map_err(|error| explain(&error))?;
    if let Some(plan) = plan.filter(|_| args.api.is_none()) {
        warn_of_another(&plan, &sinks);
    }
    if !args.json {
        return print(&text(&sinks));
    }
    let json = match (&args.sink, &sinks[..]) {
        (Some(_), [sink]) => serde_json::to_string_pretty(sink),
        _ => serde_json::to_string_pretty(&sinks),
    };
    print(&format!("{}\n", json.map_err(Failure::of)?))
}

async fn api(args: &Args, plan: Option<&Plan>) -> Result<Api, Failure> {
    let Some(plan) = plan else {
        return Api::at(args.api.as_deref().unwrap_or_default(), None);
    };
    if let Some(name) = &args.sink {
        sink(plan, Some(name))?;
    }
    let Some(of_plan) = &plan.api else {
        return Err(Failure::of(
            "the API of this configuration is switched off (api.enabled: false), so a running \
             process cannot be asked",
        ));
    };
    let api = Api::of_plan(of_plan).await?;
    match &args.api {
        Some(url) => api.moved(url),
        None => Ok(api),
    }
}

/// Warns where what answers has the sinks of another configuration.
fn warn_of_another(plan: &Plan, sinks: &[SinkStatus]) {
    for shown in sinks {
        let own = plan.sinks.iter().find(|sink| sink.name == shown.sink);
        if !own.is_some_and(|sink| is_same(&shown.store, &plan.store_dir(sink))) {
            failure::print(
                "warning",
                &format!(
                    "sink {} is not the one of this configuration: the process that answers keeps \
                     its store at {}",
                    shown.sink, shown.store
                ),
            );
        }
    }
}

fn explain(error: &CallError) -> Failure {
    let remedy = match error {
        CallError::NoAnswer { .. } => {
            "; either no profile-http runs there, or it was started with another api.address"
        }
        CallError::Refused { status, .. } if status.as_u16() == 401 => {
            "; name the configuration of the process with -c, so that its token is sent"
        }
        _ => "",
    };
    Failure::Other(format!("{error}{remedy}"))
}

fn text(sinks: &[SinkStatus]) -> String {
    let mut table = Table::new(&[
        "SINK",
        "GATE",
        "WAITING",
        "IN FLIGHT",
        "OLDEST",
        "DELIVERED",
        "PER SECOND",
        "DEAD LETTERS",
        "LAST ERROR",
    ]);
    for sink in sinks {
        let error = sink
            .last_error
            .as_ref()
            .map(|error| format!("{} ({} ago)", error.message, duration(error.secs_ago)));
        let counting = if sink.profiles.complete { "" } else { "+" };
        table.line([
            sink.sink.clone(),
            sink.gate.state.clone(),
            format!("{}{counting}", sink.profiles.due.saturating_sub(sink.profiles.in_flight)),
            sink.profiles.in_flight.to_string(),
            sink.oldest_due_secs.map_or("-".to_owned(), duration),
            sink.delivered.to_string(),
            format!("{:.1}", sink.delivered_per_second),
            sink.profiles.dead.to_string(),
            error.unwrap_or("-".to_owned()),
        ]);
    }
    let mut lines = vec![table.text()];
    for sink in sinks {
        lines.extend(gate(&sink.sink, &sink.gate));
        if sink.reconcile_remaining > 0 {
            lines.push(reconcile(sink));
        }
        if sink.invalid_records > 0 {
            let invalid = count(sink.invalid_records, "invalid record is", "invalid records are");
            let sink = &sink.sink;
            lines
                .push(format!("{sink}: {invalid} set aside; see profile-http dead-letters list\n"));
        }
    }
    lines.concat()
}

/// How far the known profiles are judged by a mapping that changed.
fn reconcile(sink: &SinkStatus) -> String {
    let (left, known) = (sink.reconcile_remaining, sink.profiles.known.max(1));
    let done = 100 * known.saturating_sub(left) / known;
    format!("{}: the mapping changed; {done} % of {known} profiles are reconciled\n", sink.sink)
}

/// Why a gate is not open, and until when.
fn gate(sink: &str, gate: &GateView) -> Option<String> {
    let reason = gate.reason.as_deref()?;
    let message = gate.message.as_deref().map_or(String::new(), |text| format!(": {text}"));
    let until = match gate.until_secs {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole seconds"
        )]
        Some(secs) => format!(", next probe in {}", duration(secs.ceil() as u64)),
        None => String::new(),
    };
    Some(format!("{sink}: the gate is {} ({reason}{until}){message}\n", gate.state))
}
