//! The client libraries of others that send to Tally unchanged, and Tally's own script for web pages: which families there are, and
//! the paths that they call.
//!
//! Unlike a route of [`crate::routes`], such a path is served with every method (the function answers `OPTIONS` itself),
//! at the root and under `/k/{key}` (an ingest key in the path), with a slash at its end and without, and never by a
//! redirect: some libraries take a redirect for delivered. The key may stand in the body. So the function `ingest` checks
//! it, not the guard; see `functions/ingest/src/compat.rs`.

use crate::routes::{Access, matches};

/// The client libraries that speak one protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// Sentry: envelopes, and the older `store`.
    Sentry,
    /// OpenTelemetry over HTTP.
    Otlp,
    /// `PostHog`.
    PostHog,
    /// Mixpanel.
    Mixpanel,
    /// Segment, and `RudderStack`, which took over its protocol.
    Segment,
    /// Tally's own script for web pages.
    Script,
    /// Splunk's HTTP Event Collector.
    Splunk,
    /// Grafana Loki.
    Loki,
    /// Elasticsearch and `OpenSearch`.
    Elasticsearch,
    /// `CloudEvents` over HTTP, and Amazon `EventBridge`.
    CloudEvents,
    /// Amplitude.
    Amplitude,
    /// Aptabase.
    Aptabase,
    /// Amazon Data Firehose.
    Firehose,
    /// Plausible.
    Plausible,
    /// Umami.
    Umami,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Sentry,
        Self::Otlp,
        Self::PostHog,
        Self::Mixpanel,
        Self::Segment,
        Self::Splunk,
        Self::Loki,
        Self::Elasticsearch,
        Self::CloudEvents,
        Self::Amplitude,
        Self::Aptabase,
        Self::Firehose,
        Self::Plausible,
        Self::Umami,
        Self::Script,
    ];

    /// Its name: the `source` of its rejected events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sentry => "sentry",
            Self::Otlp => "otlp",
            Self::PostHog => "posthog",
            Self::Mixpanel => "mixpanel",
            Self::Segment => "segment",
            Self::Script => "script",
            Self::Splunk => "splunk",
            Self::Loki => "loki",
            Self::Elasticsearch => "elasticsearch",
            Self::CloudEvents => "cloudevents",
            Self::Amplitude => "amplitude",
            Self::Aptabase => "aptabase",
            Self::Firehose => "firehose",
            Self::Plausible => "plausible",
            Self::Umami => "umami",
        }
    }

    /// Its name in prose.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Sentry => "Sentry",
            Self::Otlp => "OpenTelemetry",
            Self::PostHog => "PostHog",
            Self::Mixpanel => "Mixpanel",
            Self::Segment => "Segment and RudderStack",
            Self::Script => "Tally's script for web pages",
            Self::Splunk => "Splunk's HTTP Event Collector",
            Self::Loki => "Loki",
            Self::Elasticsearch => "Elasticsearch",
            Self::CloudEvents => "CloudEvents",
            Self::Amplitude => "Amplitude",
            Self::Aptabase => "Aptabase",
            Self::Firehose => "Amazon Data Firehose",
            Self::Plausible => "Plausible",
            Self::Umami => "Umami",
        }
    }
}

/// A path that client libraries call.
#[derive(Debug, PartialEq, Eq)]
pub struct FamilyPath {
    /// The path at the root, without a slash at its end. `{token}` is what stands for a key in the vendor's own path.
    pub path: &'static str,
    /// The families that call it. The first one that takes a request answers it.
    pub families: &'static [Family],
    /// [`Access::Ingest`] where it needs an ingest key, [`Access::Public`] where it tells only fixed settings.
    pub access: Access,
}

macro_rules! paths {
    ($($path:literal => $access:ident, $($family:ident)|+;)*) => {
        /// All paths. Of two that match, the earlier one is meant.
        pub static FAMILY_PATHS: &[FamilyPath] = &[
            $(FamilyPath { path: $path, families: &[$(Family::$family),+], access: Access::$access },)*
        ];
    };
}

paths! {
    "/api/{project}/envelope"                    => Ingest, Sentry;
    "/api/{project}/store"                       => Ingest, Sentry;
    "/api/{project}/security"                    => Ingest, Sentry;
    "/v1/logs"                                   => Ingest, Otlp;
    "/v1/traces"                                 => Ingest, Otlp;
    "/v1/metrics"                                => Ingest, Otlp;
    "/v1development/profiles"                    => Ingest, Otlp;
    "/otlp/v1/logs"                              => Ingest, Otlp;
    "/i/v1/logs"                                 => Ingest, Otlp;
    "/i/v1/traces"                               => Ingest, Otlp;
    "/i/v1/metrics"                              => Ingest, Otlp;
    "/e"                                         => Ingest, PostHog;
    "/i/v0/e"                                    => Ingest, PostHog;
    "/batch"                                     => Ingest, Amplitude | PostHog;
    "/i/v0/batch"                                => Ingest, PostHog;
    "/i/v0/ai/batch"                             => Ingest, PostHog;
    "/capture"                                   => Ingest, PostHog;
    "/s"                                         => Ingest, PostHog;
    "/i/v1/analytics/events"                     => Ingest, PostHog;
    "/array/{token}/config"                      => Public, PostHog;
    "/array/{token}/config.js"                   => Public, PostHog;
    "/static/{*file}"                            => Public, PostHog;
    "/decide"                                    => Public, PostHog;
    "/api/surveys"                               => Public, PostHog;
    "/api/web_experiments"                       => Public, PostHog;
    "/api/product_tours"                         => Public, PostHog;
    "/api/early_access_features"                 => Public, PostHog;
    "/api/feature_flag/local_evaluation"         => Public, PostHog;
    "/flags"                                     => Public, PostHog | Mixpanel;
    "/track"                                     => Ingest, Mixpanel | PostHog;
    "/engage"                                    => Ingest, Mixpanel | PostHog;
    "/groups"                                    => Ingest, Mixpanel;
    "/import"                                    => Ingest, Mixpanel;
    "/record"                                    => Ingest, Mixpanel;
    "/settings"                                  => Public, Mixpanel;
    "/v1/projects/{token}/settings"              => Public, Segment;
    "/projects/{token}/settings"                 => Public, Segment;
    "/analytics.js/v1/{token}/analytics.min.js"  => Public, Segment;
    "/v1/{call}"                                 => Ingest, Segment;
    "/sourceConfig"                              => Public, Segment;
    "/beacon/v1/batch"                           => Ingest, Segment;
    "/pixel/v1/{call}"                           => Ingest, Segment;
    "/collect"                                   => Ingest, Script;
    // Any name, so that a script which a browser has kept sends on after the name has changed.
    "/c/{name}"                                  => Ingest, Script;
    "/services/collector"                        => Ingest, Splunk;
    "/services/collector/event"                  => Ingest, Splunk;
    "/services/collector/event/1.0"              => Ingest, Splunk;
    "/services/collector/raw"                    => Ingest, Splunk;
    "/services/collector/raw/1.0"                => Ingest, Splunk;
    "/services/collector/ack"                    => Ingest, Splunk;
    "/services/collector/health"                 => Public, Splunk;
    "/services/collector/health/1.0"             => Public, Splunk;
    "/loki/api/v1/push"                          => Ingest, Loki;
    "/api/prom/push"                             => Ingest, Loki;
    "/ready"                                     => Public, Loki;
    "/es"                                        => Ingest, Elasticsearch;
    "/es/{*path}"                                => Ingest, Elasticsearch;
    "/cloudevents"                               => Ingest, CloudEvents;
    "/2/httpapi"                                 => Ingest, Amplitude;
    "/httpapi"                                   => Ingest, Amplitude;
    "/api/v0/event"                              => Ingest, Aptabase;
    "/api/v0/events"                             => Ingest, Aptabase;
    "/firehose"                                  => Ingest, Firehose;
    "/api/event"                                 => Ingest, Plausible;
    "/api/send"                                  => Ingest, Umami;
    "/api/batch"                                 => Ingest, Umami;
    "/api/record"                                => Ingest, Umami;
    "/api/heartbeat"                             => Public, Umami;
}

/// The first segment of a path that has an ingest key in the second.
pub const KEY_PREFIX: &str = "/k/";

/// A path without the `/k/{key}` in front, and the key.
pub fn split_key(path: &str) -> (Option<&str>, &str) {
    let under_key = path.strip_prefix(KEY_PREFIX).and_then(|rest| {
        let end = rest.find('/')?;
        (end > 0).then(|| (Some(&rest[..end]), &rest[end..]))
    });
    under_key.unwrap_or((None, path))
}

/// What a decoded path without a slash at its end is for: at the root, or under a key.
pub fn at(path: &str) -> Option<&'static FamilyPath> {
    let (_, path) = split_key(path);
    FAMILY_PATHS.iter().find(|known| matches(known.path, path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes;

    #[test]
    fn a_path_is_found_at_the_root_and_under_a_key() {
        for (path, pattern) in [
            ("/e", "/e"),
            ("/k/tly_in_1/e", "/e"),
            ("/api/7/envelope", "/api/{project}/envelope"),
            ("/k/tly_in_1/api/7/envelope", "/api/{project}/envelope"),
            ("/v1/logs", "/v1/logs"),
            ("/v1/batch", "/v1/{call}"),
        ] {
            assert_eq!(at(path).map(|known| known.path), Some(pattern), "{path}");
        }
        for other in ["/", "/k", "/k/", "/k/e", "/k//e", "/apps/e", "/api/7", "/k/x/k/y/e"] {
            assert_eq!(at(other), None, "{other}");
        }
    }

    #[test]
    fn no_path_is_also_a_native_one() {
        for known in FAMILY_PATHS {
            assert_eq!(routes::at(known.path).count(), 0, "{}", known.path);
            assert!(matches!(known.access, Access::Ingest | Access::Public), "{}", known.path);
        }
    }
}
