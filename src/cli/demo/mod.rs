//! The whole thing on one machine: an endpoint with a token endpoint, a sink with a store, and a
//! stream of sample profiles that is posted to its HTTP source.

mod feed;
mod progress;
mod site;
mod summary;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    pin::pin,
    time::Duration,
};

use profile_http::{
    config::{self, Env},
    local_endpoint::{Behaviour, Client, LocalEndpoint, Settings},
    record::Ack,
    run::{Limits, run as run_plan},
    sample::{self, Samples},
    telemetry::Metrics,
};
use serde_json::Value;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use self::{
    feed::Feed,
    progress::Progress,
    site::{CLIENT_ID, SINK, Site},
    summary::Summary,
};
use super::{Failure, print};

/// How long what still waits may take to be delivered when the stream has ended.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked whether it has been.
const LOOK: Duration = Duration::from_millis(20);

/// Show the whole thing on one machine, with nothing else
///
/// Starts a third-party endpoint that demands OAuth2, a sink that delivers to it, and a stream of
/// updates of sample profiles, most of which change nothing that the endpoint wants to know. Ends
/// with a summary; fails if a profile was lost or overtaken.
#[derive(clap::Args)]
pub(super) struct Args {
    /// How long updates are sent
    #[arg(long, default_value_t = 10)]
    seconds: u64,

    /// Updates a second
    #[arg(long, default_value_t = 10_000, value_name = "UPDATES")]
    rate: u32,

    /// How many profiles there are
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    profiles: u32,

    /// The share of requests that the endpoint fails: 429, 503, resets of the connection
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    fail_rate: f64,

    /// Print the summary as one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let behaviour = Behaviour::failing(args.fail_rate);
    behaviour.check().map_err(Failure::Other)?;
    let site = Site::new().map_err(|e| Failure::other("cannot make a directory to work in", &e))?;
    let endpoint = LocalEndpoint::start(Settings {
        client: Some(Client {
            id: CLIENT_ID.to_owned(),
            secret: site.secret().to_owned(),
            token_lifetime: Duration::from_mins(5),
        }),
        namespace: Some(sample::NAMESPACE.to_owned()),
        behaviour,
        ..Settings::default()
    })
    .await
    .map_err(Failure::of)?;
    let source = free_address().map_err(|e| Failure::other("cannot find a free port", &e))?;
    let written = site.configure(source, &endpoint);
    let file = written.map_err(|e| Failure::other("cannot write a configuration", &e))?;
    let plan = config::load(&[file], &Env::default())?;

    let metrics = Metrics::default();
    let sink = metrics.component(SINK, "sink", "profile_http");
    let limits = Limits { shutdown: Duration::from_secs(5), drain: None };
    let stop = CancellationToken::new();
    let (_plans, no_plans) = mpsc::channel(1);
    let stopped = stop.clone().cancelled_owned();
    let mut running = pin!(run_plan(plan, limits, &metrics, stopped, no_plans));

    let began = Instant::now();
    let mut progress = Progress::new();
    let mut feed = Feed::new(source, Samples::new(1, args.profiles));
    let work = async {
        let show = |acknowledged: &Ack| progress.show(acknowledged, &sink, &endpoint.report());
        feed.run(args.rate, Duration::from_secs(args.seconds), show).await?;
        Ok(lost(&feed.samples, &endpoint).await)
    };
    let lost = tokio::select! {
        ended = &mut running => {
            ended.map_err(Failure::of)?;
            return Err(Failure::Other("the sink ended before the demo".to_owned()));
        }
        lost = work => lost.map_err(Failure::Other)?,
    };
    let took = began.elapsed();
    stop.cancel();
    running.await.map_err(Failure::of)?;
    progress.end();

    let summary = Summary::new(&feed.acknowledged, &sink, endpoint.report(), lost, took);
    print(&if args.json { summary.to_json() } else { summary.to_text() })?;
    summary.verdict().map_err(Failure::Other)
}

/// Waits until the endpoint has every profile as it stands, and counts those it does not get.
async fn lost(samples: &Samples, endpoint: &LocalEndpoint) -> u64 {
    let deadline = Instant::now() + PATIENCE;
    let mut lost = 0;
    for profile in 0..samples.profiles() {
        while !is_delivered(profile, samples, endpoint) {
            if Instant::now() >= deadline {
                lost += 1;
                break;
            }
            sleep(LOOK).await;
        }
    }
    lost
}

/// Whether the endpoint has what it should have of a profile.
fn is_delivered(profile: u32, samples: &Samples, endpoint: &LocalEndpoint) -> bool {
    let Some(current) = samples.current(profile).filter(|_| Samples::is_followed(profile)) else {
        return true;
    };
    let Some(received) = endpoint.received(sample::NAMESPACE, &Samples::id(profile)) else {
        return false;
    };
    let relevant = |json: &[u8]| {
        serde_json::from_slice(json).ok().map(|record: Value| sample::relevant_part(&record))
    };
    relevant(&received.body) == relevant(&current)
}

/// An address on which nobody listens.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}
