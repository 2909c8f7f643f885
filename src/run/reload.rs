//! Takes another plan into use while the run goes on.
//!
//! Whatever can fail is done first, so that a plan is taken as a whole or not at all. Then what
//! differs is exchanged: its sources end after they have answered their senders, its dispatchers
//! after what is in flight has ended. Only when a sink is at rest its records are held back, for as
//! long as its store is closed and opened again under the new mapping. So one delivery is under way
//! for each profile at any time, and what was acknowledged is on disk at any time. What has not
//! changed is not touched.

use std::{collections::HashMap, future::Future, pin::Pin, time::Duration};

use tokio::time::{Instant, sleep_until, timeout};

use super::{
    ANSWERING, Run, RunError, api,
    changes::{Changes, NeedsRestart},
    group,
    sinks::{Prepared, Running},
    sources::{self, Bound, Source},
};
use crate::{
    config::{Plan, SourcePlan},
    delivery::Gate,
    dispatch::Phase,
    listen::Listener,
    store::embedded::EmbeddedStore,
};

/// How long the senders of a source that changes may take to end what they have begun to send.
const CHANGING: Duration = Duration::from_secs(5);

/// What became of a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reloaded {
    /// The new plan is in use.
    Done,
    /// The former plan stays in use; why has been said.
    Refused,
    /// The run was told to stop meanwhile.
    Stopped,
}

/// Why a plan is not taken into use.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("{0}; that needs a restart")]
    Restart(#[from] NeedsRestart),
    #[error(transparent)]
    Unable(#[from] RunError),
}

/// Everything of a new plan that might not be to be had.
struct Ready {
    sources: Vec<Bound>,
    sinks: Vec<Prepared>,
    /// The stores of added sinks.
    stores: HashMap<String, EmbeddedStore>,
    /// The address of the API, if it is a new one.
    api: Option<Listener>,
}

impl Run<'_> {
    /// Takes `new` into use. What is in flight in sinks that change may take `limit`. An error means
    /// that the run cannot go on.
    pub(super) async fn reload(
        &mut self,
        new: Plan,
        limit: Duration,
        stop: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<Reloaded, RunError> {
        let prepare = async {
            let changes = Changes::between(&self.plan, &new)?;
            let ready = self.prepare(&new, &changes).await;
            let ready = ready.inspect_err(|_| self.hide_added(&changes))?;
            Ok::<_, Refusal>((changes, ready))
        };
        let (changes, ready) = match prepare.await {
            Ok(prepared) => prepared,
            Err(refusal) => {
                self.metrics.reload_rejected().inc();
                tracing::error!("not reloaded, the former configuration stays in use: {refusal}");
                return Ok(Reloaded::Refused);
            }
        };
        let (ending, staying) = std::mem::take(&mut self.sinks.running)
            .into_iter()
            .partition(|sink: &Running| changes.sinks.ends(sink.name()));
        self.sinks.running = staying;
        let ending = match self.come_to_rest(ending, &changes, limit, stop).await? {
            Ok(ending) => ending,
            Err(stopped) => {
                self.sinks.running.extend(stopped);
                for store in ready.stores.into_values() {
                    // Nothing was done with it.
                    let _ = store.stop().await;
                }
                return Ok(Reloaded::Stopped);
            }
        };
        self.exchange(new, ready, ending).await?;
        self.metrics.reloaded().inc();
        tracing::info!("reloaded: {changes}");
        Ok(Reloaded::Done)
    }

    /// Binds, opens and sets up what the new plan needs besides what there is.
    async fn prepare(&self, new: &Plan, changes: &Changes) -> Result<Ready, RunError> {
        let mut sources = Vec::new();
        for plan in new.sources.iter().filter(|plan| changes.sources.starts(&plan.name)) {
            sources.push(Bound::new(plan, self.spare(plan, changes), self.metrics).await?);
        }
        let api = match &new.api {
            Some(plan) if !self.sinks.api.as_ref().is_some_and(|api| api.listens_at(plan)) => {
                Some(api::bind(plan).await?)
            }
            _ => None,
        };
        let starting = new.sinks.iter().filter(|sink| changes.sinks.starts(&sink.name));
        let prepare = |sink| Prepared::new(new, sink, self.metrics, &self.clock);
        let sinks = starting.map(prepare).collect::<Result<Vec<_>, _>>();
        // Those that are prepared do not count yet.
        for sink in self.sinks.running.iter().filter(|sink| changes.sinks.ends(sink.name())) {
            sink.show();
        }
        let sinks = sinks?;
        let mut stores = HashMap::new();
        for sink in sinks.iter().filter(|sink| changes.sinks.is_added(sink.name())) {
            stores.insert(sink.name().to_owned(), sink.open()?);
        }
        Ok(Ready { sources, sinks, stores, api })
    }

    /// Shows nothing among the metrics of sinks that were prepared and will not be added.
    fn hide_added(&self, changes: &Changes) {
        for name in &changes.sinks.added {
            let metrics = self.metrics.component(name, "sink", "profile_http");
            // Whatever gate was made shows what any new one does.
            Gate::new(Duration::ZERO, metrics.clone()).retire();
            metrics.retire();
        }
    }

    /// What holds the address of a source already: one that ends.
    fn spare(&self, plan: &SourcePlan, changes: &Changes) -> Option<Listener> {
        let address = plan.kind.listen()?.address;
        let holds = |source: &&Source| {
            // With port 0 each has a port of its own.
            let same_port = address.port() != 0 || source.name == plan.name;
            changes.sources.ends(&source.name) && source.address == Some(address) && same_port
        };
        self.sources.iter().find(holds)?.spare()
    }

    /// Ends what has changed or goes: sources answer their senders, and what is in flight ends.
    /// Gives the sinks back, on the left side if the run was told to stop meanwhile.
    async fn come_to_rest(
        &mut self,
        mut ending: Vec<Running>,
        changes: &Changes,
        limit: Duration,
        stop: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<Result<Vec<Running>, Vec<Running>>, RunError> {
        for sink in &ending {
            sink.order(Phase::Stop);
        }
        let (mut leaving, staying) = std::mem::take(&mut self.sources)
            .into_iter()
            .partition::<Vec<_>, _>(|source| changes.sources.ends(&source.name));
        self.sources = staying;
        leaving.iter_mut().for_each(Source::stop_for_another);
        let deadline = Instant::now() + limit;
        let rest = async {
            let answered = timeout(CHANGING, sources::ended(&mut leaving));
            let (sources, sinks) = tokio::join!(answered, group::ended(&mut ending));
            for sink in &ending {
                sink.rewritten().await;
            }
            sources.unwrap_or(Ok(())).and(sinks)
        };
        let stopped = tokio::select! {
            rested = rest => rested.map(|()| false),
            () = sleep_until(deadline) => Ok(false),
            error = group::broken(&mut self.sinks.running) => Err(error),
            () = stop => Ok(true),
        };
        if !matches!(stopped, Ok(false)) {
            // They end with the others.
            self.sources.append(&mut leaving);
        }
        Ok(if stopped? { Err(ending) } else { Ok(ending) })
    }

    /// Exchanges what has come to rest.
    async fn exchange(
        &mut self,
        new: Plan,
        ready: Ready,
        ending: Vec<Running>,
    ) -> Result<(), RunError> {
        let Ready { sources, sinks, mut stores, api } = ready;
        let mut former: HashMap<_, _> =
            ending.into_iter().map(|sink| (sink.name().to_owned(), sink)).collect();
        for sink in sinks {
            let running = match (former.remove(sink.name()), stores.remove(sink.name())) {
                (Some(former), _) => sink.succeed(former).await?,
                (None, Some(store)) => sink.start(store),
                // Each that is added has its store.
                (None, None) => continue,
            };
            self.sinks.running.push(running);
        }
        let place = |name: &str| new.sinks.iter().position(|sink| sink.name == name);
        self.sinks.running.sort_by_key(|sink| place(sink.name()));
        for source in &self.sources {
            source.router.lead_to(self.sinks.doors_of(&source.name));
        }
        self.show(&new, api).await?;
        for source in sources {
            let router = self.sinks.intake_of(source.name());
            self.sources.push(source.start(router, &self.clock)?);
        }
        // Last, since it takes long if the store's files have to be rewritten.
        for removed in former.into_values() {
            removed.remove().await?;
        }
        self.plan = new;
        Ok(())
    }

    /// Has the API show the sinks that there are now, where the new plan says.
    async fn show(&mut self, new: &Plan, listener: Option<Listener>) -> Result<(), RunError> {
        let sinks = &mut self.sinks;
        if let (Some(api), Some(plan), None) = (&mut sinks.api, &new.api, &listener) {
            api.show(plan, &sinks.running);
            return Ok(());
        }
        if let Some(former) = sinks.api.take() {
            former.close().await;
        }
        if let (Some(plan), Some(listener)) = (&new.api, listener) {
            sinks.api = Some(api::start(listener, plan, &sinks.running, &sinks.process)?);
        }
        Ok(())
    }

    /// Tells senders that wait to keep what they sent, instead of cutting them off, when the run
    /// cannot go on.
    pub(super) async fn turn_away(&mut self) {
        sources::stop(&mut self.sources);
        let _ = timeout(ANSWERING, sources::ended(&mut self.sources)).await;
    }
}
