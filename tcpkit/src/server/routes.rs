//! What is where, who may ask for it, and how it is sent.

use std::{net::IpAddr, sync::Arc};

use hyper::{
    Method, Request, Response, StatusCode, Version,
    body::Bytes,
    header::{self, HeaderValue},
};
use serde_json::Value;

use super::{State, body::Payload, metrics, operations, page};
use crate::stats::established;

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// The text format of Prometheus.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is no page may load nothing.
const NO_PAGE: &str = "default-src 'none'";

/// How many transactions are listed unless somebody says how many.
const DEFAULT_LIMIT: usize = 100;

/// An answer without the headers that all have.
struct Answer {
    status: StatusCode,
    kind: &'static str,
    payload: Payload,
    policy: HeaderValue,
}

impl Answer {
    fn of(kind: &'static str, text: impl Into<Bytes>) -> Self {
        Self {
            status: StatusCode::OK,
            kind,
            payload: Payload::Whole(Some(text.into())),
            policy: HeaderValue::from_static(NO_PAGE),
        }
    }

    fn refusal(status: StatusCode, why: &'static str) -> Self {
        Self { status, ..Self::of(TEXT, format!("{why}\n")) }
    }
}

/// Answers a request.
pub(super) async fn answer<B>(request: &Request<B>, state: &Arc<State>) -> Response<Payload> {
    let answer = match refuse(request, state) {
        Some(refusal) => refusal,
        None => route(request, state).await,
    };
    respond(answer, request.method() == Method::HEAD)
}

fn respond(answer: Answer, head_only: bool) -> Response<Payload> {
    let Answer { status, kind, payload, policy } = answer;
    let len = match &payload {
        Payload::Whole(bytes) => Some(bytes.as_ref().map_or(0, Bytes::len)),
        Payload::Events(_) => None,
    };
    let mut response = Response::new(if head_only { Payload::Whole(None) } else { payload });
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(len) = len {
        headers.insert(header::CONTENT_LENGTH, len.into());
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

/// Why a request is not looked at any further, if there is a reason.
fn refuse<B>(request: &Request<B>, state: &State) -> Option<Answer> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = hosts.next();
    // RFC 9112, 3.2.
    if hosts.next().is_some() || host.is_none() && request.version() == Version::HTTP_11 {
        return Some(Answer::refusal(StatusCode::BAD_REQUEST, "a request needs one Host"));
    }
    // A page whose name was made to point here (DNS rebinding) sends that name; its script may not read
    // what only this host's users may.
    let target = request.uri().host();
    let hosts = host.map(|it| it.to_str().unwrap_or("?")).into_iter().chain(target);
    if state.is_local && !hosts.into_iter().all(is_own_name) {
        return Some(Answer::refusal(
            StatusCode::MISDIRECTED_REQUEST,
            "only localhost and addresses are names of this server",
        ));
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Some(Answer::refusal(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD"));
    }
    None
}

/// Whether a host, perhaps with a port, is an address or localhost.
fn is_own_name(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, _)) => return name.parse::<IpAddr>().is_ok(),
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

async fn route<B>(request: &Request<B>, state: &Arc<State>) -> Answer {
    let statistics = &state.sources.statistics;
    match request.uri().path() {
        "/" => {
            let page = page::page();
            let policy = HeaderValue::from_str(&page.policy);
            let answer = Answer::of("text/html; charset=utf-8", page.html.as_bytes());
            Answer { policy: policy.unwrap_or(HeaderValue::from_static(NO_PAGE)), ..answer }
        }
        "/stats" => Answer::of(JSON, established::json(&statistics.collected())),
        "/metrics" => {
            let ledger = state.ledger().await;
            let script = state.sources.script.get();
            Answer::of(METRICS, metrics::text(&statistics.collected(), &ledger, script))
        }
        "/transactions" => transactions(request.uri().query().unwrap_or(""), state),
        "/operations" => list_operations(request.uri().query().unwrap_or(""), state),
        "/events" if request.method() == Method::HEAD => Answer::of("text/event-stream", ""),
        "/events" => {
            let payload = Payload::Events(state.events.subscribe(state));
            Answer { payload, ..Answer::of("text/event-stream", "") }
        }
        "/healthz" => Answer::of(TEXT, "ok\n"),
        _ => Answer::refusal(StatusCode::NOT_FOUND, "there is nothing here"),
    }
}

/// The latest slow ones, newest first.
fn transactions(query: &str, state: &State) -> Answer {
    let Some(Query { slow_ns, limit }) = Query::parse(query) else {
        let why = "slow is a number of ms, and limit is how many at most";
        return Answer::refusal(StatusCode::BAD_REQUEST, why);
    };
    let latest = state.sources.statistics.slow().map(|slow| slow.latest(slow_ns, 0, limit));
    let latest = latest.unwrap_or_default();
    let objects: Vec<&str> = latest.iter().map(|it| &*it.object).collect();
    Answer::of(JSON, format!("[{}]\n", objects.join(",\n")))
}

/// The operations that took most time together.
fn list_operations(query: &str, state: &State) -> Answer {
    let Some(query) = operations::Query::parse(query) else {
        let why = "window is minute, five-minutes or all, and limit is how many at most";
        return Answer::refusal(StatusCode::BAD_REQUEST, why);
    };
    let statistics = &state.sources.statistics;
    let list = operations::list(&statistics.collected(), statistics.second(), &query);
    Answer::of(JSON, format!("{}\n", Value::from(list)))
}

/// What of the transactions is wanted.
#[derive(Debug, PartialEq)]
struct Query {
    slow_ns: u64,
    limit: usize,
}

impl Query {
    /// `None` where it makes no sense. What is not known is not looked at.
    fn parse(query: &str) -> Option<Self> {
        let mut parsed = Self { slow_ns: 0, limit: DEFAULT_LIMIT };
        for (name, value) in query.split('&').filter_map(|one| one.split_once('=')) {
            match name {
                "slow" => {
                    let ms: f64 = value.parse().ok().filter(|ms: &f64| *ms >= 0.0)?;
                    #[expect(
                        clippy::cast_possible_truncation,
                        clippy::cast_sign_loss,
                        reason = "it is not negative, and too much becomes the most there is"
                    )]
                    let ns = (ms * 1e6) as u64;
                    parsed.slow_ns = ns;
                }
                "limit" => parsed.limit = value.parse().ok()?,
                _ => {}
            }
        }
        Some(parsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_names_are_addresses_and_localhost() {
        for name in [
            "localhost",
            "LocalHost:33333",
            "127.0.0.1",
            "127.0.0.1:33333",
            "[::1]",
            "[::1]:80",
            "192.168.0.1",
        ] {
            assert!(is_own_name(name), "{name}");
        }
        for name in
            ["", "?", "evil.example", "localhost.evil.example:80", "127.0.0.1.evil.example", "[x]"]
        {
            assert!(!is_own_name(name), "{name}");
        }
    }

    #[test]
    fn queries_are_numbers() {
        let query = |slow_ns, limit| Some(Query { slow_ns, limit });
        assert_eq!(Query::parse(""), query(0, DEFAULT_LIMIT));
        assert_eq!(Query::parse("slow=2.5&limit=7&x=y"), query(2_500_000, 7));
        assert_eq!(Query::parse("slow=1e300"), query(u64::MAX, DEFAULT_LIMIT));
        for bad in ["slow=", "slow=x", "slow=-1", "slow=nan", "limit=-1", "limit=1.5"] {
            assert_eq!(Query::parse(bad), None, "{bad}");
        }
    }
}
