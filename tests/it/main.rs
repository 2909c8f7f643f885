//! The program as a whole, from outside: real processes, real sockets.

#![expect(clippy::unwrap_used, reason = "a test ends where something does not hold")]

mod support;

mod crash;
mod demo;
mod explain;
mod gate;
mod limits;
mod main_job;
mod outage;
mod request;
mod sources;
mod start;
