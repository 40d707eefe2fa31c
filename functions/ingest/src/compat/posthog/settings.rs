//! What the libraries ask before and beside sending: fixed settings that switch off what Tally does not offer.

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, StatusCode};
use serde_json::{Value, json};
use tally_core::app::key::hex;
use tally_core::digest::sha256;
use tally_core::event::id::EventId;
use tally_http::problem::{self, Problem};

use crate::compat::call::Call;

/// How long a browser may keep the settings, as at `PostHog`.
const CACHE: HeaderValue = HeaderValue::from_static("public, max-age=300");
/// The longest project token in a path.
const MAX_TOKEN: usize = 200;

/// Answers a request that asks for settings, if it is one.
pub(super) fn answer(call: &Call) -> Option<Result<Response, Problem>> {
    let of_array = call.path.strip_prefix("/array/").and_then(|rest| rest.split_once('/'));
    Some(match (of_array, call.path.as_str()) {
        (Some((_, "config")), _) => problem::json(StatusCode::OK, &config()).map(cached),
        (Some((token, "config.js")), _) => script(token).map(cached),
        (None, "/flags") => problem::json(StatusCode::OK, &flags(call)),
        (None, "/decide") => problem::json(StatusCode::OK, &decision(call)),
        (None, "/api/surveys") => problem::json(StatusCode::OK, &json!({"surveys": []})),
        (None, "/api/web_experiments") => problem::json(StatusCode::OK, &json!({"experiments": []})),
        (None, "/api/product_tours") => problem::json(StatusCode::OK, &json!({"product_tours": []})),
        (None, "/api/early_access_features") => problem::json(StatusCode::OK, &json!({"earlyAccessFeatures": []})),
        (None, "/api/feature_flag/local_evaluation") => {
            problem::json(StatusCode::OK, &json!({"flags": [], "group_type_mapping": {}, "cohorts": {}}))
        }
        (None, path) if path.starts_with("/static/") => {
            Err(Problem::NotFound("scripts are not served: see docs/clients.md".to_owned()))
        }
        // An old library that sends an event as a picture always has `data`.
        (None, "/e" | "/s") if call.method == Method::HEAD => Ok(StatusCode::OK.into_response()),
        _ => return None,
    })
}

/// The settings, with everything off but events. Without `supportedCompression` browsers would send plain JSON, which needs
/// a preflight. With any `surveys`, even `false`, posthog-js loads its script for them.
fn config() -> Value {
    json!({
        "hasFeatureFlags": false,
        "supportedCompression": ["gzip", "gzip-js"],
        "sessionRecording": false,
        "productTours": false,
        "heatmaps": false,
        "capturePerformance": false,
        "autocaptureExceptions": false,
        "defaultIdentifiedOnly": true,
        "isAuthenticated": false,
        "siteApps": [],
        "toolbarParams": {},
        "analytics": {"endpoint": "/i/v0/e/"},
        "config": {"enable_collect_everything": true},
    })
}

/// The settings as a script.
fn script(token: &str) -> Result<Response, Problem> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if token.is_empty() || token.len() > MAX_TOKEN || !token.chars().all(is_plain) {
        return Err(Problem::NotFound("no such project token".to_owned()));
    }
    let script = format!(
        "(function(){{window._POSTHOG_REMOTE_CONFIG=window._POSTHOG_REMOTE_CONFIG||{{}};\
         window._POSTHOG_REMOTE_CONFIG[\"{token}\"]={{config:{},siteApps:[]}}}})();",
        config()
    );
    Ok(([(CONTENT_TYPE, "application/javascript; charset=utf-8")], script).into_response())
}

fn cached(mut reply: Response) -> Response {
    reply.headers_mut().insert(CACHE_CONTROL, CACHE);
    reply
}

/// No feature flags, in the form that the version of the request has.
fn flags(call: &Call) -> Value {
    let mut reply = match call.parameter("v") {
        None | Some("1") => json!({
            "featureFlags": {},
            "featureFlagPayloads": {},
            "errorsWhileComputingFlags": false,
        }),
        Some(_) => json!({
            "flags": {},
            "errorsWhileComputingFlags": false,
            "requestId": request_id(call),
            "evaluatedAt": call.now().millis(),
        }),
    };
    if call.parameter("config").is_some_and(|config| config != "false" && config != "0") {
        add(&mut reply, config());
    }
    reply
}

/// Settings and flags together, as older libraries ask for them.
fn decision(call: &Call) -> Value {
    let mut reply = json!({"featureFlags": {}, "featureFlagPayloads": {}, "errorsWhileComputingFlags": false});
    if call.parameter("v") == Some("1") || call.parameter("v").is_none() {
        reply = json!({"featureFlags": [], "errorsWhileComputingFlags": false});
    }
    add(&mut reply, config());
    reply
}

fn add(reply: &mut Value, more: Value) {
    if let (Value::Object(reply), Value::Object(more)) = (reply, more) {
        reply.extend(more);
    }
}

/// An id for a reply, in the form of a UUID.
fn request_id(call: &Call) -> String {
    let id = hex(&sha256(EventId::random(call.now()).to_string().as_bytes()));
    format!("{}-{}-4{}-8{}-{}", &id[..8], &id[8..12], &id[13..16], &id[17..20], &id[20..32])
}
