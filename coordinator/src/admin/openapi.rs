//! The description of the API, made from the handlers themselves.

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::routes;

#[derive(OpenApi)]
#[openapi(
    info(title = "Quorate coordinator", description = "Admin API: it reads, and takes orders that approvers have signed"),
    paths(
        routes::healthz,
        routes::readyz,
        routes::metrics_text,
        routes::status,
        routes::jobs,
        routes::rounds,
        routes::round,
        routes::nodes,
        routes::models,
        routes::keys,
        routes::key,
        routes::compliance,
        routes::checkpoint,
        routes::orders,
        routes::order,
        routes::document,
    ),
    security(("token" = [])),
    modifiers(&Token)
)]
struct Api;

struct Token;

impl Modify for Token {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        api.components.get_or_insert_default().add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// The document as JSON.
pub(super) fn document() -> String {
    // Maps with string keys and no numbers that JSON lacks: it always serialises.
    Api::openapi().to_json().unwrap_or_default()
}
