use std::{future::Future, io, time::Duration};

use profile_http::{
    config,
    config::Env,
    run::{Ended, Limits, run as run_plan},
    telemetry::Metrics,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};
use tokio_util::task::AbortOnDropHandle;

use super::{ConfigArgs, Failure, check, reload::Reloading, warn};

/// Run the sources and sinks of a configuration
///
/// Ctrl-C or SIGTERM ends it: nothing more is taken, what is in flight ends, and what still waits
/// stays in the store. A second signal ends it at once. When every source has ended, it goes on
/// until nothing is due.
///
/// SIGHUP has it read its configuration again and take into use what has changed there; a
/// configuration that cannot be used is reported, and the former one stays in use.
#[derive(clap::Args)]
#[command(mut_arg("files", |files| files.num_args(1..)))]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,

    /// Read the configuration again when its files change, too, not only on SIGHUP
    #[arg(short, long)]
    watch_config: bool,

    /// Do not start unless the endpoint of every sink can be reached and grants a token (see
    /// `check`)
    #[arg(long)]
    require_healthy: bool,

    /// How long what is in flight may take after a signal, and in a sink that changes
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    shutdown_limit_secs: u64,

    /// How long what is due may take after every source has ended; no limit without it
    #[arg(long, value_name = "SECONDS")]
    drain_limit_secs: Option<u64>,
}

pub(super) async fn run(args: Args, env: &Env) -> Result<(), Failure> {
    let metrics = Metrics::default();
    // First of all, since a SIGHUP that nobody expects ends the process.
    let reloading = Reloading::new(args.config.files(env)?, env, args.watch_config, &metrics)
        .map_err(|error| Failure::other("cannot wait for signals", &error))?;
    let plan = args.config.load(env)?;
    warn(&config::check_files(&plan)?);
    warn(&plan.warnings);
    if args.require_healthy {
        check::require_healthy(&plan).await?;
    }
    let stop = stop_signal().map_err(|error| Failure::other("cannot wait for signals", &error))?;
    let limits = Limits {
        shutdown: Duration::from_secs(args.shutdown_limit_secs),
        drain: args.drain_limit_secs.map(Duration::from_secs),
    };
    let (sender, plans) = mpsc::channel(1);
    let _reloading = AbortOnDropHandle::new(tokio::spawn(reloading.hand_on(sender)));
    let ended = run_plan(plan, limits, &metrics, stop, plans).await;
    match ended.map_err(Failure::of)? {
        Ended::Drained => tracing::info!("nothing is due any more"),
        Ended::Stopped { waiting: 0 } => tracing::info!("stopped; nothing waits for delivery"),
        Ended::Stopped { waiting } => {
            tracing::info!(waiting, "stopped; profiles wait in the store for the next run");
        }
        Ended::DrainLimit { waiting } => {
            let (profiles, stay) = if waiting == 1 {
                ("profile was", "it stays")
            } else {
                ("profiles were", "they stay")
            };
            return Err(Failure::Other(format!(
                "{waiting} {profiles} not delivered within --drain-limit-secs; {stay} in the \
                 store for the next run"
            )));
        }
    }
    Ok(())
}

/// Resolves with the first SIGTERM or SIGINT. A second one ends the process.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        let mut next = async move || {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        next().await;
        tokio::spawn(async move {
            next().await;
            tracing::warn!("ended by a second signal; what was in flight is sent again");
            std::process::exit(1);
        });
    })
}
