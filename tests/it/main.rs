//! The program as a whole, from outside: real processes, real sockets.

#![expect(clippy::unwrap_used, reason = "a test ends where something does not hold")]

mod support;
mod templates;

mod api;
mod bad_input;
mod batches;
mod check;
mod consent;
mod console;
mod crash;
mod dead_letters;
mod demo;
mod explain;
mod fluent;
mod gate;
mod limits;
mod main_job;
mod once;
mod outage;
mod reload;
mod reload_sources;
mod reload_under_load;
mod profiles;
mod patches;
mod reconcile;
mod request;
mod require_healthy;
mod several;
mod several_sinks;
mod signing;
mod sources;
mod start;
mod tokens;
mod vector;
mod vector_client;
mod wire;
mod xdm_examples;
