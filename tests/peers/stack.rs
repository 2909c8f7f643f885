use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderMap, Method, Request, StatusCode};
use profile_http::{
    clock::Clock,
    delivery::{
        AttemptError, AuthSettings, BackoffSettings, Classes, ConcurrencySettings, Deliver,
        DeliverySettings, Gate, RequestSettings,
        auth::{AuthLayer, TokenSource},
        compose, token_transport,
    },
    endpoint::{Http2, TlsSettings, Transport, TransportSettings},
    telemetry::Component,
};
use tower::{ServiceExt, util::MapErr};

use crate::{
    nginx::Nginx,
    oidc::{Client, Oidc},
};

/// A stack that delivers to nginx with tokens of the OAuth2 server.
fn deliver(nginx: &Nginx, oidc: &Oidc, component: &Arc<Component>) -> (Deliver, TokenSource) {
    let oauth2 = oidc.settings(Client::InBody);
    let settings = DeliverySettings {
        endpoint: nginx.url("/profiles").parse().unwrap(),
        method: Method::POST,
        headers: HeaderMap::new(),
        header_templates: Vec::new(),
        auth: AuthSettings::OAuth2(Box::new(oauth2.clone())),
        signing: None,
        request: RequestSettings {
            timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
            http2: Http2::default(),
            proxy: None,
            deadline: Duration::from_secs(30),
            concurrency: ConcurrencySettings::Fixed(20),
            rate_limit: None,
            honour_rate_limit_headers: true,
            retry: BackoffSettings {
                attempts: 3,
                initial: Duration::from_millis(200),
                max_duration: Duration::from_secs(10),
            },
            retry_after_max: Duration::from_mins(5),
            classes: Classes::default(),
            compression: None,
        },
        tls: TlsSettings { ca_file: Some(nginx.ca_file()), ..TlsSettings::default() },
    };
    let transport = token_transport(&oauth2, None).unwrap();
    let tokens = TokenSource::new(oauth2, transport, Clock::system(), component.clone()).unwrap();
    let auth = AuthLayer::new(&settings.auth, Some(tokens.clone())).unwrap();
    let gate = Gate::new(settings.request.retry_after_max, component.clone());
    let request = &settings.request;
    let transport = Transport::new(TransportSettings {
        tls: settings.tls.clone(),
        max_idle: request.concurrency.most(),
        ..TransportSettings::default()
    })
    .unwrap();
    let wire = MapErr::new(transport, AttemptError::from);
    (compose(&settings, &gate, component, auth, wire).service, tokens)
}

#[tokio::test]
async fn a_token_that_is_revoked_while_deliveries_go_on_costs_none_of_them() {
    let Some(oidc) = Oidc::start(600) else { return };
    let protected = format!("{} location / {{ try_files /none =204; }}", oidc.guard());
    let Some(nginx) = Nginx::start(&protected) else { return };
    let component = Component::detached();
    let (service, tokens) = deliver(&nginx, &oidc, &component);
    let burst = async || {
        let answers = join_all((0..200).map(|_| {
            let request = Request::post(nginx.url("/profiles")).body(Bytes::from("{}")).unwrap();
            service.clone().oneshot(request)
        }));
        for answer in answers.await {
            assert_eq!(answer.unwrap().status(), StatusCode::NO_CONTENT);
        }
    };
    burst().await;
    let token = tokens.token().await.unwrap();
    let (_, token) = token.authorization().to_str().unwrap().split_once(' ').unwrap();
    oidc.revoke(token).await;
    burst().await;
    assert_eq!(oidc.grants().await, 2);
    assert!(component.responses(401).get() >= 1, "nginx rejected the revoked token");
}
