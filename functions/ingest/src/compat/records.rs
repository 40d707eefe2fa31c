//! The records of a request. A draft takes far more memory than the text that it is read from, so a long list of drafts is
//! never in memory as a whole: each is read when it is needed.

use serde_json::value::RawValue;
use tally_core::event::draft::Draft;
use tally_core::event::json;
use tally_core::invalid::Invalid;
use tally_core::rejected::{Reason, Refusal, shortened};
use tally_http::families::Family;
use tally_http::problem::Problem;
use tally_service::ingest::accept::Drafts;
use tally_service::ingest::rejection::Rejection;

use super::fields::scalar;
use super::record_id::{Clock, RecordIds, is_finer_than_a_second};
use super::sanitize::pick;

/// The maximum number of JSON values of one record, counted before any is built: some times what a library sends with all
/// its context. An event has at most 10,000; some values of a record do not become values of an event.
pub const MAX_VALUES: usize = 50_000;
/// The maximum number of JSON values of all records of a request. They are never in memory together; this bounds the time.
pub const MAX_ALL_VALUES: usize = 1_000_000;
/// The maximum size of all records of a request, each with what stands around it, in bytes. A record of OTLP stands below a
/// resource that may be far larger than the record, and becomes a part of each event.
pub const MAX_ALL_BYTES: usize = 64 * 1024 * 1024;

/// Records that are read when they are needed, and the same each time.
pub trait Records: Sync {
    /// How many there are.
    fn count(&self) -> usize;
    /// Reads one.
    ///
    /// # Errors
    /// Where it is bad for good.
    fn draft(&self, index: usize) -> Result<Draft, Refusal>;
    /// Its bytes, with those of what surrounds it.
    fn size(&self, index: usize) -> usize;
    /// Its number of JSON values, with those of what surrounds it; 0 of one that is refused before any is built.
    fn values(&self, index: usize) -> usize;
    /// What to show of it if it is rejected.
    fn sample(&self, index: usize) -> String;
}

/// Refuses a request whose records are too many values or bytes together.
///
/// # Errors
/// 413; libraries send smaller batches then.
pub(super) fn check(records: &dyn Records) -> Result<(), Problem> {
    let (mut values, mut bytes) = (0_usize, 0_usize);
    for index in 0..records.count() {
        values = values.saturating_add(records.values(index));
        bytes = bytes.saturating_add(records.size(index));
    }
    check_sums(values, bytes)
}

/// Refuses so many values or bytes in one request.
///
/// # Errors
/// 413.
pub(super) fn check_sums(values: usize, bytes: usize) -> Result<(), Problem> {
    if values > MAX_ALL_VALUES {
        return Err(Problem::TooLarge(format!("more than {MAX_ALL_VALUES} JSON values: send smaller batches")));
    }
    if bytes > MAX_ALL_BYTES {
        return Err(Problem::TooLarge(format!(
            "the records with their resources are more than {MAX_ALL_BYTES} bytes: send smaller batches"
        )));
    }
    Ok(())
}

/// Refuses a record of too many values.
///
/// # Errors
/// Where it has more than [`MAX_VALUES`].
pub fn check_values(values: usize) -> Result<(), Refusal> {
    if values <= MAX_VALUES {
        return Ok(());
    }
    Err(Refusal::new(Reason::TooLarge, format!("{values} JSON values: send at most {MAX_VALUES} in one event")))
}

/// What a draft takes beside the record: of what surrounds it, and of the texts in it that are read as JSON.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weight {
    /// JSON values.
    pub values: usize,
    /// Bytes.
    pub bytes: usize,
}

/// Records that are JSON values of one text.
pub struct JsonRecords<'a, T, F> {
    records: Vec<JsonRecord<'a, T>>,
    read: F,
}

struct JsonRecord<'a, T> {
    raw: &'a RawValue,
    values: usize,
    /// The bytes of what surrounds it.
    around: usize,
    /// What is known of it before it is read, or why it is not read at all.
    known: Result<T, Refusal>,
}

impl<'a, T, F: Fn(&'a RawValue, &T) -> Result<Draft, Refusal>> JsonRecords<'a, T, F> {
    /// No records yet; `read` reads each.
    pub fn new(read: F) -> Self {
        Self { records: Vec::new(), read }
    }

    /// Adds a record of which `known` is known. `known` runs only if the record is not too large to be read.
    pub fn add(&mut self, raw: &'a RawValue, known: impl FnOnce() -> Result<T, Refusal>) {
        self.add_within(raw, Weight::default(), known);
    }

    /// Adds a record whose draft takes more than its own JSON.
    pub fn add_within(&mut self, raw: &'a RawValue, more: Weight, known: impl FnOnce() -> Result<T, Refusal>) {
        let values = json::count(raw) + more.values;
        let known = check_values(values).and_then(|()| known());
        self.records.push(JsonRecord { raw, values, around: more.bytes, known });
    }

    /// Changes what is known of a record.
    pub fn set(&mut self, place: usize, known: T) {
        if let Some(record) = self.records.get_mut(place) {
            record.known = Ok(known);
        }
    }
}

impl<'a, T: Sync, F: Fn(&'a RawValue, &T) -> Result<Draft, Refusal> + Sync> Records for JsonRecords<'a, T, F> {
    fn count(&self) -> usize {
        self.records.len()
    }

    fn draft(&self, index: usize) -> Result<Draft, Refusal> {
        let record = self.records.get(index).ok_or_else(|| Refusal::new(Reason::Unreadable, "no such record"))?;
        match &record.known {
            Ok(known) => (self.read)(record.raw, known),
            Err(refusal) => Err(refusal.clone()),
        }
    }

    fn size(&self, index: usize) -> usize {
        self.records.get(index).map_or(0, |record| record.raw.get().len() + record.around)
    }

    fn values(&self, index: usize) -> usize {
        self.records.get(index).filter(|record| record.known.is_ok()).map_or(0, |record| record.values)
    }

    fn sample(&self, index: usize) -> String {
        self.records.get(index).map_or_else(String::new, |record| shortened(record.raw.get()).to_owned())
    }
}

/// Records of which nothing needs to be known before they are read.
pub(super) fn each<'a, F>(raws: &[&'a RawValue], read: F) -> impl Records + use<'a, F>
where
    F: Fn(&'a RawValue) -> Result<Draft, Refusal> + Sync,
{
    let mut records = JsonRecords::new(move |raw, (): &()| read(raw));
    for raw in raws {
        records.add(raw, || Ok(()));
    }
    records
}

/// Records without an id: a hash of each is its identity, if a clock that is finer than a second wrote the times, which are in a
/// field. `more` tells what a draft takes beside the record.
pub(super) fn by_content<'a, F>(
    raws: &[&'a RawValue],
    (family, time): (Family, &str),
    more: fn(&RawValue) -> Weight,
    read: F,
) -> impl Records + use<'a, F>
where
    F: Fn(&'a RawValue, Option<String>) -> Result<Draft, Refusal> + Sync,
{
    let mut ids = RecordIds::default();
    let mut clock = Clock::default();
    let mut records = JsonRecords::new(move |raw, id: &Option<String>| read(raw, id.clone()));
    for (place, raw) in raws.iter().enumerate() {
        records.add_within(raw, more(raw), || {
            let [time] = pick(raw, [time]);
            let Some(time) = time.and_then(scalar) else { return Ok(None) };
            clock.note(place, is_finer_than_a_second(&time));
            Ok(Some(ids.id(family, b"", raw.get().as_bytes())))
        });
    }
    for place in clock.unidentified() {
        records.set(place, None);
    }
    records
}

/// Records that a family has made drafts of, since its protocol brings few.
pub(super) struct Made<'a> {
    pub(super) drafts: &'a [Result<Draft, Refusal>],
    pub(super) sample: &'a (dyn Fn(usize) -> String + Sync),
}

impl Records for Made<'_> {
    fn count(&self) -> usize {
        self.drafts.len()
    }

    fn draft(&self, index: usize) -> Result<Draft, Refusal> {
        self.drafts.get(index).cloned().unwrap_or_else(|| Err(Refusal::new(Reason::Unreadable, "no such record")))
    }

    fn size(&self, index: usize) -> usize {
        self.drafts.get(index).and_then(|draft| draft.as_ref().ok()).map_or(0, Draft::size)
    }

    fn values(&self, index: usize) -> usize {
        self.drafts.get(index).and_then(|draft| draft.as_ref().ok()).map_or(0, Draft::values)
    }

    fn sample(&self, index: usize) -> String {
        (self.sample)(index)
    }
}

/// All drafts of records, for fuzz targets.
pub fn drafts(records: &dyn Records) -> Vec<Result<Draft, Refusal>> {
    (0..records.count()).map(|index| records.draft(index)).collect()
}

/// Records as the store path reads them.
pub(super) struct Stored<'a>(pub(super) &'a dyn Records);

impl Drafts for Stored<'_> {
    fn count(&self) -> usize {
        self.0.count()
    }

    fn read(&self, index: usize) -> Result<Draft, Rejection> {
        if index < self.0.count() {
            return self.0.draft(index).map_err(Rejection::Refused);
        }
        Err(Invalid::field("", "no such record").into())
    }

    fn size(&self, index: usize) -> usize {
        self.0.size(index)
    }

    fn values(&self, index: usize) -> usize {
        self.0.values(index)
    }

    fn sample(&self, index: usize) -> String {
        self.0.sample(index)
    }
}
