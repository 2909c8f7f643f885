use std::{
    ffi::OsStr,
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use profile_http::local_endpoint::{Client, LocalEndpoint, Settings};
use tokio::time::{Duration, Instant, sleep};

use crate::support::{Process, Site, free_address};

/// Longer than anything here takes when it works, on a machine that does much else.
pub(crate) const PATIENCE: Duration = Duration::from_mins(5);

/// Where things lie and listen in the examples, and where they do here.
pub(crate) struct Pipeline {
    pub(crate) endpoint: LocalEndpoint,
    site: Site,
    here: Vec<(String, String)>,
}

impl Pipeline {
    /// With an endpoint for the client of the examples, or for anybody.
    pub(crate) async fn new(client: Option<&str>) -> Self {
        let client = client.map(|secret| Client {
            id: "profile-http".to_owned(),
            secret: secret.to_owned(),
            token_lifetime: Duration::from_mins(10),
        });
        let settings = Settings { client, ..Settings::default() };
        let endpoint = LocalEndpoint::start(settings).await.unwrap();
        let here = vec![("127.0.0.1:8089".to_owned(), endpoint.address().to_string())];
        Self { endpoint, site: Site::new(), here }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.site.path(name)
    }

    /// Lets something of the examples be something else here.
    pub(crate) fn move_to(&mut self, there: &str, here: &Path) {
        self.here.push((there.to_owned(), here.to_str().unwrap().to_owned()));
    }

    /// Gives an address of the examples a port that is free.
    pub(crate) fn listen_elsewhere(&mut self, port: u16) -> SocketAddr {
        let address = free_address();
        self.here.push((format!("127.0.0.1:{port}"), address.to_string()));
        // As Fluent Bit and Fluentd write it.
        for between in [": ", " "] {
            let port_is = |port: u16| format!("port{between}{port}");
            self.here.push((port_is(port), port_is(address.port())));
        }
        address
    }

    /// An example, put down here.
    pub(crate) fn example(&self, name: &str) -> PathBuf {
        self.changed(name, |text| text)
    }

    /// An example with a change besides.
    pub(crate) fn changed(&self, name: &str, change: impl FnOnce(String) -> String) -> PathBuf {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("config-examples").join(name);
        let mut text = fs::read_to_string(&source).unwrap();
        for (there, here) in &self.here {
            text = text.replace(there, here);
        }
        let name = name.replace('/', "-");
        self.site.write(&name, &change(text))
    }

    /// Runs the program with an example, until it listens.
    pub(crate) fn run(&self, example: &str) -> Process {
        // Its port would be that of every other run.
        let api = self.site.write("api.yaml", "api: { enabled: false }\n");
        let mut command = Command::new(env!("CARGO_BIN_EXE_profile-http"));
        command.arg("run").arg("-c").arg(self.example(example)).arg("-c").arg(api);
        command.current_dir(self.path("")).stdout(Stdio::null());
        let mut process = Process::spawn(command);
        process.wait_for("listening");
        process
    }

    /// Runs a pipeline, whose log is added to the file `log`.
    pub(crate) fn run_other<A: AsRef<OsStr>>(
        &self,
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
    ) -> Other {
        let log = File::options().create(true).append(true).open(self.path("log")).unwrap();
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.path(""));
        command.env("FLUENT_SHARED_KEY", "change-me").env("ACME_CLIENT_SECRET", "change-me");
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Other(command.spawn().unwrap())
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }

    /// Waits until something holds.
    pub(crate) async fn wait_until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds() {
            let report = self.endpoint.report();
            assert!(Instant::now() < deadline, "not yet: {what}\n{report:?}\n{}", self.log());
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Another program, ended by its id when it is dropped.
pub(crate) struct Other(Child);

impl Other {
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn runs(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.0.id().to_string();
        let status = Command::new("kill").args([format!("-{signal}"), pid]).status().unwrap();
        assert!(status.success());
    }

    /// Ends it at once, as a crash would.
    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
