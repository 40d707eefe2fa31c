//! Compatibility with the systems that Tally replaces: their clients need another base URL and no other change.
//!
//! Each system has one module here, with its mapping, wire types and conversions. Its handlers are in the functions, in
//! files named `compat_…`. They sit behind the same guard as all handlers and call the same use cases. An error is a
//! [`Problem`] as everywhere and is put into the format of the system when the reply leaves. Paths are served with a
//! trailing slash and without.

pub mod event_tracker;
pub mod seismo;
pub mod the_eye;

use axum::body::Body;
use axum::response::Response;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method};
use schemars::{Schema, SchemaGenerator};

use crate::problem::Problem;

/// A system whose clients a path is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compat {
    /// Seismo: `/seismo`.
    Seismo,
    /// The Eye: `/the-eye/{key}`.
    TheEye,
    /// Event Tracker: `/event-tracker/{key}`.
    EventTracker,
}

impl Compat {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Seismo, Self::TheEye, Self::EventTracker];

    /// Its name in prose.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Seismo => "Seismo",
            Self::TheEye => "The Eye",
            Self::EventTracker => "Event Tracker",
        }
    }

    /// The first segment of its paths.
    const fn segment(self) -> &'static str {
        match self {
            Self::Seismo => "seismo",
            Self::TheEye => "the-eye",
            Self::EventTracker => "event-tracker",
        }
    }

    /// The system of a path, or of the pattern of a route.
    pub fn of_path(path: &str) -> Option<Self> {
        let first = path.strip_prefix('/')?.split('/').next();
        Self::ALL.into_iter().find(|compat| Some(compat.segment()) == first)
    }

    /// The schema of its errors.
    pub fn problem_schema(self, schemas: &mut SchemaGenerator) -> Schema {
        match self {
            Self::Seismo => schemas.subschema_for::<seismo::SeismoProblem>(),
            Self::TheEye => schemas.subschema_for::<the_eye::TheEyeProblem>(),
            Self::EventTracker => schemas.subschema_for::<event_tracker::EventTrackerProblem>(),
        }
    }

    /// Puts a problem of a request (method and path) into its format. Status and headers stay.
    pub(crate) fn put(self, problem: &Problem, asked: (&Method, &str), reply: Response) -> Response {
        let body = match self {
            Self::Seismo => serde_json::to_vec(&seismo::SeismoProblem::of(problem)),
            Self::TheEye => serde_json::to_vec(&the_eye::TheEyeProblem::of(problem)),
            Self::EventTracker => serde_json::to_vec(&event_tracker::EventTrackerProblem::of(problem, asked)),
        };
        let (mut parts, _) = reply.into_parts();
        parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        parts.headers.remove(CONTENT_LENGTH);
        // Texts and numbers alone always serialize.
        Response::from_parts(parts, Body::from(body.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_segment_of_a_path_names_the_system() {
        assert_eq!(Compat::of_path("/seismo/auth"), Some(Compat::Seismo));
        assert_eq!(Compat::of_path("/the-eye/{key}/api/event/"), Some(Compat::TheEye));
        assert_eq!(Compat::of_path("/event-tracker"), Some(Compat::EventTracker));
        for native in ["", "/", "/apps/seismo", "/seismograph/x", "seismo"] {
            assert_eq!(Compat::of_path(native), None, "{native}");
        }
    }
}
