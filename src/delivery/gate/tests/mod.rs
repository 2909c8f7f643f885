mod closing;
mod handles;
mod probing;

use std::time::Duration;

use http::{
    StatusCode,
    header::{DATE, HeaderName, RETRY_AFTER},
};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tower::{Layer, Service, ServiceExt};

use super::{Admission, Gate, GateLayer, GateState, Gated, Probe, Reason};
use crate::{
    delivery::{
        AttemptError, Classes, TokenError, Trail,
        test_support::{
            Outcome, Script, answer, answer_with, at_once, millis, request, request_with, secs,
            status,
        },
    },
    telemetry::Component,
};

fn new_gate() -> Gate {
    Gate::new(secs(300), Component::detached())
}

fn behind(gate: &Gate, script: &Script) -> Gated<Script> {
    GateLayer::new(gate, Classes::default()).layer(script.clone())
}

/// Sends one attempt whose result is `outcome`.
async fn send(gate: &Gate, outcome: Outcome) -> Outcome {
    behind(gate, &Script::of([outcome])).oneshot(request()).await
}

async fn send_probe(gate: &Gate, probe: Probe, outcome: Outcome) -> Outcome {
    let request = request_with(&Trail::of_probe(probe));
    behind(gate, &Script::of([outcome])).oneshot(request).await
}

fn is_open(gate: &Gate) -> bool {
    matches!(gate.ask(), Admission::Open)
}

/// How long the gate stays closed before something is let through.
fn closed_for(gate: &Gate) -> Option<Duration> {
    match gate.ask() {
        Admission::Closed { until } => until.map(|until| until - Instant::now()),
        other => panic!("the gate is not closed: {other:?}"),
    }
}

/// The probe that is let through now.
fn probe(gate: &Gate) -> Probe {
    match gate.ask() {
        Admission::Probe(probe) => probe,
        other => panic!("no probe is let through: {other:?}"),
    }
}

async fn next_probe(gate: &Gate) -> Probe {
    let wait = closed_for(gate).expect("a probe will be due");
    sleep(wait).await;
    probe(gate)
}

fn interrupted() -> Outcome {
    Err(AttemptError::Interrupted("reset".to_owned()))
}
