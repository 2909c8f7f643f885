use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use profile_http::{record::Ack, sample::Samples};
use tokio::{
    signal::ctrl_c,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

/// How often records are sent.
const TICK: Duration = Duration::from_millis(50);

/// The most that are sent at once.
const MOST: u64 = 5000;

/// How long the source may take until it listens, or takes what it could not.
const PATIENCE: Duration = Duration::from_secs(10);

/// Posts samples to the HTTP source, one body after the other, so that they arrive in order.
pub(super) struct Feed {
    pub(super) samples: Samples,
    /// What the source acknowledged so far.
    pub(super) acknowledged: Ack,
    url: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Feed {
    pub(super) fn new(source: SocketAddr, samples: Samples) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let url = format!("http://{source}/");
        Self { samples, acknowledged: Ack::default(), url, client }
    }

    /// Sends `rate` records a second for some time, or until Ctrl-C, and shows how it stands.
    pub(super) async fn run(
        &mut self,
        rate: u32,
        length: Duration,
        mut show: impl FnMut(&Ack),
    ) -> Result<(), String> {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut interrupted = std::pin::pin!(ctrl_c());
        let began = Instant::now();
        while began.elapsed() < length {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = &mut interrupted => break,
            }
            let owed = u64::from(rate) * millis(began.elapsed()) / 1000;
            let count = owed.saturating_sub(self.acknowledged.received).min(MOST);
            if count > 0 {
                self.send(count).await?;
            }
            show(&self.acknowledged);
        }
        Ok(())
    }

    async fn send(&mut self, count: u64) -> Result<(), String> {
        let mut body = Vec::new();
        for sample in self.samples.by_ref().take(usize::try_from(count).unwrap_or(usize::MAX)) {
            body.extend_from_slice(&sample.json);
            body.push(b'\n');
        }
        let body = Bytes::from(body);
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.post(body.clone()).await {
                Ok(ack) => {
                    self.acknowledged += ack;
                    return Ok(());
                }
                Err(error) if Instant::now() >= deadline => return Err(error),
                Err(_) => sleep(TICK).await,
            }
        }
    }

    async fn post(&self, body: Bytes) -> Result<Ack, String> {
        let failed = |error: &dyn std::error::Error| format!("the source does not answer: {error}");
        let request = Request::post(&self.url).header("content-type", "application/x-ndjson");
        let request = request.body(Full::new(body)).map_err(|error| failed(&error))?;
        let answer = self.client.request(request).await.map_err(|error| failed(&error))?;
        let status = answer.status();
        let body = answer.into_body().collect().await.map_err(|error| failed(&error))?.to_bytes();
        if status.is_success() {
            serde_json::from_slice(&body).map_err(|error| failed(&error))
        } else {
            Err(format!("the source answers {status}: {}", String::from_utf8_lossy(&body)))
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
