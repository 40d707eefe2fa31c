//! The paths of client libraries: one operation each. What they take and answer is described by the vendors.

use http::Method;
use serde_json::{Value, json};
use tally_http::families::{FAMILY_PATHS, Family, FamilyPath};
use tally_http::routes::Access;

/// The tag of all these operations.
pub(crate) const TAG: &str = "Client libraries";
/// What holds for all of them.
pub(crate) const ABOUT: &str = "Client libraries of others send here unchanged. Each path is served with any method, with a slash at \
its end and without, and under `/k/{key}` too, with an ingest key in the path. Bodies, replies and errors are those of the \
vendor, which `externalDocs` leads to.";

/// Every path with its operation.
pub(crate) fn paths() -> impl Iterator<Item = (String, Value)> {
    FAMILY_PATHS.iter().map(|known| {
        let path = known.path.replace("{*", "{");
        // Public paths are read, all others are sent to.
        let method = if known.access == Access::Public { Method::GET } else { Method::POST };
        let described = describe(known, &path);
        (path, json!({method.as_str().to_ascii_lowercase(): described}))
    })
}

/// Where a vendor describes what its libraries send.
const fn documentation(family: Family) -> &'static str {
    match family {
        Family::Sentry => "https://develop.sentry.dev/sdk/data-model/envelopes/",
        Family::Otlp => "https://opentelemetry.io/docs/specs/otlp/#otlphttp",
        Family::PostHog => "https://posthog.com/docs/api/capture",
        Family::Mixpanel => "https://developer.mixpanel.com/reference/ingestion-api",
        Family::Segment => "https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/",
        Family::Script => "https://developer.mozilla.org/en-US/docs/Web/HTML/Reference/Elements/script",
        Family::Loki => "https://grafana.com/docs/loki/latest/reference/loki-http-api/#ingest-logs",
        Family::Elasticsearch => "https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk",
        Family::CloudEvents => {
            "https://github.com/cloudevents/spec/blob/main/cloudevents/bindings/http-protocol-binding.md"
        }
        Family::Amplitude => "https://amplitude.com/docs/apis/analytics/http-v2",
        Family::Firehose => "https://docs.aws.amazon.com/firehose/latest/dev/httpdeliveryrequestresponse.html",
        Family::Aptabase => "https://github.com/aptabase/aptabase/wiki/How-to-build-your-own-SDK",
        Family::Plausible => "https://plausible.io/docs/events-api",
        Family::Umami => "https://umami.is/docs/api/sending-stats",
        Family::Splunk => "https://docs.splunk.com/Documentation/Splunk/latest/Data/HECRESTendpoints",
    }
}

fn describe(known: &FamilyPath, path: &str) -> Value {
    let titles: Vec<_> = known.families.iter().map(|family| family.title()).collect();
    let titles = titles.join(", and ");
    let name = known.families.first().map_or("", |family| family.name());
    let docs = known.families.first().map_or("", |family| documentation(*family));
    let parameters: Vec<_> = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
    let parameters: Vec<_> = parameters.into_iter().map(parameter).collect();
    let mut described = json!({
        "operationId": operation_id(name, path),
        "tags": [TAG],
        "externalDocs": {"description": format!("What libraries of {titles} send."), "url": docs},
        "responses": {"200": {"description": "What the library takes for success.", "content": {"application/json": {"schema": {}}}}},
    });
    if !parameters.is_empty() {
        described["parameters"] = parameters.into();
    }
    if known.access == Access::Public {
        described["summary"] = format!("Settings for libraries of {titles}").into();
        described["security"] = json!([]);
    } else {
        described["summary"] = format!("Take what libraries of {titles} send").into();
        described["security"] = json!([{"ingestKey": []}, {"ingestKeyAsUser": []}, {"ingestKeyInQuery": []}]);
        described["description"] =
            "The key may also stand where the library has it. The body may be packed in any way that the library knows.".into();
        described["requestBody"] = json!({"content": {"application/json": {"schema": {}}}, "required": true});
    }
    described
}

fn parameter(name: &str) -> Value {
    let about = match name {
        "project" => "A project of the vendor: a label here.",
        "token" => "An ingest key, where the vendor has its own.",
        "name" => "Any name, such as that of the setting `TALLY_COLLECT_PATH`.",
        "path" => "`_bulk`, `{index}/_bulk` or `{index}/_doc`, or what clients ask before they send.",
        "call" => "The kind of call, such as `batch`, `track` or `page`; or its first letter.",
        _ => "The name of a file.",
    };
    json!({"name": name, "in": "path", "required": true, "description": about, "schema": {"type": "string"}})
}

/// The name of the family and the words of the path, as one word.
fn operation_id(family: &str, path: &str) -> String {
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let capital = |word: &str| format!("{}{}", word[..1].to_ascii_uppercase(), &word[1..]);
    words.map(capital).fold(family.to_owned(), |id, word| id + &word)
}
