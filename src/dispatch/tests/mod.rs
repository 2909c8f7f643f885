//! The rules that dispatch, gate, stack and store keep together, on paused time.

mod backoff;
mod batches;
mod batches_answered;
mod batches_halved;
mod closing;
mod ending;
mod endpoint;
mod forgetting;
mod keys;
mod ordering;
mod pacing;
mod poison;
mod probing;
mod refusing;
mod simulation;
mod support;
mod templates;
mod versions;

use std::time::Duration;

use http::header::RETRY_AFTER;
use tokio::time::{Instant, sleep, timeout};

use self::{
    endpoint::{Call, Reply, after, at_once, gaps, hangs, interrupted, says_member, statuses},
    support::{Rig, Setup},
};
use super::Phase;
use crate::delivery::{
    GateState, Reason,
    test_support::{answer_with, millis, secs},
};
