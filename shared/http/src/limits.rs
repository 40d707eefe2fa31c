//! What the key of a caller may not read. A route declares what of it its handler enforces; the guard closes it to every key
//! that is bounded in another way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::FromRequestParts;
use http::request::Parts;
use tally_core::app::key::ReadLimits;
use tally_core::app::layout::Layout;
use tally_core::event::Event;
use tally_core::event::filter::{CellFilter, EventFilter};

use crate::problem::Problem;

/// A way in which a key is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Restriction {
    /// A filter on what counters know: name, slug, category, level, group.
    Cells,
    /// A filter on anything else.
    Fields,
    /// People are hidden: users, sessions, clients' ids, messages.
    People,
    /// Data is hidden: data, tags, stacks, clients' ids, fingerprints.
    Data,
    /// Only counts may be read.
    Statistics,
    /// Only one chart may be read.
    Chart,
}

impl Restriction {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Cells, Self::Fields, Self::People, Self::Data, Self::Statistics, Self::Chart];

    /// What a key that is bounded in this way does.
    const fn about(self) -> &'static str {
        match self {
            Self::Cells | Self::Fields => "reads only what matches its filter, which cannot be applied here",
            Self::People => "hides people, whom this may show",
            Self::Data => "hides data, which this may show",
            Self::Statistics => "reads only statistics",
            Self::Chart => "reads only its chart: GET /apps/{app}/chart.svg or chart.png",
        }
    }
}

/// The bounds of a caller; none for users and for most keys.
#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools)] // each hides something of its own
pub struct Limits {
    filter: EventFilter,
    /// Whether users, sessions, clients' ids and messages are hidden.
    pub hides_people: bool,
    /// Whether data, tags, stacks, clients' ids and fingerprints are hidden.
    pub hides_data: bool,
    /// Whether only counts may be read.
    pub statistics_only: bool,
    /// The query of the only chart that may be read.
    pub chart: Option<String>,
    /// Whether that is all of the query that was sent, beside its signature.
    pub(crate) is_signed: bool,
    /// Whether somebody took the filter, to apply it.
    taken: AtomicBool,
}

impl Limits {
    /// The bounds of a key, whose filter was read already.
    pub fn of(reads: &ReadLimits, filter: EventFilter) -> Self {
        Self {
            filter,
            hides_people: reads.hides_people,
            hides_data: reads.hides_data,
            statistics_only: reads.statistics_only,
            chart: reads.chart.clone(),
            is_signed: false,
            taken: AtomicBool::new(false),
        }
    }

    /// Those of a signed link to a chart.
    pub(crate) fn of_signed_link(query: String) -> Self {
        Self { chart: Some(query), is_signed: true, ..Self::default() }
    }

    /// What a picture shows: counts, no people and no data.
    pub fn of_picture() -> Self {
        Self { hides_people: true, hides_data: true, ..Self::default() }
    }

    /// The ways in which it is bounded.
    pub fn restrictions(&self) -> impl Iterator<Item = Restriction> {
        let all = [
            (!self.filter.cell.is_empty(), Restriction::Cells),
            (self.filter != EventFilter::from(self.filter.cell.clone()), Restriction::Fields),
            (self.hides_people, Restriction::People),
            (self.hides_data, Restriction::Data),
            (self.statistics_only, Restriction::Statistics),
            (self.chart.is_some(), Restriction::Chart),
        ];
        all.into_iter().filter_map(|(is_bounded, restriction)| is_bounded.then_some(restriction))
    }

    /// Whether it is bounded at all.
    pub fn is_none(&self) -> bool {
        self.restrictions().next().is_none()
    }

    /// Lets the caller in where all that bounds it is enforced.
    ///
    /// # Errors
    /// 403 that says what is not.
    pub fn admit(&self, enforced: &[Restriction]) -> Result<(), Problem> {
        match self.restrictions().find(|restriction| !enforced.contains(restriction)) {
            None => Ok(()),
            Some(restriction) => Err(Problem::Forbidden(format!("this key {}", restriction.about()))),
        }
    }

    /// The filter, for who applies it to events.
    pub fn filter(&self) -> EventFilter {
        self.taken.store(true, Ordering::Relaxed);
        self.filter.clone()
    }

    /// Its part that counters know. It is all of the filter where a route enforces no more than [`Restriction::Cells`].
    pub fn cells(&self) -> CellFilter {
        if self.filter == EventFilter::from(self.filter.cell.clone()) {
            self.taken.store(true, Ordering::Relaxed);
        }
        self.filter.cell.clone()
    }

    /// Whether an event may be read.
    pub fn show(&self, event: &Event, layout: &Layout) -> bool {
        self.taken.store(true, Ordering::Relaxed);
        self.filter.matches(event, layout)
    }

    /// Whether nobody took the filter, although there is one: then what was read may be more than the key may read.
    pub(crate) fn was_forgotten(&self) -> bool {
        self.filter != EventFilter::default() && !self.taken.load(Ordering::Relaxed)
    }

    /// Whether the texts of messages may be told.
    pub fn shows_messages(&self) -> bool {
        !self.hides_people && !self.statistics_only
    }

    /// What is hidden that a filter on a field, or on an attribute of that name, would tell.
    pub fn hides_field(&self, field: &str) -> Option<&'static str> {
        match field {
            // A group is a hash of a message or a fingerprint, so a guess could be confirmed.
            "user_id" | "session_id" | "message" | "group" if self.hides_people => {
                Some("this key hides people: leave it out")
            }
            // A search looks into all of it.
            "q" if self.hides_people => Some("this key hides people: leave it out"),
            "q" | "fingerprint" | "group" if self.hides_data => Some("this key hides data: leave it out"),
            _ if self.statistics_only && !["name", "event", "slug", "category", "level", "group"].contains(&field) => {
                Some("this key reads only statistics: leave it out")
            }
            _ => None,
        }
    }

    /// The same for an attribute: a path into `data`, or else the name of a field.
    pub fn hides_attribute(&self, path: &str) -> Option<&'static str> {
        match path {
            _ if self.hides_data => Some("this key hides data: leave it out"),
            // Also a path that is called as a field: `data` comes first.
            _ if self.statistics_only => Some("this key reads only statistics: leave it out"),
            // As an attribute it is no search.
            "q" => self.hides_field("attr"),
            path => self.hides_field(path),
        }
    }
}

impl Limits {
    /// Whether a parameter of a filter tells what is hidden, with its operator or without.
    pub fn hides_parameter(&self, name: &str) -> bool {
        let plain = name.split('[').next().unwrap_or(name);
        match plain.strip_prefix("attr.") {
            Some(path) => self.hides_attribute(path).is_some(),
            None => plain == "attributes" || self.hides_field(plain).is_some(),
        }
    }
}

/// The bounds of the caller, in a handler's signature.
pub struct Limited(pub Arc<Limits>);

impl<S: Sync> FromRequestParts<S> for Limited {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(of_caller(parts).unwrap_or_default()))
    }
}

/// The bounds of the caller, if there are any.
pub(crate) fn of_caller(parts: &Parts) -> Option<Arc<Limits>> {
    parts.extensions.get::<Arc<Limits>>().cloned()
}
