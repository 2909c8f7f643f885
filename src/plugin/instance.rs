use std::{
    sync::mpsc::{SyncSender, sync_channel},
    thread::{Builder, JoinHandle},
    time::Duration,
};

use prometheus_client::registry::Registry;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{Verdict, logs, options::Options};
use crate::{
    clock::Clock,
    config::{Env, Plan},
    run::{RunError, Sinks},
    source::{ChunkError, Feed, take_chunk},
    telemetry::{Metrics, Throttle},
};

/// How long a flush may take. Fluent Bit waits that long for each chunk when it stops.
const DEADLINE: Duration = Duration::from_secs(5);

/// Chunks that wait. There are as many as flushes that wait for them, besides those that gave up.
const WAITING: usize = 16;

/// How long what is in flight may take at the end; what does not make it is sent again after the
/// next start.
const STOPPING: Duration = Duration::from_secs(5);

/// How long it rests when its sink broke, before it tries to open it again.
const REST: Duration = Duration::from_secs(5);

/// What the records' source is called.
const SOURCE: &str = "fluent_bit";

/// One output of Fluent Bit: a sink on a thread of its own.
#[derive(Debug)]
pub(super) struct Instance {
    chunks: mpsc::Sender<Chunk>,
    stop: CancellationToken,
    thread: JoinHandle<()>,
    /// How long a flush may take.
    patience: Duration,
}

struct Chunk {
    tag: Vec<u8>,
    bytes: Vec<u8>,
    /// When the flush gives up.
    deadline: Instant,
    reply: SyncSender<Verdict>,
}

impl Instance {
    /// Returns once the store is open and the sink runs, or says what is wrong.
    pub(super) fn start(options: Options) -> Result<Self, String> {
        let (chunks, arriving) = mpsc::channel(WAITING);
        let stop = CancellationToken::new();
        let (started, ready) = sync_channel(1);
        let stopping = stop.clone();
        let thread = Builder::new()
            .name("profile_http".to_owned())
            .spawn(move || run(&options, arriving, stopping, &started))
            .map_err(|error| format!("cannot start a thread: {error}"))?;
        // A thread that panics drops its end.
        let outcome = ready.recv().unwrap_or_else(|_| Err("it panicked at its start".to_owned()));
        match outcome {
            Ok(()) => Ok(Self { chunks, stop, thread, patience: DEADLINE }),
            Err(error) => {
                let _ = thread.join();
                Err(error)
            }
        }
    }

    /// Hands over a copy of the bytes and waits until they are on disk. Runs on a small stack.
    pub(super) fn flush(&self, tag: &[u8], bytes: &[u8]) -> Verdict {
        let (Some(tag), Some(bytes)) = (copy(tag), copy(bytes)) else { return Verdict::Retry };
        let (reply, verdict) = sync_channel(1);
        let chunk = Chunk { tag, bytes, deadline: Instant::now() + self.patience, reply };
        if self.chunks.try_send(chunk).is_err() {
            return Verdict::Retry;
        }
        verdict.recv_timeout(self.patience).unwrap_or(Verdict::Retry)
    }

    /// Lets what is in flight end, closes the store and ends the thread.
    pub(super) fn stop(self) {
        self.stop.cancel();
        // How it panicked has been logged.
        let _ = self.thread.join();
    }
}

/// The thread of an instance.
fn run(
    options: &Options,
    arriving: mpsc::Receiver<Chunk>,
    stop: CancellationToken,
    started: &SyncSender<Result<(), String>>,
) {
    let (plan, warnings) = match options.plan(&Env::of_process()) {
        Ok(planned) => planned,
        Err(error) => return drop(started.send(Err(error))),
    };
    for warning in warnings {
        logs::warning(&warning.to_string());
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return drop(started.send(Err(format!("cannot start: {error}")))),
    };
    runtime.block_on(
        Worker { plan, arriving, stop, metrics: Metrics::new(&mut Registry::default()) }
            .work(started),
    );
    // Look-ups of names that hang are left alone.
    runtime.shutdown_background();
}

struct Worker {
    plan: Plan,
    arriving: mpsc::Receiver<Chunk>,
    stop: CancellationToken,
    metrics: Metrics,
}

impl Worker {
    async fn work(mut self, started: &SyncSender<Result<(), String>>) {
        let clock = Clock::system();
        let mut sinks = match Sinks::start(&self.plan, &self.metrics, &clock).await {
            Ok(sinks) => sinks,
            Err(error) => return drop(started.send(Err(error.to_string()))),
        };
        let _ = started.send(Ok(()));
        loop {
            let Some(error) = self.serve(&mut sinks, &clock).await else { break };
            tracing::error!(
                %error,
                "the sink broke and is opened again; Fluent Bit keeps the records until then"
            );
            // What was wrong has been said.
            let _ = sinks.close().await;
            let Some(again) = self.reopen(&clock).await else { return };
            sinks = again;
        }
        let waiting = sinks.stop(STOPPING).await;
        match sinks.close().await {
            Ok(()) => tracing::info!(waiting, "stopped; what waits stays in the store"),
            Err(error) => tracing::error!(%error, "did not stop well"),
        }
    }

    /// Takes chunks until it is told to stop, or a sink cannot go on.
    async fn serve(&mut self, sinks: &mut Sinks, clock: &Clock) -> Option<RunError> {
        let metrics = self.metrics.component(SOURCE, "source", SOURCE);
        let intake = sinks.intake();
        let feed = Feed { name: SOURCE.into(), intake, clock: clock.clone(), metrics };
        let throttle = Throttle::default();
        let take = async {
            while let Some(Chunk { tag, bytes, deadline, reply }) = self.arriving.recv().await {
                // Nobody waits for it, and it comes again.
                if deadline <= Instant::now() {
                    continue;
                }
                let verdict = match take_chunk(&feed, &throttle, &tag, &bytes).await {
                    Ok(_) => Verdict::Ok,
                    Err(error) => refused(&error, &throttle),
                };
                let _ = reply.send(verdict);
            }
        };
        tokio::select! {
            () = take => None,
            () = self.stop.cancelled() => None,
            error = sinks.broken() => Some(error),
        }
    }

    /// Opens the sink again, as often as it takes. `None` when it is told to stop meanwhile.
    async fn reopen(&mut self, clock: &Clock) -> Option<Sinks> {
        loop {
            let refuse = async {
                while let Some(chunk) = self.arriving.recv().await {
                    let _ = chunk.reply.send(Verdict::Retry);
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => return None,
                () = refuse => return None,
                () = sleep(REST) => {}
            }
            match Sinks::start(&self.plan, &self.metrics, clock).await {
                Ok(sinks) => return Some(sinks),
                Err(error) => tracing::error!(%error, "the sink cannot be opened"),
            }
        }
    }
}

/// A copy, if there is memory for it.
fn copy(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(bytes.len()).ok()?;
    copy.extend_from_slice(bytes);
    Some(copy)
}

fn refused(error: &ChunkError, throttle: &Throttle) -> Verdict {
    let (verdict, kind) = match error {
        ChunkError::Unreadable(_) => (Verdict::Error, "unreadable"),
        ChunkError::Unavailable(_) => (Verdict::Retry, "unavailable"),
    };
    if let Some(similar) = throttle.pass(kind) {
        if verdict == Verdict::Retry {
            tracing::warn!(%error, similar, "Fluent Bit keeps a chunk for now");
        } else {
            tracing::error!(%error, similar, "Fluent Bit drops a chunk");
        }
    }
    verdict
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// An output whose endpoint is not there.
    fn options(dir: &TempDir) -> Options {
        let options = [
            ("http_endpoint", "http://127.0.0.1:1/"),
            ("profile_key", "identityMap.crmid"),
            ("attributes", "n"),
            ("state_dir", dir.path().to_str().unwrap()),
        ];
        let options = options.map(|(name, value)| (name, value.to_owned())).to_vec();
        Options::Flat { sink: "crm".to_owned(), options }
    }

    #[test]
    fn what_is_on_disk_is_done_whatever_becomes_of_the_endpoint() {
        let dir = TempDir::new().unwrap();
        let instance = Instance::start(options(&dir)).unwrap();
        let profile = b"\x82\xabidentityMap\x81\xa5crmid\x91\x81\xa2id\xa1c\xa1n\x01";
        let event = [&b"\x92\xce\x65\x00\x00\x00"[..], profile].concat();
        assert_eq!(instance.flush(b"tag", &event), Verdict::Ok);
        assert_eq!(instance.flush(b"tag", &event[..20]), Verdict::Error);
        assert_eq!(instance.flush(b"tag", b""), Verdict::Ok);
        instance.stop();
    }

    #[test]
    fn a_store_is_free_again_once_its_output_has_stopped() {
        let dir = TempDir::new().unwrap();
        let first = Instance::start(options(&dir)).unwrap();
        let error = Instance::start(options(&dir)).unwrap_err();
        assert!(error.starts_with("sink crm: "), "{error}");
        first.stop();
        Instance::start(options(&dir)).unwrap().stop();
    }

    #[test]
    fn a_flush_for_which_there_is_no_room_is_to_come_again_at_once() {
        let (instance, arriving) = held_up(DEADLINE);
        let (reply, _waits) = sync_channel(1);
        let waiting = Chunk { tag: Vec::new(), bytes: Vec::new(), deadline: Instant::now(), reply };
        assert!(instance.chunks.try_send(waiting).is_ok());
        assert_eq!(instance.flush(b"tag", b"\x90"), Verdict::Retry);
        drop(arriving);
        instance.stop();
    }

    #[test]
    fn a_flush_that_gets_no_answer_in_time_is_to_come_again() {
        let (instance, mut arriving) = held_up(Duration::from_millis(1));
        assert_eq!(instance.flush(b"tag", b"\x90"), Verdict::Retry);
        let abandoned = arriving.try_recv().unwrap();
        assert!(abandoned.deadline <= Instant::now());
        // The thread that answers late does not care.
        assert!(abandoned.reply.send(Verdict::Ok).is_err());
        instance.stop();
    }

    #[tokio::test]
    async fn a_chunk_that_nobody_waits_for_is_not_taken() {
        let dir = TempDir::new().unwrap();
        let (plan, _) = options(&dir).plan(&Env::default()).unwrap();
        let (chunks, arriving) = mpsc::channel(2);
        let stop = CancellationToken::new();
        let metrics = Metrics::new(&mut Registry::default());
        let worker = Worker { plan, arriving, stop, metrics };
        let chunk = |deadline| {
            let (reply, verdict) = sync_channel(1);
            // What cannot be read gets an answer at once.
            assert!(
                chunks
                    .try_send(Chunk { tag: Vec::new(), bytes: vec![0xc1], deadline, reply })
                    .is_ok()
            );
            verdict
        };
        let abandoned = chunk(Instant::now());
        let awaited = chunk(Instant::now() + DEADLINE);
        drop(chunks);
        let (started, _) = sync_channel(1);
        worker.work(&started).await;
        assert!(abandoned.recv().is_err());
        assert_eq!(awaited.recv(), Ok(Verdict::Error));
    }

    /// An instance whose thread takes no chunks, with room for one.
    fn held_up(patience: Duration) -> (Instance, mpsc::Receiver<Chunk>) {
        let (chunks, arriving) = mpsc::channel(1);
        let thread = std::thread::spawn(|| {});
        (Instance { chunks, stop: CancellationToken::new(), thread, patience }, arriving)
    }
}
