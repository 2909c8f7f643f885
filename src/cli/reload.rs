use std::{future::pending, io, path::PathBuf, sync::Arc};

use profile_http::{
    config::{self, ConfigErrors, Env, Plan, Watch},
    telemetry::Metrics,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    task::spawn_blocking,
};

/// Reads a configuration again when it is told to, by SIGHUP or by a change of its files.
pub(super) struct Reloading {
    read: Arc<dyn Fn() -> Result<Plan, ConfigErrors> + Send + Sync>,
    hangup: Signal,
    watch: Option<Watch>,
    metrics: Metrics,
}

impl Reloading {
    /// From now on, SIGHUP does not end the process. `watch` says whether the files are watched.
    pub(super) fn new(
        files: Vec<PathBuf>,
        env: &Env,
        watch: bool,
        metrics: &Metrics,
    ) -> io::Result<Self> {
        let hangup = signal(SignalKind::hangup())?;
        let watch = watch.then(|| Watch::new(files.clone()));
        let env = env.clone();
        let read = Arc::new(move || {
            let mut plan = config::load(&files, &env)?;
            plan.warnings.extend(config::check_files(&plan)?);
            Ok(plan)
        });
        Ok(Self { read, hangup, watch, metrics: metrics.clone() })
    }

    /// Hands on each plan that could run. Of what could not it says why.
    pub(super) async fn hand_on(mut self, plans: mpsc::Sender<Plan>) {
        loop {
            let why = self.told().await;
            tracing::info!("{why}: reading the configuration again");
            if let Some(watch) = &mut self.watch {
                watch.note();
            }
            let read = self.read.clone();
            match spawn_blocking(move || read()).await {
                Ok(Ok(plan)) => {
                    for warning in &plan.warnings {
                        tracing::warn!("{warning}");
                    }
                    if plans.send(plan).await.is_err() {
                        return;
                    }
                }
                Ok(Err(errors)) => {
                    self.metrics.reload_rejected().inc();
                    tracing::error!(
                        "not reloaded, the former configuration stays in use: {errors}"
                    );
                }
                Err(error) => tracing::error!(%error, "cannot read the configuration"),
            }
        }
    }

    async fn told(&mut self) -> &'static str {
        let changed = async {
            match &self.watch {
                Some(watch) => watch.changed().await,
                None => pending().await,
            }
        };
        tokio::select! {
            _ = self.hangup.recv() => "SIGHUP",
            () = changed => "its files have changed",
        }
    }
}
