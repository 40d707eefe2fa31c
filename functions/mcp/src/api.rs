//! The API, asked in this process by the credential of who asked the tool: its guards decide what may be read, as they do for
//! everybody.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tally_http::body::read;
use tally_http::reply::MAX_BODY;
use tally_service::context::Context;
use tower::ServiceExt;

use crate::arguments::Parameters;
use crate::refusal::Refusal;

/// The functions that answer.
#[derive(Clone)]
pub(crate) struct Api(Router);

impl Api {
    pub(crate) fn new(context: &Arc<Context>) -> Self {
        let functions = [query::router, reports::router, people::router];
        Self(functions.into_iter().fold(Router::new(), |all, router| all.merge(router(Arc::clone(context)))))
    }

    /// The API as the caller of a request may ask it.
    pub(crate) fn by(&self, headers: &HeaderMap) -> Caller {
        Caller { api: self.clone(), authorization: headers.get(AUTHORIZATION).cloned() }
    }
}

/// The API for one caller.
pub(crate) struct Caller {
    api: Api,
    authorization: Option<HeaderValue>,
}

impl Caller {
    /// Reads something of an app. `path` is what follows the app's, such as `/events`.
    pub(crate) async fn get(&self, app: &str, path: &str, parameters: &Parameters) -> Result<Value, Refusal> {
        let query = parameters.query();
        let joint = if query.is_empty() { "" } else { "?" };
        self.ask(Method::GET, &format!("/apps/{}{path}{joint}{query}", encoded(app)), Body::empty()).await
    }

    /// Asks something of an app that needs a body.
    pub(crate) async fn post(&self, app: &str, path: &str, body: &Value) -> Result<Value, Refusal> {
        self.ask(Method::POST, &format!("/apps/{}{path}", encoded(app)), Body::from(body.to_string())).await
    }

    async fn ask(&self, method: Method, target: &str, body: Body) -> Result<Value, Refusal> {
        let mut request = Request::builder().method(method).uri(target).header(CONTENT_TYPE, "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request.body(body).map_err(|_| Refusal::new("the arguments are too long: send less"))?;
        let Ok(reply) = self.api.0.clone().oneshot(request).await;
        let status = reply.status();
        let body = read(reply.into_body(), MAX_BODY).await?;
        let json = serde_json::from_slice(&body).unwrap_or_default();
        if status == StatusCode::OK { Ok(json) } else { Err(Refusal::of_problem(&json)) }
    }
}

/// A segment of a path.
pub(crate) fn encoded(segment: &str) -> String {
    utf8_percent_encode(segment, NON_ALPHANUMERIC).to_string()
}
