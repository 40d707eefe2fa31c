//! What a statistic can be, and what each is asked with.

use std::sync::Arc;

use http::StatusCode;
use schemars::{JsonSchema, SchemaGenerator, json_schema};
use tally_core::app::App;
use tally_core::time::Timestamp;
use tally_http::limits::Restriction;
use tally_http::openapi::{Operation, Parameter};
use tally_http::parameters::event_filters;
use tally_http::routes::STATISTIC;
use tally_http::view::time_range;
use tally_service::reads::Reads;

/// The statistics.
#[derive(Clone, Copy)]
pub(crate) enum Statistic {
    Overview,
    Timeseries,
    By(Dimension),
    TopMessages,
    Hours,
    Totals,
    Groups,
    Uniques,
}

impl Statistic {
    pub(crate) const ALL: [Self; 10] = [
        Self::Overview,
        Self::Timeseries,
        Self::By(Dimension::Level),
        Self::By(Dimension::Name),
        Self::By(Dimension::Category),
        Self::TopMessages,
        Self::Hours,
        Self::Totals,
        Self::Groups,
        Self::Uniques,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Overview => "overview",
            Self::Timeseries => "timeseries",
            Self::By(Dimension::Level) => "by-level",
            Self::By(Dimension::Name) => "by-name",
            Self::By(Dimension::Category) => "by-category",
            Self::TopMessages => "top-messages",
            Self::Hours => "hours",
            Self::Totals => "totals",
            Self::Groups => "groups",
            Self::Uniques => "uniques",
        }
    }

    /// What it enforces of the bounds of keys.
    pub(crate) const fn enforces(self) -> &'static [Restriction] {
        match self {
            // The overview leaves out the messages where people are hidden, and where it may show only statistics.
            Self::Overview | Self::Uniques | Self::Timeseries | Self::By(_) | Self::Hours => &[
                Restriction::Cells,
                Restriction::Fields,
                Restriction::People,
                Restriction::Data,
                Restriction::Statistics,
            ],
            // Counters of all time know no more.
            Self::Totals => &[Restriction::Cells, Restriction::People, Restriction::Data, Restriction::Statistics],
            // The text of a message may be about people.
            Self::TopMessages => &[Restriction::Cells, Restriction::Fields, Restriction::Data],
            Self::Groups => &[Restriction::Cells, Restriction::Fields, Restriction::People],
        }
    }

    pub(crate) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|statistic| statistic.name() == name)
    }

    /// Its operation.
    pub(crate) fn operation(self, id: &str, summary: &str) -> Operation {
        Operation::of(&STATISTIC, id, summary).with("{stat}", self.name())
    }

    /// Its operation, for counts of a range with all filters.
    pub(crate) fn counts<Reply: JsonSchema>(self, schemas: &mut SchemaGenerator, id: &str, summary: &str) -> Operation {
        self.operation(id, summary).takes(time_range(schemas)).takes(event_filters(schemas)).answers_with::<Reply>(
            schemas,
            StatusCode::OK,
            "The counts.",
        )
    }
}

/// The parameter `compare`.
pub(crate) fn compared() -> Parameter {
    let previous = json_schema!({"type": "string", "enum": ["previous"]});
    Parameter::query("compare", "`previous` adds the counts of the period before.", previous)
}

/// What every statistic is asked with.
pub(crate) struct Asked {
    pub(crate) now: Timestamp,
    pub(crate) reads: Reads,
    pub(crate) app: Arc<App>,
}

/// The dimension of a breakdown.
#[derive(Clone, Copy)]
pub(crate) enum Dimension {
    Level,
    Name,
    Category,
}
