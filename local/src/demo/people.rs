//! The people who visit the shop: how many are new on a day, who they are, and on which days they come back.

use fastrand::Rng;

use super::dice::{dice, happens, one_of};

/// How many days a person may come back after the first visit.
pub(super) const LONGEST: i64 = 60;
/// New visitors of a day, before the rhythm of the week and the season.
const NEW: f64 = 16.0;
/// How busy a day of the week is, from Monday on.
const WEEK: [f64; 7] = [0.78, 0.8, 0.86, 0.95, 1.06, 1.42, 1.33];

const FIRST_NAMES: [&str; 24] = [
    "mia", "noah", "emma", "ben", "lina", "paul", "sofia", "finn", "olena", "taras", "zoe", "luca", "ada", "hugo",
    "ines", "jan", "kaya", "leo", "mara", "nils", "priya", "sam", "tom", "yuki",
];
const LAST_NAMES: [&str; 20] = [
    "adams", "becker", "costa", "dubois", "evans", "fischer", "garcia", "hansen", "ito", "jones", "keller", "lang",
    "martin", "novak", "olsen", "petrenko", "rossi", "smith", "weber", "young",
];

/// A visitor.
#[derive(Clone, Debug)]
pub(super) struct Person {
    /// The day of the first visit, from 1970, and the number among those who were new.
    pub(super) first: i64,
    pub(super) number: i64,
    /// With an account the name of it, else an id of the browser.
    pub(super) id: String,
    pub(super) country: &'static str,
    pub(super) device: &'static str,
    pub(super) browser: &'static str,
    /// Where the person came from at first: the host, and the campaign.
    pub(super) referrer: Option<&'static str>,
    pub(super) campaign: Option<&'static str>,
    /// The plan of the account, which the person makes at the first visit.
    pub(super) plan: Option<&'static str>,
}

/// The number of people who visit for the first time on a day.
pub(super) fn new_on(seed: u64, day: i64) -> i64 {
    #[allow(clippy::cast_precision_loss)] // far below 2^52
    let season = 1.0 + 0.12 * (day as f64 / 29.0 * std::f64::consts::TAU).sin();
    let chance = dice(seed, &[3, day]).f64().mul_add(0.24, 0.88);
    #[allow(clippy::cast_possible_truncation)] // some dozens
    let number = (NEW * season * rhythm(day) * chance).round() as i64;
    number
}

/// How busy a day is.
fn rhythm(day: i64) -> f64 {
    // 1970 began on a Thursday.
    WEEK[usize::try_from((day + 3).rem_euclid(7)).unwrap_or(0)]
}

impl Person {
    pub(super) fn of(seed: u64, first: i64, number: i64) -> Self {
        let mut rng = dice(seed, &[4, first, number]);
        let country = one_of(
            &mut rng,
            &[
                ("DE", 33),
                ("US", 19),
                ("GB", 11),
                ("FR", 9),
                ("NL", 8),
                ("PL", 6),
                ("UA", 5),
                ("JP", 4),
                ("BR", 3),
                ("SE", 2),
            ],
        );
        let device = one_of(&mut rng, &[("mobile", 56), ("desktop", 39), ("tablet", 5)]);
        let browser = match device {
            "desktop" => one_of(&mut rng, &[("Chrome", 58), ("Firefox", 18), ("Safari", 14), ("Edge", 10)]),
            _ => one_of(&mut rng, &[("Safari", 52), ("Chrome", 42), ("Samsung Internet", 6)]),
        };
        let (referrer, campaign) = one_of(
            &mut rng,
            &[
                ((Some("google.com"), None), 36),
                ((None, None), 27),
                ((Some("instagram.com"), Some("autumn-trails")), 9),
                ((Some("google.com"), Some("tents-search")), 8),
                ((Some("duckduckgo.com"), None), 6),
                ((Some("reddit.com"), None), 5),
                ((Some("bergblog.example"), None), 5),
                ((Some("news.ycombinator.com"), None), 4),
            ],
        );
        let plan = happens(&mut rng, 0.29).then(|| one_of(&mut rng, &[("free", 74), ("plus", 19), ("pro", 7)]));
        let id = if plan.is_some() {
            let (name, family) = (FIRST_NAMES[rng.usize(0..24)], LAST_NAMES[rng.usize(0..20)]);
            format!("{name}.{family}{}@example.com", (first * 100 + number).rem_euclid(10_000))
        } else {
            format!("visitor-{:08x}", rng.u32(..))
        };
        Self { first, number, id, country, device, browser, referrer, campaign, plan }
    }

    /// Whether the person visits on a day, some days after the first.
    pub(super) fn returns(&self, seed: u64, day: i64) -> bool {
        #[allow(clippy::cast_precision_loss)] // at most 60
        let since = (day - self.first) as f64;
        let probability = match self.plan {
            Some("free") => 0.34 * since.powf(-0.62),
            Some(_) => 0.55 * since.powf(-0.45),
            None => 0.07 * since.powf(-0.75),
        };
        happens(&mut dice(seed, &[5, self.first, self.number, day]), probability * rhythm(day))
    }

    /// The second of a UTC day at which the person comes: most in the evening of the own country.
    pub(super) fn second(&self, rng: &mut Rng) -> i64 {
        /// By the hour of the person's own clock.
        const HOURS: [(i64, u32); 24] = [
            (0, 4),
            (1, 2),
            (2, 1),
            (3, 1),
            (4, 1),
            (5, 2),
            (6, 5),
            (7, 8),
            (8, 9),
            (9, 9),
            (10, 10),
            (11, 11),
            (12, 13),
            (13, 11),
            (14, 10),
            (15, 10),
            (16, 11),
            (17, 13),
            (18, 15),
            (19, 18),
            (20, 20),
            (21, 17),
            (22, 12),
            (23, 7),
        ];
        let east = match self.country {
            "US" => -6,
            "BR" => -3,
            "GB" => 0,
            "UA" => 2,
            "JP" => 9,
            _ => 1,
        };
        let hour = (one_of(rng, &HOURS) - east).rem_euclid(24);
        hour * 3600 + rng.i64(0..3600)
    }
}
