//! What each tool answers: questions to the API, and how far all is counted.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, join, stream};
use serde_json::{Map, Value, json};
use tally_core::app::key::Scope;
use tally_core::app::{App, AppSlug, AppState};
use tally_core::time::Timestamp;
use tally_http::problem::Problem;
use tally_service::context::Context;
use tally_service::report::count::counted_to;

use crate::api::{Caller, encoded};
use crate::arguments::{Arguments, Parameters};
use crate::refusal::Refusal;
use crate::told::Told;
use crate::tools::{DEFAULT_EVENTS, DEFAULT_ISSUES, MOST_DAYS, MOST_ITEMS, Tool};

/// Days that `describe` looks at by default.
const DEFAULT_DAYS: u64 = 7;
/// Most names of events that `describe` tells.
const MOST_NAMES: u64 = 100;
/// The apps whose counters are read at the same time.
const APPS_AT_ONCE: usize = 8;

/// Who asks, and what answers.
pub(crate) struct Asker {
    pub(crate) context: Arc<Context>,
    pub(crate) api: Caller,
    /// The app of the key that calls, and whether that may read; none of a user, who may read all.
    pub(crate) of_key: Option<(Arc<App>, bool)>,
}

impl Asker {
    /// Whether a key may read.
    pub(crate) fn may_read(app: &App, id: &tally_core::app::key::KeyId) -> bool {
        app.keys.iter().any(|key| key.id == *id && key.scopes.contains(&Scope::Read))
    }

    /// The answer of a tool.
    pub(crate) async fn answer(&self, tool: Tool, arguments: Map<String, Value>) -> Result<Told, Refusal> {
        let mut arguments = Arguments::of(arguments);
        if tool == Tool::Apps {
            let cursor = arguments.text("cursor");
            arguments.finish()?;
            return self.apps(cursor).await;
        }
        let app = arguments.text("app").or_else(|| self.of_key.as_ref().map(|(app, _)| app.slug.to_string()));
        let Some(app) = app else {
            return Err(Refusal::new("app: missing: send the id of an app, as the tool `apps` lists them"));
        };
        match tool {
            Tool::Apps | Tool::Describe => self.describe(&app, arguments).await,
            Tool::Overview => self.overview(&app, arguments).await,
            Tool::Events => self.events(&app, arguments).await,
            Tool::Issues => self.issues(&app, arguments).await,
            Tool::Funnel => self.funnel(&app, arguments).await,
        }
    }

    /// The apps that the caller may read, a page of them.
    async fn apps(&self, cursor: Option<String>) -> Result<Told, Refusal> {
        let (apps, next) = match &self.of_key {
            Some((_, false)) => return Err(Refusal::new("this key lacks the scope `read`: ask for one that has it")),
            Some((app, true)) => (vec![App::clone(app)], None),
            None => {
                let after = cursor.as_deref().map(AppSlug::of_name).transpose();
                let after = after.map_err(|_| Refusal::new("cursor: send the `next` of an answer"))?;
                self.context.store.list_apps(after.as_ref()).await.map_err(Problem::from)?
            }
        };
        let items = stream::iter(apps.into_iter().filter(|app| app.state == AppState::Active)).map(async |app| {
            // Reads are of one app.
            let counted_to = counted_to(&self.context.reads(), &app).await.map_err(Problem::from)?;
            Ok::<_, Refusal>((counted_to, json!({"id": app.slug, "name": app.name, "counted_to": counted_to})))
        });
        let items: Vec<_> = items.buffered(APPS_AT_ONCE).try_collect().await?;
        let least = items.iter().map(|(counted_to, _)| *counted_to).min();
        let items: Vec<_> = items.into_iter().map(|(_, item)| item).collect();
        Ok(told(json!({"items": items, "next": next, "counted_to": least})))
    }

    /// What an app has: from one overview, the names, a sample of attributes and the days of all time.
    async fn describe(&self, app: &str, mut arguments: Arguments) -> Result<Told, Refusal> {
        let days = arguments.number("days", 1, MOST_DAYS).unwrap_or(DEFAULT_DAYS);
        arguments.finish()?;
        let range = Parameters::default().with("since", Some(format!("{days}d")));
        let with_limit = |parameters: Parameters, limit: u64| parameters.with("limit", Some(limit));
        let names = with_limit(range.clone(), MOST_NAMES);
        // All names with the days of each: the least is the first of all, where they are one page.
        let totals = with_limit(Parameters::default(), 1_000);
        let (overview, names, attributes, totals) = join!(
            self.api.get(app, "/stats/overview", &range),
            self.api.get(app, "/stats/by-name", &names),
            self.api.get(app, "/attributes", &range),
            self.api.get(app, "/stats/totals", &totals),
        );
        let (overview, names) = (overview?, names?);
        let mut reply = json!({
            "app": app,
            "names": names["items"],
            "names_in_all": overview["names"]["distinct"],
        });
        for field in [
            "since",
            "until",
            "total",
            "errors",
            "users",
            "sessions",
            "levels",
            "categories",
            "last_event_at",
            "counted_to",
        ] {
            reply[field] = overview[field].clone();
        }
        // A key with bounds may read some of it.
        let mut not_told = Vec::new();
        match attributes {
            Ok(found) => reply["attributes"] = found["items"].clone(),
            Err(refusal) => not_told.push(format!("attributes: {refusal}")),
        }
        match totals {
            Ok(found) => {
                let days =
                    found["items"].as_array().into_iter().flatten().filter_map(|item| item["first_day"].as_str());
                reply["first_day"] = json!(days.min());
                reply["first_day_is_certain"] = json!(found["next"].is_null() && found["complete"] != false);
            }
            Err(refusal) => not_told.push(format!("first_day: {refusal}")),
        }
        if !not_told.is_empty() {
            reply["not_told"] = json!(not_told);
        }
        Ok(told(reply))
    }

    async fn overview(&self, app: &str, mut arguments: Arguments) -> Result<Told, Refusal> {
        let asked =
            arguments.filters().and(arguments.parameters(&["since", "until", "tz", "compare", "interval", "by"]));
        arguments.finish()?;
        let reply = self.api.get(app, "/stats/overview", &asked).await?;
        Ok(told_of(app, reply))
    }

    async fn events(&self, app: &str, mut arguments: Arguments) -> Result<Told, Refusal> {
        let limit = arguments.number("limit", 1, MOST_ITEMS);
        let asked = arguments.filters().and(arguments.parameters(&["since", "until", "tz", "order", "cursor"]));
        arguments.finish()?;
        let mut told = self.page(app, "/events", &asked, limit, DEFAULT_EVENTS).await?;
        // The list does not tell it, since it reads the events themselves.
        let slug = AppSlug::of_name(app).map_err(|e| Refusal::new(format!("app: {e}")))?;
        let known = self.context.apps.get(&slug).await.map_err(Problem::from)?;
        let counted_to: Option<Timestamp> = match known {
            Some(app) => Some(counted_to(&self.context.reads(), &app).await.map_err(Problem::from)?),
            None => None,
        };
        told.0.insert("counted_to".to_owned(), json!(counted_to));
        Ok(told)
    }

    async fn issues(&self, app: &str, mut arguments: Arguments) -> Result<Told, Refusal> {
        if let Some(id) = arguments.text("id") {
            let asked = arguments.parameters(&["since", "until", "tz"]);
            arguments.finish()?;
            let reply = self.api.get(app, &format!("/issues/{}", encoded(&id)), &asked).await?;
            return Ok(told_of(app, reply));
        }
        let limit = arguments.number("limit", 1, MOST_ITEMS);
        let asked = arguments.parameters(&["since", "until", "tz", "state", "level", "q", "sort", "cursor"]);
        arguments.finish()?;
        self.page(app, "/issues", &asked, limit, DEFAULT_ISSUES).await
    }

    async fn funnel(&self, app: &str, mut arguments: Arguments) -> Result<Told, Refusal> {
        let mut body = Map::new();
        for name in ["filters", "within", "by", "breakdown", "since", "until", "tz", "next"] {
            body.extend(arguments.raw(name).map(|value| (name.to_owned(), value)));
        }
        let step = |step: Value| if step.is_string() { json!({"name": step}) } else { step };
        let steps = match arguments.raw("steps") {
            Some(Value::Array(steps)) => steps.into_iter().map(step).collect(),
            other => other.unwrap_or_default(),
        };
        arguments.finish()?;
        body.insert("steps".to_owned(), steps);
        let reply = self.api.post(app, "/funnels", &Value::Object(body)).await?;
        Ok(told_of(app, reply))
    }

    /// A page of a list. Where not all of it fits into an answer it is asked once more with as many items as do, so that `next`
    /// goes on after them.
    async fn page(
        &self,
        app: &str,
        path: &str,
        asked: &Parameters,
        limit: Option<u64>,
        default: u64,
    ) -> Result<Told, Refusal> {
        let page = |limit: Option<u64>| {
            let asked = asked.clone().with("limit", limit);
            async move { self.api.get(app, path, &asked).await.map(|reply| told_of(app, reply)) }
        };
        // A cursor knows how many there were in the page before.
        let told = page(limit.or_else(|| (!asked.has("cursor")).then_some(default))).await?;
        if told.left_out_of("items") == 0 {
            return Ok(told);
        }
        let kept = told.0.get("items").and_then(Value::as_array).map_or(0, Vec::len) as u64;
        let mut told = page(Some(kept.max(1))).await?;
        if told.left_out_of("items") > 0 {
            // They have changed since: it would go on after what is not told.
            told.0.remove("next");
        }
        Ok(told)
    }
}

fn told_of(app: &str, mut reply: Value) -> Told {
    reply["app"] = json!(app);
    told(reply)
}

/// An answer, which is an object: of the API in its replies, or made here.
fn told(answer: Value) -> Told {
    match answer {
        Value::Object(fields) => Told::of(fields),
        _ => Told::of(Map::new()),
    }
}
