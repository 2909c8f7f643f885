use std::{fs, io, net::SocketAddr, path::PathBuf};

use profile_http::{local_endpoint::LocalEndpoint, sample};
use serde_json::json;

/// The OAuth2 client of the demo.
pub(super) const CLIENT_ID: &str = "profile-http-demo";

/// The name of its sink.
pub(super) const SINK: &str = "demo";

/// The directory that a demo works in, removed when it ends.
pub(super) struct Site {
    dir: PathBuf,
    secret: String,
}

impl Site {
    pub(super) fn new() -> io::Result<Self> {
        let secret = format!("{:032x}", fastrand::u128(..));
        let name = format!("profile-http-demo-{}-{}", std::process::id(), &secret[..8]);
        let dir = std::env::temp_dir().join(name);
        fs::create_dir(&dir)?;
        Ok(Self { dir, secret })
    }

    /// The secret of the client.
    pub(super) fn secret(&self) -> &str {
        &self.secret
    }

    /// Writes the configuration of a sink that delivers to the endpoint, and returns where it is.
    pub(super) fn configure(
        &self,
        source: SocketAddr,
        endpoint: &LocalEndpoint,
    ) -> io::Result<PathBuf> {
        let segments = sample::SEGMENTS.map(|(id, name)| json!({ "id": id, "name": name }));
        let text = json!({
            "data_dir": self.dir.join("data"),
            // A demo runs beside whatever else does.
            "api": { "enabled": false },
            "sources": { "samples": { "type": "http_server", "address": source } },
            "sinks": { SINK: {
                "type": "profile_http",
                "inputs": ["samples"],
                "http_endpoint": endpoint.url(),
                "auth": {
                    "strategy": "oauth2",
                    "auth_endpoint": endpoint.token_url(),
                    "client_id": CLIENT_ID,
                    "client_secret": self.secret,
                },
                "custom_headers": "x-source:profile-http-demo,x-tenant:acme",
                "profile": { "key": format!("identityMap.{}", sample::NAMESPACE) },
                "export": {
                    "attributes": sample::ATTRIBUTES,
                    "segments": segments,
                    "segment_names": true,
                },
            } },
        });
        let file = self.dir.join("profile-http.json");
        fs::write(&file, text.to_string())?;
        Ok(file)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // What remains lies in the directory for temporary files.
        let _ = fs::remove_dir_all(&self.dir);
    }
}
