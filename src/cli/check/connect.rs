use http::Uri;
use jiff::Timestamp;
use profile_http::endpoint::{
    SendError, TransportSettings,
    diagnose::{self, Handshake, Route, ShownCertificate},
};

use super::step::Step;

/// The steps of connecting to a server, up to the first that fails.
pub(super) async fn steps(url: &Uri, settings: &TransportSettings) -> Vec<Step> {
    let mut steps = Vec::new();
    // What failed is among the steps.
    let _ = connect(url, settings, &mut steps).await;
    steps
}

/// A step has failed.
struct Failed;

async fn connect(
    url: &Uri,
    settings: &TransportSettings,
    steps: &mut Vec<Step>,
) -> Result<(), Failed> {
    let mut note = |step: &'static str, result: Result<String, String>| match result {
        Ok(detail) => {
            steps.push(Step::ok(step, detail));
            Ok(())
        }
        Err(detail) => {
            steps.push(Step::failed(step, detail));
            Err(Failed)
        }
    };
    let route = match diagnose::route(url, settings) {
        Ok(route) => route,
        Err(error) => return note("settings", Err(error.to_string())),
    };
    let host = route.first_host();

    let looked_up = diagnose::resolve(host, route.first_port()).await;
    let addresses = looked_up.as_deref().unwrap_or_default().to_vec();
    note("dns", looked_up.map(|_| found(host, &addresses)).map_err(|error| unresolved(&error)))?;

    let connected = diagnose::connect(&addresses, settings.connect_timeout).await;
    let (connection, result) = match connected {
        Ok(connection) => {
            let peer = connection.peer_addr().map_or_else(|_| host.to_owned(), |a| a.to_string());
            (Some(connection), Ok(format!("connected to {peer}{}", by_proxy(&route))))
        }
        Err(error) => (None, Err(unconnected(&error.to_string()))),
    };
    note("tcp", result)?;
    let Some(mut connection) = connection else { return Err(Failed) };

    if let Some(proxy) = route.proxy() {
        let tunnel = diagnose::tunnel(&route, &mut connection).await;
        let through = format!("{proxy} connects to the endpoint");
        note("proxy", tunnel.map(|()| through).map_err(|error| error.to_string()))?;
    }
    if route.over_tls() {
        let spoken = diagnose::handshake(&route, connection, settings).await;
        note("tls", spoken.map_err(|error| error.to_string()).and_then(judge))?;
    }
    Ok(())
}

fn found(host: &str, addresses: &[std::net::SocketAddr]) -> String {
    let addresses: Vec<_> = addresses.iter().map(|address| address.ip().to_string()).collect();
    if addresses == [host] {
        host.to_owned()
    } else {
        format!("{host} is {}", addresses.join(", "))
    }
}

fn unresolved(error: &SendError) -> String {
    format!(
        "{}; check the name in the URL, and the resolver of this machine (/etc/resolv.conf)",
        error.to_string().trim_start_matches("cannot connect: ")
    )
}

fn unconnected(error: &str) -> String {
    format!("{error}; check the port, that the server runs, and the firewalls on the way")
}

fn by_proxy(route: &Route) -> &'static str {
    if route.proxy().is_some() { ", the proxy" } else { "" }
}

/// What a handshake tells: with the certificates that were seen, also when they are not accepted.
fn judge(handshake: Handshake) -> Result<String, String> {
    let chain: Vec<_> = handshake.chain.iter().map(shown).collect();
    let chain = match chain.as_slice() {
        [] => "no certificate was shown".to_owned(),
        chain => format!("certificates: {}", chain.join(" <- ")),
    };
    if let Err(error) = handshake.outcome {
        return Err(format!("{error}; {chain}"));
    }
    let version = handshake.version.unwrap_or_default().replace("TLSv1_", "TLS 1.");
    let http = handshake.alpn.map_or_else(String::new, |alpn| format!(", {alpn}"));
    let client = if handshake.asks_for_client { ", a client certificate is wanted" } else { "" };
    Ok(format!("{version}{http}{client}; {chain}"))
}

fn shown(certificate: &ShownCertificate) -> String {
    let ShownCertificate { subject, issuer, not_after, names } = certificate;
    let until = Timestamp::from_second(*not_after)
        .map_or_else(|_| "?".to_owned(), |until| until.strftime("%Y-%m-%d").to_string());
    let names = if names.is_empty() { String::new() } else { format!(" for {}", names.join(", ")) };
    format!("{subject}{names}, by {issuer}, until {until}")
}
