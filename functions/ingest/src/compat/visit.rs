//! What a request tells of its visitor: an id without cookies, and a country. The address is used here and forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use http::header::{ACCEPT_LANGUAGE, HeaderName, ORIGIN, USER_AGENT};
use tally_core::app::AppId;
use tally_core::event::json::{Json, Number};
use tally_core::time::Timestamp;
use tally_core::time::bucket::Bucket;
use tally_core::web::country::Country;
use tally_core::web::path_of;
use tally_core::web::visitor::{Salt, Seen, VisitorId};
use tally_http::problem::Problem;
use tally_service::countries::Countries;
use tally_service::visitors::Salts;

use super::call::{Call, Sender};

/// The visitor of a request.
pub(super) struct Visit<'a> {
    app: Option<AppId>,
    /// The server's time.
    now: Timestamp,
    /// Of the days of the request's events, at most three.
    salts: BTreeMap<Bucket, Salt>,
    /// The address of the visitor, as far as the request tells it.
    address: Option<IpAddr>,
    /// The `User-Agent`; empty without one.
    pub(super) user_agent: &'a str,
    /// The languages that the browser asks for.
    pub(super) language: Option<&'a str>,
    /// What the header tells that is trusted.
    country: Option<Country>,
    countries: Option<&'a dyn Countries>,
}

impl<'a> Visit<'a> {
    /// The visitor of a request whose events happened at these times. The salts of their days are read, or made.
    ///
    /// # Errors
    /// 503 where the store fails.
    pub(super) async fn of(
        call: &'a Call,
        sender: &Sender,
        times: impl Iterator<Item = Timestamp>,
    ) -> Result<Self, Problem> {
        let (context, now) = (&call.context, call.now());
        let days: BTreeSet<_> = times.filter_map(|at| Salts::day(at, now)).collect();
        let mut salts = BTreeMap::new();
        for day in days {
            let salt = call.deadline().hold(context.salts.salt(&context.store, day, now)).await?;
            salts.insert(day, salt);
        }
        let header = |name: HeaderName| call.header(name.as_str());
        // It is that of whoever sent the request, so it counts only of a browser.
        let is_browser = call.headers.contains_key(ORIGIN);
        let told = context.config.country_header.as_deref().filter(|_| is_browser);
        Ok(Self {
            app: Some(sender.app.id.clone()),
            now,
            salts,
            address: call.address,
            user_agent: header(USER_AGENT).unwrap_or_default(),
            language: header(ACCEPT_LANGUAGE),
            country: told.and_then(|name| Country::parse(call.header(name)?)),
            countries: context.countries.get().map(|countries| &**countries),
        })
    }

    /// Nobody, where events are only read.
    pub(super) fn of_nobody() -> Self {
        Self {
            app: None,
            now: Timestamp::EPOCH,
            salts: BTreeMap::new(),
            address: None,
            user_agent: "",
            language: None,
            country: None,
            countries: None,
        }
    }

    /// The salt of an event of a time, if its day still has one.
    pub(super) fn salt(&self, at: Timestamp) -> Option<&Salt> {
        self.salts.get(&Salts::day(at, self.now)?)
    }

    /// The visitor of a site at a time.
    pub(super) fn visitor(&self, site: &str, at: Timestamp) -> Option<VisitorId> {
        self.visitor_at(site, at, None, self.user_agent)
    }

    /// The same, of a visitor whose address and browser the event itself may tell.
    pub(super) fn visitor_at(
        &self,
        site: &str,
        at: Timestamp,
        address: Option<IpAddr>,
        user_agent: &str,
    ) -> Option<VisitorId> {
        let app = self.app.as_ref()?;
        Some(self.salt(at)?.visitor(Seen { app, site, address: address.or(self.address), user_agent }))
    }

    /// The country of the visitor, by the header, then by the database; of one whose address the event tells, by the database
    /// alone.
    pub(super) fn country(&self, address: Option<IpAddr>) -> Option<Country> {
        let told = self.country.filter(|_| address.is_none());
        told.or_else(|| self.countries?.of(address.or(self.address)?))
    }
}

/// Adds fields to the data of an event. What the page itself sends stays.
pub(super) fn add(data: &mut BTreeMap<String, Json>, fields: impl IntoIterator<Item = (&'static str, Json)>) {
    for (name, value) in fields {
        data.entry(name.to_owned()).or_insert(value);
    }
}

/// Adds the path of the page at an address.
pub(super) fn add_path(data: &mut BTreeMap<String, Json>, url: Option<&str>) {
    add(data, url.and_then(path_of).map(|path| ("path", Json::String(path.to_owned()))));
}

/// A whole number of pixels, milliseconds or percent.
pub(super) fn whole(text: &str) -> Option<u32> {
    let number: f64 = text.trim().parse().ok()?;
    // Numbers out of range become the nearest one that there is.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    (number.is_finite() && number >= 0.0).then_some(number.round() as u32)
}

/// A whole number as an event keeps it.
pub(super) fn number(value: u32) -> Option<Json> {
    Number::parse(&value.to_string()).ok().map(Json::Number)
}
