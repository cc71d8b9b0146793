//! Who may ask: the token before anything else, then the method: GET, and POST where orders are given.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    ALLOW, AUTHORIZATION, CACHE_CONTROL, CONNECTION, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq as _;
use tokio::time::timeout;

use super::{AdminConfig, gate, routes};

/// Lets a request pass, or answers it.
pub(super) async fn guard(State(config): State<Arc<AdminConfig>>, request: Request, next: Next) -> Response {
    let mut response = if !is_open(&config, &request) && !is_known(&config, request.headers()) {
        // One answer for all paths and methods. The scheme is named because HTTP wants it, the realm is not.
        (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")]).into_response()
    } else if request.method() != Method::GET && !is_order(&request) {
        (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET")]).into_response()
    } else {
        // The connection ends after this time too; an answer in time is the source's duty.
        match timeout(gate::TIME, next.run(request)).await {
            Ok(response) => response,
            Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        }
    };
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Whether the request is one of the few that are no question.
fn is_order(request: &Request) -> bool {
    request.method() == Method::POST && request.uri().path() == routes::ORDERS
}

/// Whether the request needs no token.
fn is_open(config: &AdminConfig, request: &Request) -> bool {
    let path = request.uri().path();
    request.method() == Method::GET && (path == "/healthz" || (config.metrics_public && path == "/metrics"))
}

/// Whether the request carries the token: exactly one `Authorization: Bearer <token>`.
fn is_known(config: &AdminConfig, headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let Some((scheme, token)) = value.as_bytes().split_at_checked(BEARER.len()) else { return false };
    scheme.eq_ignore_ascii_case(BEARER) && bool::from(token.ct_eq(config.token.bytes()))
}

const BEARER: &[u8] = b"Bearer ";
