//! The fluent source: the server side of the forward protocol v1, as Fluentd, Fluent Bit, Docker
//! and the fluent loggers speak it over TCP.
//!
//! All modes are understood: Message, Forward, `PackedForward` and `CompressedPackedForward` (gzip
//! and zstd, several members), with `EventTime` and integer times, with and without metadata. Tag,
//! time and metadata are not part of a record. A chunk that asks for it is acknowledged once its
//! records are committed; when they cannot be, `{}` tells the sender to keep them and try again.
//! Sources of facts: the Forward Protocol Specification v1 and what senders were seen to do.

mod decode;
mod frame;
mod handshake;
mod inbox;
mod session;
mod trouble;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub(super) use self::{decode::read_entries, trouble::Trouble};
#[cfg(any(test, fuzzing))]
pub(super) use self::{handshake::is_ping, session::read_all};
use self::{inbox::Inbox, session::Session};
use super::Feed;
use crate::{listen::Listener, record::Intake, secret::Secret, telemetry::Throttle};

/// How many large or compressed messages are read at once. What they become is large, too.
const LARGE_AT_ONCE: usize = 2;

/// What the fluent source is told by the configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What senders have to prove; anybody is let in without it.
    pub security: Option<Security>,
    /// The longest message that is taken.
    pub max_frame_bytes: usize,
    /// The most that a message may hold, after decompression and again as records.
    pub max_decompressed_bytes: usize,
}

/// What senders have to prove.
#[derive(Clone, Debug)]
pub struct Security {
    /// What both sides know.
    pub shared_key: Secret,
    /// Of whom a sender has to be one, if there are any.
    pub users: Vec<User>,
}

/// Somebody who may send.
#[derive(Clone, Debug)]
pub struct User {
    /// The name.
    pub name: String,
    /// The password.
    pub password: Secret,
}

/// What the connections of a source share.
struct Shared<I> {
    feed: Feed<I>,
    settings: Settings,
    large: Semaphore,
    throttle: Throttle,
    stop: CancellationToken,
}

/// Takes records until `stop`; what is being committed then is still acknowledged.
pub async fn serve<I: Intake>(
    listener: Listener,
    feed: Feed<I>,
    settings: Settings,
    stop: CancellationToken,
) {
    let shared = Arc::new(Shared {
        feed,
        settings,
        large: Semaphore::new(LARGE_AT_ONCE),
        throttle: Throttle::default(),
        stop: stop.clone(),
    });
    let serve = move |stream, peer| Session::new(shared.clone(), stream, peer).run();
    listener.serve(stop, serve).await;
}
