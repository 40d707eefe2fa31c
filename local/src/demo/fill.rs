//! Sends the events of the shop, as any client would.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::header::AUTHORIZATION;
use http::uri::InvalidUri;
use http::{HeaderValue, Method, Request};
use http_body_util::BodyExt;
use serde_json::Value;
use tally_core::app::AppSlug;
use tally_core::app::role::Role;
use tally_core::counter::property::{CountedPath, WEB};
use tally_core::time::{HOUR, Timestamp};
use tally_service::apps::create::NewAppError;
use tally_service::auth::token::{SigningKeyError, signing_key};
use tally_service::context::Context;
use tokio::time::Instant;
use tower::ServiceExt;

use super::shop::{DAY, Told, day, running_release};
use crate::backlog::Backlog;
use crate::server::service;
use crate::stream_poller::{PollError, StreamPoller};

/// Events of a request.
const BATCH: usize = 500;
/// How long stored events gather before they are counted, and between two looks at what is left.
const GATHER: Duration = Duration::from_millis(200);
/// How long to wait for another process that counts nothing.
const STANDSTILL: Duration = Duration::from_secs(30);

/// Why an app cannot be filled.
#[derive(Debug, thiserror::Error)]
pub(super) enum FillError {
    /// The app has events that are not of a demo.
    #[error("the app `{0}` has events of its own: name another with --app NAME")]
    Own(AppSlug),
    /// The app cannot be made.
    #[error("cannot make the app: {0}")]
    App(#[from] NewAppError),
    /// There is no token to send with.
    #[error("cannot sign a token: {0}")]
    Token(#[from] SigningKeyError),
    /// Events were refused.
    #[error("the events were refused: {0}")]
    Refused(String),
    /// They cannot be counted.
    #[error("cannot count the events: {0}")]
    Count(#[from] PollError),
    /// The stream cannot be read.
    #[error("cannot see what is counted: {0}")]
    Backlog(#[from] rusqlite::Error),
    /// Another process counts nothing.
    #[error("the Tally that runs does not count: {0} events are left")]
    Standstill(u64),
}

/// Fills an app.
pub(super) struct Fill {
    router: Router,
    slug: AppSlug,
    token: String,
    seed: u64,
    now: Timestamp,
}

impl Fill {
    /// Makes the app, or finds it.
    ///
    /// # Errors
    /// Where the app has events that are not of a demo.
    pub(super) async fn begin(
        context: &Arc<Context>,
        name: &str,
        slug: &AppSlug,
        seed: u64,
    ) -> Result<Self, FillError> {
        let now = context.clock.now();
        let key = signing_key(&context.store).await?;
        let (token, _) = key.sign("demo", Role::Admin, now, HOUR)?;
        let fill = Self { router: service(context), slug: slug.clone(), token, seed, now };
        let counted = WEB.iter().filter_map(|path| CountedPath::parse(path).ok()).collect();
        let new = admin::NewApp { name: name.to_owned(), counted, ..admin::NewApp::default() };
        match admin::create_app(&context.apps, new, &[]).await {
            Ok(_) => {}
            Err(NewAppError::Taken(_)) => fill.require_demo().await?,
            Err(error) => return Err(error.into()),
        }
        Ok(fill)
    }

    /// Events of a demo would spoil the figures of an app in use.
    async fn require_demo(&self) -> Result<(), FillError> {
        let newest = self.call(Method::GET, "?limit=1", Body::empty()).await?;
        let deploys = self.call(Method::GET, "?name=deploy&category=annotation&limit=1", Body::empty()).await?;
        let has_some = newest["items"].get(0).is_some();
        if has_some && deploys["items"][0]["data"]["demo"] != true {
            return Err(FillError::Own(self.slug.clone()));
        }
        Ok(())
    }

    /// Sends the events of some days up to now, and the deploy of the release that ran when they began: by it the next
    /// run knows that the app is a demo, also where no release went out since. Returns how many these are.
    pub(super) async fn send(self, days: i64) -> Result<usize, FillError> {
        let now = self.now.micros();
        let today = now.div_euclid(DAY);
        // From the same time of day on, as many days ago.
        let begin = now - days * DAY;
        let (mut sent, mut batch) = (0, Vec::with_capacity(BATCH));
        batch.extend(running_release(self.seed, begin));
        for number in today - days..=today {
            // The release went out at the begin, or before.
            let is_within = |told: &Told| begin < told.at.micros() && told.at.micros() <= now;
            for told in day(self.seed, number).into_iter().filter(is_within) {
                batch.push(told.event);
                if batch.len() == BATCH {
                    sent += self.post(&mut batch).await?;
                }
            }
        }
        Ok(sent + self.post(&mut batch).await?)
    }

    async fn post(&self, batch: &mut Vec<Value>) -> Result<usize, FillError> {
        let sent = batch.len();
        if sent > 0 {
            let body = Value::Array(std::mem::take(batch)).to_string();
            let reply = self.call(Method::POST, "", body.into()).await?;
            if reply["accepted"] != sent {
                return Err(FillError::Refused(reply["rejected"].to_string()));
            }
        }
        Ok(sent)
    }

    async fn call(&self, method: Method, query: &str, body: Body) -> Result<Value, FillError> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        let refused = |error: &dyn std::fmt::Display| FillError::Refused(error.to_string());
        *request.uri_mut() =
            format!("/apps/{}/events{query}", self.slug).parse().map_err(|e: InvalidUri| refused(&e))?;
        let token = HeaderValue::try_from(format!("Bearer {}", self.token)).map_err(|e| refused(&e))?;
        request.headers_mut().insert(AUTHORIZATION, token);
        let Ok(reply) = self.router.clone().oneshot(request).await;
        let status = reply.status();
        let body = reply.into_body().collect().await.map_err(|e| refused(&e))?.to_bytes();
        let reply: Value = serde_json::from_slice(&body).map_err(|e| refused(&e))?;
        if !status.is_success() {
            return Err(refused(&format_args!("{status}: {}", reply["detail"].as_str().unwrap_or_default())));
        }
        Ok(reply)
    }
}

/// Counts while something is sent, and until all of it is counted.
pub(super) async fn counted(poller: &mut StreamPoller, fill: Fill, days: i64) -> Result<usize, FillError> {
    let sending = tokio::spawn(fill.send(days));
    while !sending.is_finished() {
        tokio::time::sleep(GATHER).await;
        poller.drain().await?;
    }
    // It ends by itself, and does not panic.
    let sent = sending.await.map_err(|error| FillError::Refused(error.to_string()))??;
    poller.drain().await?;
    Ok(sent)
}

/// Waits until another process has counted what was sent.
pub(super) async fn counted_elsewhere(context: &Context, folder: &Path) -> Result<(), FillError> {
    let backlog = Backlog::new(folder, context.config.tables.events.clone());
    let newest = backlog.newest()?;
    let (mut least, mut moved) = (u64::MAX, Instant::now());
    loop {
        let left = backlog.left(newest)?;
        if left == 0 {
            return Ok(());
        }
        if left < least {
            (least, moved) = (left, Instant::now());
        }
        if moved.elapsed() > STANDSTILL {
            return Err(FillError::Standstill(left));
        }
        tokio::time::sleep(GATHER).await;
    }
}

#[cfg(test)]
mod tests {
    use tally_core::time::clock::Clock;

    use super::*;
    use crate::workbench::Workbench;

    const QUERY: &str = "since=2026-11-19&until=2026-11-28";

    async fn sent(work: &mut Workbench, seed: u64, days: i64) -> usize {
        let slug = AppSlug::of_name("shop").expect("a name");
        let fill = Fill::begin(&work.context, "shop", &slug, seed).await.expect("an app");
        let sent = fill.send(days).await.expect("accepted");
        work.count().await.expect("counted");
        sent
    }

    async fn asked(work: &Workbench, path: &str) -> Value {
        let key = signing_key(&work.context.store).await.expect("a key");
        let (token, _) = key.sign("test", Role::Admin, work.context.clock.now(), HOUR).expect("a token");
        let request = Request::get(format!("/apps/shop/{path}")).header(AUTHORIZATION, format!("Bearer {token}"));
        let Ok(reply) = service(&work.context).oneshot(request.body(Body::empty()).expect("a request")).await;
        serde_json::from_slice(&reply.into_body().collect().await.expect("a body").to_bytes()).expect("JSON")
    }

    #[tokio::test]
    async fn a_second_run_counts_nothing_twice_and_what_happened_since_once() {
        let clock = Clock::at("2026-11-26T12:00:00Z".parse().expect("a time"));
        let mut work = Workbench::start(clock.clone()).await.expect("a Tally");
        let first = sent(&mut work, 1, 3).await;
        assert!(first > 500, "{first}");
        let totals = asked(&work, &format!("stats/by-name?{QUERY}")).await["items"].clone();
        let sum =
            |items: &Value| items.as_array().expect("names").iter().filter_map(|i| i["count"].as_u64()).sum::<u64>();
        assert_eq!(sum(&totals), first as u64, "every event counts once");
        assert_eq!(sent(&mut work, 1, 3).await, first);
        assert_eq!(asked(&work, &format!("stats/by-name?{QUERY}")).await["items"], totals);

        clock.set("2026-11-26T18:00:00Z".parse().expect("a time"));
        let later = sent(&mut work, 1, 3).await;
        let now = sum(&asked(&work, &format!("stats/by-name?{QUERY}")).await["items"]);
        assert!(now > first as u64 && now <= (first + later) as u64, "{first}, {later}: {now}");
        let newest = asked(&work, "events?limit=1").await["items"][0]["timestamp"].clone();
        assert!(newest.as_str().is_some_and(|at| ("2026-11-26T12"..="2026-11-26T18:00:00Z").contains(&at)), "{newest}");
    }

    #[tokio::test]
    async fn a_day_without_a_release_is_filled_again() {
        let clock = Clock::at("2026-11-27T14:48:00Z".parse().expect("a time"));
        let mut work = Workbench::start(clock).await.expect("a Tally");
        let first = sent(&mut work, 1, 1).await;
        assert_eq!(sent(&mut work, 1, 1).await, first);
        let deploys = asked(&work, &format!("events?name=deploy&{QUERY}")).await["items"].clone();
        let deploys: Vec<_> = deploys.as_array().expect("a list").iter().map(|event| &event["timestamp"]).collect();
        assert!(deploys.len() == 1 && deploys[0].as_str() < Some("2026-11-26T14:48"), "{deploys:?}");
    }

    #[tokio::test]
    async fn an_app_in_use_is_left_alone() {
        let clock = Clock::at("2026-11-26T12:00:00Z".parse().expect("a time"));
        let work = Workbench::start(clock).await.expect("a Tally");
        let app = work.app("shop").await.expect("an app");
        let slug = AppSlug::of_name("shop").expect("a name");
        assert!(Fill::begin(&work.context, "shop", &slug, 1).await.is_ok(), "an empty one may be filled");
        work.send(&app, r#"{"name": "purchase"}"#).await.expect("accepted");
        let refused = Fill::begin(&work.context, "shop", &slug, 1).await.err().map(|error| error.to_string());
        assert!(refused.is_some_and(|text| text.contains("has events of its own")));
    }
}
