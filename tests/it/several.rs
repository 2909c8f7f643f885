//! A source, an API, and any number of sinks whose configuration can be changed.

use std::{fmt::Write, net::SocketAddr, path::PathBuf, time::Duration};

use bytes::Bytes;
use profile_http::local_endpoint::{LocalEndpoint, Settings};
use serde_json::Value;
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval, timeout},
};

use crate::{
    console::call,
    support::{MAPPING, PATIENCE, Process, Sender, Site, free_address},
};

/// A configuration that is written anew whenever it is used.
pub(crate) struct Several {
    pub(crate) site: Site,
    pub(crate) config: PathBuf,
    pub(crate) data_dir: PathBuf,
    pub(crate) address: SocketAddr,
    /// The options of `sources` in the order of the file, in flow style.
    pub(crate) sources: Vec<(String, String)>,
    pub(crate) api: SocketAddr,
    /// The options of `api` besides its address.
    pub(crate) api_options: String,
    pub(crate) sender: Sender,
    sinks: Vec<(String, String)>,
}

impl Several {
    /// With an HTTP source `in` and no sink.
    pub(crate) fn new() -> Self {
        let site = Site::new();
        let address = free_address();
        Self {
            config: site.path("run.yaml"),
            data_dir: site.path("data"),
            site,
            address,
            sources: vec![("in".to_owned(), listening(address, ""))],
            api: free_address(),
            api_options: String::new(),
            sender: Sender::new(address),
            sinks: Vec::new(),
        }
    }

    /// Adds a sink that takes from `in`, or gives it other options.
    pub(crate) fn sink(&mut self, name: &str, endpoint: &str, options: &str) -> &mut Self {
        self.sink_from("[in]", name, endpoint, options)
    }

    pub(crate) fn sink_from(
        &mut self,
        inputs: &str,
        name: &str,
        endpoint: &str,
        options: &str,
    ) -> &mut Self {
        let text = format!(
            "    type: profile_http\n    inputs: {inputs}\n    http_endpoint: {endpoint:?}\n{options}"
        );
        match self.sinks.iter_mut().find(|(known, _)| known == name) {
            Some((_, options)) => *options = text,
            None => self.sinks.push((name.to_owned(), text)),
        }
        self
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.sinks.retain(|(known, _)| known != name);
    }

    pub(crate) fn text(&self) -> String {
        let mut text = format!(
            "data_dir: {}\napi: {{ address: '{}'{} }}\nsources:\n",
            self.data_dir.display(),
            self.api,
            self.api_options
        );
        for (name, options) in &self.sources {
            writeln!(text, "  {name}: {options}").unwrap();
        }
        text.push_str("sinks:\n");
        for (name, options) in &self.sinks {
            write!(text, "  {name}:\n{options}").unwrap();
        }
        text
    }

    pub(crate) fn write(&self) {
        std::fs::write(&self.config, self.text()).unwrap();
    }

    pub(crate) fn start(&self) -> Process {
        self.start_with(&[])
    }

    pub(crate) fn start_with(&self, arguments: &[&str]) -> Process {
        self.write();
        let mut process = Process::start(&[&["run"], arguments].concat(), Some(&self.config));
        process.wait_for("listening");
        process
    }

    /// Has the process read what is configured now, and returns what it says in the end.
    pub(crate) fn reload(&self, process: &mut Process) -> String {
        self.begin_reload(process);
        process.wait_for("reloaded")
    }

    /// The same without waiting for its end.
    pub(crate) fn begin_reload(&self, process: &mut Process) {
        self.write();
        process.signal("HUP");
        process.wait_for("SIGHUP");
    }

    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        call(self.api, "GET", path, &[("host", "localhost")])
    }

    pub(crate) fn status(&self, sink: &str) -> Value {
        let (status, body) = self.get(&format!("/api/v1/sinks/{sink}"));
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Asks for the status of a sink until it is so.
    pub(crate) async fn until(&self, sink: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        until(&format!("the state of {sink}"), || {
            last = self.status(sink);
            is_so(&last)
        })
        .await;
        last
    }

    /// Waits until a sink has delivered all that it has.
    pub(crate) async fn delivered(&self, sink: &str) -> Value {
        let at_rest = |status: &Value| {
            status["profiles"]["due"] == 0 && status["profiles"]["complete"] == true
        };
        self.until(sink, at_rest).await
    }

    /// The value of a series.
    pub(crate) fn metric(&self, series: &str) -> Option<f64> {
        let (_, text) = self.get("/metrics");
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
        Some(line.parse().unwrap())
    }
}

/// The options of an HTTP source.
pub(crate) fn listening(address: SocketAddr, options: &str) -> String {
    format!("{{ type: http_server, address: '{address}'{options} }}")
}

/// What another mapping than the usual one says.
pub(crate) const OTHER_MAPPING: &str = "    profile: { key: identityMap.crmid }\n    \
                                 export: { attributes: [name, n, other] }\n";

/// The usual mapping with options of `request`.
pub(crate) fn mapping_with(request: &str) -> String {
    format!("{MAPPING}    request: {{ {request} }}\n")
}

/// Polls until it is so.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let polling = async {
        let mut ticks = interval(Duration::from_millis(10));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !is_so() {
            ticks.tick().await;
        }
    };
    timeout(PATIENCE, polling).await.unwrap_or_else(|_| panic!("waited in vain for {what}"));
}

/// An endpoint that takes every profile at once and answers none until it is let go.
pub(crate) struct Held {
    pub(crate) endpoint: LocalEndpoint,
    arrived: mpsc::Receiver<Bytes>,
}

impl Held {
    pub(crate) async fn new() -> Self {
        let (arrivals, arrived) = mpsc::channel(1);
        // There is no room for another before this one is taken out.
        arrivals.try_send(Bytes::new()).unwrap();
        let settings = Settings { arrivals: Some(arrivals), ..Settings::default() };
        Self { endpoint: LocalEndpoint::start(settings).await.unwrap(), arrived }
    }

    /// Waits until it has taken so many profiles in all.
    pub(crate) async fn holds(&self, taken: u64) {
        until("the profiles that are held", || self.endpoint.report().taken == taken).await;
    }

    /// Answers all that came and comes.
    pub(crate) fn let_go(self) -> LocalEndpoint {
        drop(self.arrived);
        self.endpoint
    }
}
