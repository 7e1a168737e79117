// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! From a request to its response.

use std::convert::Infallible;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderName, HeaderValue,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Request, Response, StatusCode};

use super::page::{PAGE, POLICY};
use super::source::Source;
use super::{exposition, window_json};

/// A whole response.
pub(super) type Answer = Response<Full<Bytes>>;

/// Names by which a host reaches itself.
const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

const PLAIN: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";

/// Answers one request.
pub(super) fn answer<B>(
    source: &Source,
    only_local: bool,
    request: &Request<B>,
) -> Result<Answer, Infallible> {
    let answer = if only_local && !names_this_host(request) {
        let text = "this page is for this host alone; ask for 127.0.0.1 or localhost\n";
        say(StatusCode::FORBIDDEN, text)
    } else if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused = say(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        let allowed = HeaderValue::from_static("GET, HEAD");
        refused.headers_mut().insert(ALLOW, allowed);
        refused
    } else {
        look(source, request.uri().path())
    };
    Ok(answer)
}

fn look(source: &Source, path: &str) -> Answer {
    match path {
        "/" => page(),
        "/metrics" => {
            let text = source
                .snapshot()
                .and_then(|seen| exposition::text(seen).ok());
            numbers(exposition::CONTENT_TYPE, text)
        }
        "/window.json" => {
            let text = source
                .snapshot()
                .and_then(|seen| window_json::text(&seen).ok());
            numbers(JSON, text)
        }
        _ => say(
            StatusCode::NOT_FOUND,
            "there are /, /metrics and /window.json\n",
        ),
    }
}

fn page() -> Answer {
    let mut answer = respond(StatusCode::OK, HTML, PAGE.as_str());
    if let Ok(policy) = HeaderValue::from_str(&POLICY) {
        answer.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    answer
}

fn numbers(kind: &'static str, text: Option<String>) -> Answer {
    match text {
        Some(text) => respond(StatusCode::OK, kind, text),
        None => say(StatusCode::INTERNAL_SERVER_ERROR, "there are no numbers\n"),
    }
}

fn names_this_host<B>(request: &Request<B>) -> bool {
    let Some(Ok(host)) = request.headers().get(HOST).map(HeaderValue::to_str) else {
        return false;
    };
    // A port is what follows the last colon, but for one within the brackets of an IPv6 address.
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => name,
        _ => host,
    };
    LOCAL_NAMES
        .iter()
        .any(|local| name.eq_ignore_ascii_case(local))
}

fn say(status: StatusCode, text: &'static str) -> Answer {
    respond(status, PLAIN, text)
}

fn respond(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers: [(HeaderName, &str); 5] = [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    for (name, value) in headers {
        answer
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::{HOST, Request, names_this_host};

    #[test]
    fn only_names_of_this_host_are_its_own() {
        let own = [
            "localhost",
            "LocalHost:9100",
            "127.0.0.1",
            "127.0.0.1:1",
            "[::1]",
            "[::1]:80",
        ];
        for host in own {
            let request = Request::builder().header(HOST, host).body(()).unwrap();
            assert!(names_this_host(&request), "{host}");
        }
        let others = [
            "",
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil:80",
            "::1",
        ];
        for host in others {
            let request = Request::builder().header(HOST, host).body(()).unwrap();
            assert!(!names_this_host(&request), "{host}");
        }
        assert!(!names_this_host(&Request::new(())), "no name at all");
    }
}
