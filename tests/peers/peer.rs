use std::{
    env,
    io::{self, Write},
    process::{Child, Command},
};

/// A server that runs until this is dropped.
pub(crate) struct Peer {
    child: Child,
    /// What ends it in good order, where killing it would leave children of its own behind.
    stop: Option<Command>,
}

impl Peer {
    pub(crate) fn start(command: &mut Command, stop: Option<Command>) -> io::Result<Self> {
        Ok(Self { child: command.spawn()?, stop })
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let stopped = self
            .stop
            .as_mut()
            .is_some_and(|stop| stop.status().is_ok_and(|status| status.success()));
        if !stopped {
            // It may have ended by itself.
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// Says that a test is skipped for want of a server, or fails it where all have to be there.
pub(crate) fn missing(server: &str) {
    let required = env::var_os("PROFILE_HTTP_PEERS").is_some_and(|value| value == "required");
    assert!(!required, "{server} is not installed; see tests/run");
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    // Past the capture of the test harness, which would show it only for a test that fails.
    let _ = writeln!(io::stderr(), "{test} is skipped: {server} is not installed; see tests/run");
}
