//! What the admin listener answers.

use std::fmt::Write;
use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, RawQuery, Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HOST, WWW_AUTHENTICATE};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use serde::Serialize;
use tokio::sync::oneshot;

use super::{Gateway, health, metrics, text};
use crate::accounts::command::CommandError;

/// Everything there is.
pub(super) fn router(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/metrics", get(scrape))
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/drain", post(drain))
        .route("/accounts", post(accounts))
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(BODY_LEN_MAX))
        .layer(from_fn(guard))
        .with_state(gateway)
}

async fn index() -> &'static str {
    "shardwire admin\n\n\
     GET  /metrics         numbers, for Prometheus\n\
     GET  /livez           200 while every shard answers; else names those that do not\n\
     GET  /readyz          200 while clients can log in and send; ?verbose lists what that needs\n\
     POST /drain           ends the gateway as SIGTERM does\n\
     POST /accounts        a command about accounts, in JSON; `shardwire users` speaks it\n\n\
     POST needs Authorization: Bearer TOKEN; the token is in the data directory.\n"
}

async fn scrape(State(gateway): State<Arc<Gateway>>) -> Response {
    let shards = gateway.shards.ask().await;
    ([(CONTENT_TYPE, text::CONTENT_TYPE)], metrics::render(&gateway.whole(), &shards)).into_response()
}

async fn live(State(gateway): State<Arc<Gateway>>) -> Response {
    let shards = gateway.shards.ask().await;
    let late: Vec<String> =
        shards.iter().enumerate().filter(|(_, answer)| answer.is_none()).map(|(shard, _)| shard.to_string()).collect();
    if late.is_empty() {
        (StatusCode::OK, "ok\n".to_owned()).into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("no answer from shard {}\n", late.join(", "))).into_response()
    }
}

async fn ready(State(gateway): State<Arc<Gateway>>, RawQuery(query): RawQuery) -> Response {
    let checks = health::checks(gateway.stage(), &gateway.shards.ask().await);
    let is_ready = checks.iter().all(|check| check.is_good);
    let is_verbose = query.is_some_and(|query| query.split('&').any(|key| key == "verbose" || key == "verbose=true"));
    let mut body = String::new();
    if is_verbose || !is_ready {
        for check in checks.iter().filter(|check| is_verbose || !check.is_good) {
            let sign = if check.is_good { '+' } else { '-' };
            writeln!(body, "[{sign}] {}: {}", check.name, check.state).expect("a string takes everything");
        }
    }
    body.push_str(if is_ready { "ready\n" } else { "not ready\n" });
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, body).into_response()
}

async fn drain(State(gateway): State<Arc<Gateway>>, headers: HeaderMap, _: Bytes) -> Response {
    if let Err(reason) = authorize(&gateway, &headers) {
        return unauthorized(reason);
    }
    gateway.drain();
    (StatusCode::ACCEPTED, "draining\n").into_response()
}

async fn accounts(State(gateway): State<Arc<Gateway>>, headers: HeaderMap, body: Bytes) -> Response {
    if let Err(reason) = authorize(&gateway, &headers) {
        return unauthorized(reason);
    }
    let command = match serde_json::from_slice(&body) {
        Ok(command) => command,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("not a command: {error}\n")).into_response(),
    };
    let (reply, answer) = oneshot::channel();
    gateway.setup.accounts.ask(command, move |result| {
        // Who has stopped waiting is not there any more.
        let _ = reply.send(result);
    });
    match answer.await {
        Ok(Ok(answer)) => json(StatusCode::OK, &answer),
        Ok(Err(error)) => json(status_of(&error), &error),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the gateway is ending\n").into_response(),
    }
}

fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let body = serde_json::to_vec(value).expect("names, numbers and words are JSON");
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}

fn status_of(error: &CommandError) -> StatusCode {
    match error {
        CommandError::NoSuchAccount => StatusCode::NOT_FOUND,
        CommandError::NameTaken | CommandError::StillPurging => StatusCode::CONFLICT,
        CommandError::BadPassword => StatusCode::UNPROCESSABLE_ENTITY,
        CommandError::Busy => StatusCode::SERVICE_UNAVAILABLE,
        CommandError::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

async fn not_found(uri: Uri) -> Response {
    (StatusCode::NOT_FOUND, format!("there is no {}; / lists what there is\n", uri.path())).into_response()
}

async fn wrong_method() -> Response {
    (StatusCode::METHOD_NOT_ALLOWED, "not with this method; / lists what there is\n").into_response()
}

/// Whether the request knows the token; if not, what it is told.
fn authorize(gateway: &Gateway, headers: &HeaderMap) -> Result<(), &'static str> {
    let given = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes).and_then(|value| {
        let (scheme, token) = value.split_at_checked(b"Bearer ".len())?;
        scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token.trim_ascii())
    });
    match given {
        Some(token) if gateway.token.is(token) => Ok(()),
        Some(_) => Err("wrong token\n"),
        None => Err("needs Authorization: Bearer TOKEN\n"),
    }
}

fn unauthorized(reason: &'static str) -> Response {
    (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")], reason).into_response()
}

/// Around every request. A page that a browser loads from elsewhere may reach a loopback address under a name of its own (DNS
/// rebinding): its requests say that name. And each connection is for one request, so that its time has an end.
async fn guard(request: Request, next: Next) -> Response {
    let host = request.headers().get(HOST).map(HeaderValue::as_bytes);
    let mut response = match host.map(is_this_machine) {
        Some(true) => next.run(request).await,
        Some(false) => {
            (StatusCode::MISDIRECTED_REQUEST, "ask for localhost, or for a loopback address\n").into_response()
        }
        None => (StatusCode::BAD_REQUEST, "needs a Host\n").into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn is_this_machine(host: &[u8]) -> bool {
    let Ok(authority) = Authority::try_from(host) else { return false };
    let name = authority.host();
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// More than the longest command has.
const BODY_LEN_MAX: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_s_own_names_are_hosts() {
        for host in ["localhost", "LocalHost:7401", "127.0.0.1", "127.0.0.1:7401", "127.9.9.9:1", "[::1]:7401", "[::1]"]
        {
            assert!(is_this_machine(host.as_bytes()), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example:7401",
            "10.0.0.1",
            "[::2]:1",
            "\u{e4}",
        ] {
            assert!(!is_this_machine(host.as_bytes()), "{host}");
        }
    }
}
