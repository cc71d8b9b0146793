//! The routes.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use serde::Serialize;
use utoipa::ToSchema;

use super::guard::guard;
use super::keys::{ComplianceAnswer, KeyQuery, KeyRow, NotTaken, OrderRow, Taken};
use super::{AdminConfig, AdminSource, Unavailable, openapi};
use crate::metrics;
use crate::rows::{ModelQuery, ModelRow, NodeRow, RoundQuery, RoundRow, StatusAnswer};
use crate::status::{JobStatus, Status};

/// The whole API behind its guard.
pub(super) fn router<S: AdminSource>(config: AdminConfig, source: Arc<S>) -> Router {
    let routes = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz::<S>))
        .route("/metrics", get(metrics_text::<S>))
        .route("/v1/status", get(status::<S>))
        .route("/v1/jobs", get(jobs::<S>))
        .route("/v1/rounds", get(rounds::<S>))
        .route("/v1/rounds/{number}", get(round::<S>))
        .route("/v1/nodes", get(nodes::<S>))
        .route("/v1/models", get(models::<S>))
        .route("/v1/keys", get(keys::<S>))
        .route("/v1/keys/{class}/{name}/{version}", get(key::<S>))
        .route("/v1/compliance", get(compliance::<S>))
        .route("/v1/audit/checkpoint", get(checkpoint::<S>))
        .route("/v1/orders", get(orders::<S>).post(order::<S>))
        .route("/v1/openapi.json", get(document))
        .fallback(async || Problem::NotFound)
        .with_state(source);
    // Around all of it: a layer on the routes themselves would let them add `Allow` to a refusal, which tells known
    // paths from unknown ones.
    Router::new().fallback_service(routes).layer(from_fn_with_state(Arc::new(config), guard))
}

/// The paths of [`router`], as the document writes them; a test compares.
#[cfg(test)]
pub(super) const PATHS: [&str; 15] = [
    "/healthz",
    "/readyz",
    "/metrics",
    "/v1/status",
    "/v1/jobs",
    "/v1/rounds",
    "/v1/rounds/{number}",
    "/v1/nodes",
    "/v1/models",
    "/v1/keys",
    "/v1/keys/{class}/{name}/{version}",
    "/v1/compliance",
    "/v1/audit/checkpoint",
    "/v1/orders",
    "/v1/openapi.json",
];

/// Where orders are given.
pub(super) const ORDERS: &str = "/v1/orders";

/// Whether the coordinator is ready for rounds.
#[derive(Serialize, ToSchema)]
pub(super) struct Readiness {
    /// Whether it is.
    ready: bool,
    /// Why not.
    why: Option<String>,
}

/// What was wrong with a request.
#[derive(Serialize, ToSchema)]
pub(super) struct Wrong {
    /// In words.
    error: String,
}

/// An answer that is none.
pub(super) enum Problem {
    NotFound,
    BadRequest,
    Unavailable,
    NotTaken(NotTaken),
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (code, error) = match self {
            Self::NotFound => (StatusCode::NOT_FOUND, "there is no such thing"),
            Self::BadRequest => {
                (StatusCode::BAD_REQUEST, "a number or an option of the request is not possible")
            }
            Self::Unavailable | Self::NotTaken(NotTaken::Unavailable(_)) => {
                (StatusCode::SERVICE_UNAVAILABLE, "the store cannot be read; see the log")
            }
            Self::NotTaken(why) => {
                let code = match why {
                    NotTaken::NotApproved(_) => StatusCode::FORBIDDEN,
                    NotTaken::Before => StatusCode::CONFLICT,
                    _ => StatusCode::BAD_REQUEST,
                };
                return (code, Json(Wrong { error: why.to_string() })).into_response();
            }
        };
        (code, Json(Wrong { error: error.to_owned() })).into_response()
    }
}

impl From<Unavailable> for Problem {
    fn from(_: Unavailable) -> Self {
        Self::Unavailable
    }
}

impl From<QueryRejection> for Problem {
    fn from(_: QueryRejection) -> Self {
        Self::BadRequest
    }
}

impl From<PathRejection> for Problem {
    fn from(_: PathRejection) -> Self {
        Self::BadRequest
    }
}

/// The process answers. Needs no token, tells nothing.
#[utoipa::path(get, path = "/healthz", security(()), responses((status = 200)))]
pub(super) async fn healthz() -> StatusCode {
    StatusCode::OK
}

/// Whether rounds can be played.
#[utoipa::path(get, path = "/readyz", responses((status = 200, body = Readiness), (status = 503, body = Readiness)))]
pub(super) async fn readyz<S: AdminSource>(State(source): State<Arc<S>>) -> Response {
    let Status { ready, why, .. } = &*source.status();
    let code = if *ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(Readiness { ready: *ready, why: why.clone() })).into_response()
}

/// Metrics in the text format of Prometheus.
#[utoipa::path(get, path = "/metrics", responses((status = 200, body = String, content_type = "text/plain")))]
pub(super) async fn metrics_text<S: AdminSource>(State(source): State<Arc<S>>) -> impl IntoResponse {
    let text = metrics::render(&source.status(), &source.tally(), &source.counts());
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text)
}

/// The present.
#[utoipa::path(get, path = "/v1/status", responses((status = 200, body = StatusAnswer)))]
pub(super) async fn status<S: AdminSource>(State(source): State<Arc<S>>) -> Json<StatusAnswer> {
    let status = Status::clone(&source.status());
    let connected = u32::try_from(status.connected.len()).unwrap_or(u32::MAX);
    Json(StatusAnswer { version: env!("CARGO_PKG_VERSION").to_owned(), connected, status })
}

/// Every job, by name.
#[utoipa::path(get, path = "/v1/jobs", responses((status = 200, body = [JobStatus])))]
pub(super) async fn jobs<S: AdminSource>(State(source): State<Arc<S>>) -> Json<Vec<JobStatus>> {
    Json(source.status().jobs.values().cloned().collect())
}

/// Rounds, the newest first.
#[utoipa::path(get, path = "/v1/rounds", params(RoundQuery), responses((status = 200, body = [RoundRow]), (status = 400, body = Wrong), (status = 503, body = Wrong)))]
pub(super) async fn rounds<S: AdminSource>(
    State(source): State<Arc<S>>,
    query: Result<Query<RoundQuery>, QueryRejection>,
) -> Result<Json<Vec<RoundRow>>, Problem> {
    let Query(query) = query?;
    if query.limit.is_some_and(|limit| limit == 0 || limit > RoundQuery::MAX_LIMIT) {
        return Err(Problem::BadRequest);
    }
    Ok(Json(source.rounds(query).await?))
}

/// One round.
#[utoipa::path(get, path = "/v1/rounds/{number}", params(("number" = u64, Path)), responses((status = 200, body = RoundRow), (status = 400, body = Wrong), (status = 404, body = Wrong), (status = 503, body = Wrong)))]
pub(super) async fn round<S: AdminSource>(
    State(source): State<Arc<S>>,
    number: Result<Path<u64>, PathRejection>,
) -> Result<Json<RoundRow>, Problem> {
    let Path(number) = number?;
    source.round(number).await?.map(Json).ok_or(Problem::NotFound)
}

/// All parties.
#[utoipa::path(get, path = "/v1/nodes", responses((status = 200, body = [NodeRow]), (status = 503, body = Wrong)))]
pub(super) async fn nodes<S: AdminSource>(
    State(source): State<Arc<S>>,
) -> Result<Json<Vec<NodeRow>>, Problem> {
    Ok(Json(source.nodes().await?))
}

/// Versions of the models, the newest of each job first.
#[utoipa::path(get, path = "/v1/models", params(ModelQuery), responses((status = 200, body = [ModelRow]), (status = 400, body = Wrong), (status = 503, body = Wrong)))]
pub(super) async fn models<S: AdminSource>(
    State(source): State<Arc<S>>,
    query: Result<Query<ModelQuery>, QueryRejection>,
) -> Result<Json<Vec<ModelRow>>, Problem> {
    let Query(query) = query?;
    Ok(Json(source.models(query).await?))
}

/// Every key, by class and name.
#[utoipa::path(get, path = "/v1/keys", params(KeyQuery), responses((status = 200, body = [KeyRow]), (status = 400, body = Wrong)))]
pub(super) async fn keys<S: AdminSource>(
    State(source): State<Arc<S>>,
    query: Result<Query<KeyQuery>, QueryRejection>,
) -> Result<Json<Vec<KeyRow>>, Problem> {
    let Query(query) = query?;
    query.of(&source.keys()).map(Json).ok_or(Problem::BadRequest)
}

/// One version of a key.
#[utoipa::path(get, path = "/v1/keys/{class}/{name}/{version}", params(("class" = String, Path), ("name" = String, Path), ("version" = u32, Path)), responses((status = 200, body = KeyRow), (status = 400, body = Wrong), (status = 404, body = Wrong)))]
pub(super) async fn key<S: AdminSource>(
    State(source): State<Arc<S>>,
    place: Result<Path<(String, String, u32)>, PathRejection>,
) -> Result<Json<KeyRow>, Problem> {
    let Path((class, name, version)) = place?;
    let id = format!("{class}/{name}@{version}");
    source.keys().keys.iter().find(|row| row.key == id).cloned().map(Json).ok_or(Problem::NotFound)
}

/// Where keys and policy disagree.
#[utoipa::path(get, path = "/v1/compliance", responses((status = 200, body = ComplianceAnswer)))]
pub(super) async fn compliance<S: AdminSource>(State(source): State<Arc<S>>) -> Json<ComplianceAnswer> {
    Json(source.keys().compliance.clone())
}

/// The newest checkpoint of the audit log: keep it where the coordinator cannot reach it.
#[utoipa::path(get, path = "/v1/audit/checkpoint", responses((status = 200, body = String, content_type = "text/plain"), (status = 404, body = Wrong)))]
pub(super) async fn checkpoint<S: AdminSource>(
    State(source): State<Arc<S>>,
) -> Result<impl IntoResponse, Problem> {
    let note = source.keys().checkpoint.clone();
    if note.is_empty() {
        return Err(Problem::NotFound);
    }
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], note))
}

/// Orders about keys, the oldest first.
#[utoipa::path(get, path = "/v1/orders", responses((status = 200, body = [OrderRow]), (status = 503, body = Wrong)))]
pub(super) async fn orders<S: AdminSource>(
    State(source): State<Arc<S>>,
) -> Result<Json<Vec<OrderRow>>, Problem> {
    Ok(Json(source.orders().await?))
}

/// Gives an order, the file that `quorate keys … --out` writes. It must be approved of by an approver at least.
#[utoipa::path(post, path = "/v1/orders", request_body(content = String, content_type = "application/json"), responses((status = 202, body = Taken), (status = 400, body = Wrong), (status = 403, body = Wrong), (status = 409, body = Wrong), (status = 503, body = Wrong)))]
pub(super) async fn order<S: AdminSource>(
    State(source): State<Arc<S>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Taken>), Problem> {
    let body = body.map_err(|_| Problem::BadRequest)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let now = u64::try_from(now).unwrap_or(u64::MAX);
    let digest = source.submit(body.to_vec(), now).await.map_err(Problem::NotTaken)?;
    Ok((StatusCode::ACCEPTED, Json(Taken { digest })))
}

/// This description.
#[utoipa::path(get, path = "/v1/openapi.json", responses((status = 200, body = String, content_type = "application/json")))]
pub(super) async fn document() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], openapi::document())
}
