//! The one thread that owns all writes. Whatever waits in its channel shares one commit.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, TryRecvError},
    },
    time::{Duration, Instant},
};

use tokio::sync::{Notify, oneshot, watch};

use super::{disk::Durability, engine::Engine};
use crate::{
    profile::ProfileId,
    store::{
        Applied, Claims, InvalidRecord, LetterId, Replayed, SentPart, Settled, StoreError, Update,
    },
};

/// Calls of one commit at most, so that a commit has an end while calls keep coming.
const GROUP: usize = 256;

const HOUSEKEEPING: Duration = Duration::from_secs(2);

/// Something that is seldom done, as a function of the engine, or of the reason why there is none
/// any more.
pub(super) type Chore =
    Box<dyn FnOnce(Result<&mut Engine, StoreError>) -> Result<Told, StoreError> + Send>;

/// Answers a chore with what became of the commit.
pub(super) type Told = Box<dyn FnOnce(&Result<(), StoreError>) + Send>;

pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// A call to stop.
type Stop = (Ending, Reply<()>);

/// A call to the writer.
pub(super) enum Call {
    Apply(Vec<Update>, Vec<InvalidRecord>, Vec<SentPart>, Reply<Applied>),
    Claim(usize, usize, Reply<Claims>),
    Settle(Vec<Settled>, Reply<()>),
    Revive(Vec<(ProfileId, u64)>, Reply<()>),
    Replay(Vec<ProfileId>, Reply<Replayed>),
    Discard(Vec<LetterId>, Reply<u64>),
    Chore(Chore),
    Stop(Ending, Reply<()>),
}

/// What comes after the end of a writer.
pub(super) enum Ending {
    /// Nothing: what was removed is to be gone from the files, however long that takes.
    Close,
    /// Another writer, for which callers wait.
    HandOver,
}

/// An answer that is given once the group is committed.
enum Answer {
    Applied(Reply<Applied>, Applied),
    Done(Reply<()>),
    Replayed(Reply<Replayed>, Replayed),
    Discarded(Reply<u64>, u64),
    Chore(Told),
}

pub(super) struct Writer {
    pub(super) engine: Engine,
    pub(super) calls: Receiver<Call>,
    pub(super) durability: Durability,
    /// Told that something may have become due.
    pub(super) due: Arc<Notify>,
    /// Told why the store can go on no longer.
    pub(super) failed: watch::Sender<Option<StoreError>>,
}

impl Writer {
    /// Serves calls until it is told to stop or fails.
    pub(super) fn run(mut self) {
        let stopped = self.serve();
        let error = match stopped {
            Ok(stop) => {
                let result = self.engine.stop();
                let hands_over = matches!(&stop, Some((Ending::HandOver, _)));
                if result.is_ok() && !hands_over {
                    self.engine.erase_at_end();
                }
                drop(self.engine);
                let _ = stop.map(|(_, reply)| reply.send(result));
                StoreError::Stopped
            }
            Err(error) => {
                tracing::error!(%error, "the store failed; nothing more is taken");
                self.failed.send_replace(Some(error.clone()));
                error
            }
        };
        while let Ok(call) = self.calls.recv() {
            call.refuse(error.clone());
        }
    }

    /// Returns the call that ended it, if there was one.
    fn serve(&mut self) -> Result<Option<Stop>, StoreError> {
        // Absent while there is more to do.
        let mut housekept: Option<Instant> = None;
        loop {
            let at_once = self.engine.is_scanning() || housekept.is_none();
            let patience = if at_once { Duration::ZERO } else { self.patience() };
            let first = match self.next(patience) {
                Ok(call) => Some(call),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
            };
            if let Some(stop) = first.map_or(Ok(None), |first| self.group(first))? {
                return Ok(Some(stop));
            }
            if self.engine.is_scanning() {
                self.engine.scan_step()?;
                self.notify();
                if !self.engine.is_scanning() {
                    // Whoever waits for the end of what is due waits for the count, too.
                    self.due.notify_one();
                }
            }
            if self.engine.reconciles_in().is_some_and(|rest| rest.is_zero()) {
                self.engine.reconcile_step()?;
                self.notify();
                if self.engine.reconciles_in().is_none() {
                    self.due.notify_one();
                }
            }
            #[expect(clippy::disallowed_methods, reason = "a thread of its own, off tokio's clock")]
            let now = Instant::now();
            if housekept.is_none_or(|last| now - last >= HOUSEKEEPING) {
                let more = self.engine.housekeep()?;
                housekept = (!more).then_some(now);
            }
        }
    }

    /// How long there is nothing to do unless a call comes.
    fn patience(&self) -> Duration {
        self.engine.reconciles_in().map_or(HOUSEKEEPING, |rest| rest.min(HOUSEKEEPING))
    }

    /// The next call, if one comes in this time.
    fn next(&self, patience: Duration) -> Result<Call, RecvTimeoutError> {
        if patience.is_zero() {
            return self.calls.try_recv().map_err(|error| match error {
                TryRecvError::Empty => RecvTimeoutError::Timeout,
                TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
            });
        }
        self.calls.recv_timeout(patience)
    }

    /// Takes `first` and whatever waits behind it, commits, and answers. A failure is answered to
    /// all of them.
    fn group(&mut self, first: Call) -> Result<Option<Stop>, StoreError> {
        let mut answers = Vec::new();
        let mut stop = None;
        let mut next = Some(first);
        let mut result = Ok(());
        for _ in 0..GROUP {
            let Some(call) = next.take().or_else(|| self.calls.try_recv().ok()) else { break };
            match self.take(call, &mut answers) {
                Ok(None) => {}
                Ok(Some(call)) => {
                    stop = Some(call);
                    break;
                }
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        let result = result.and_then(|()| self.engine.commit(self.durability));
        for answer in answers {
            answer.give(&result);
        }
        result?;
        self.notify();
        Ok(stop)
    }

    /// Returns a call to stop.
    fn take(&mut self, call: Call, answers: &mut Vec<Answer>) -> Result<Option<Stop>, StoreError> {
        match call {
            Call::Apply(updates, invalid, parts, reply) => {
                let (applied, reply) = tell(self.engine.apply(updates, invalid, parts), reply)?;
                answers.push(Answer::Applied(reply, applied));
            }
            // What is claimed is committed already: no need to wait for what is not.
            Call::Claim(max, lot, reply) => {
                let (claims, reply) = tell(self.engine.claim(max, lot), reply)?;
                let _ = reply.send(Ok(claims));
            }
            Call::Settle(outcomes, reply) => {
                let ((), reply) = tell(self.engine.settle(outcomes), reply)?;
                answers.push(Answer::Done(reply));
            }
            Call::Revive(versions, reply) => {
                let ((), reply) = tell(self.engine.revive(versions), reply)?;
                answers.push(Answer::Done(reply));
            }
            Call::Replay(ids, reply) => {
                let (replayed, reply) = tell(self.engine.replay(ids), reply)?;
                answers.push(Answer::Replayed(reply, replayed));
            }
            Call::Discard(ids, reply) => {
                let (dropped, reply) = tell(self.engine.discard(ids), reply)?;
                answers.push(Answer::Discarded(reply, dropped));
            }
            Call::Chore(chore) => answers.push(Answer::Chore(chore(Ok(&mut self.engine))?)),
            Call::Stop(ending, reply) => return Ok(Some((ending, reply))),
        }
        Ok(None)
    }

    fn notify(&mut self) {
        if self.engine.has_ready() {
            self.due.notify_one();
        }
    }
}

impl Call {
    /// A call that does this in its turn.
    pub(super) fn chore<T: Send + 'static>(
        work: impl FnOnce(&mut Engine) -> Result<T, StoreError> + Send + 'static,
        reply: Reply<T>,
    ) -> Self {
        Self::Chore(Box::new(move |engine| {
            let (value, reply) = tell(engine.and_then(work), reply)?;
            let told: Told = Box::new(move |committed| {
                let _ = reply.send(committed.clone().map(|()| value));
            });
            Ok(told)
        }))
    }
}

/// Hands an error on to whoever waits for the reply, and returns it.
fn tell<T, U>(result: Result<T, StoreError>, reply: Reply<U>) -> Result<(T, Reply<U>), StoreError> {
    match result {
        Ok(value) => Ok((value, reply)),
        Err(error) => {
            let _ = reply.send(Err(error.clone()));
            Err(error)
        }
    }
}

impl Answer {
    // Whoever asked may have gone away meanwhile; what was committed stays.
    fn give(self, result: &Result<(), StoreError>) {
        match self {
            Self::Applied(reply, applied) => {
                let _ = reply.send(result.clone().map(|()| applied));
            }
            Self::Done(reply) => {
                let _ = reply.send(result.clone());
            }
            Self::Replayed(reply, replayed) => {
                let _ = reply.send(result.clone().map(|()| replayed));
            }
            Self::Discarded(reply, dropped) => {
                let _ = reply.send(result.clone().map(|()| dropped));
            }
            Self::Chore(told) => told(result),
        }
    }
}

impl Call {
    fn refuse(self, error: StoreError) {
        match self {
            Self::Apply(.., reply) => drop(reply.send(Err(error))),
            Self::Claim(_, _, reply) => drop(reply.send(Err(error))),
            Self::Replay(_, reply) => drop(reply.send(Err(error))),
            Self::Discard(_, reply) => drop(reply.send(Err(error))),
            Self::Chore(chore) => drop(chore(Err(error))),
            Self::Settle(_, reply) | Self::Revive(_, reply) | Self::Stop(_, reply) => {
                drop(reply.send(Err(error)));
            }
        }
    }
}
