//! What people do in the shop: they look at pages, sign up, fill carts and buy, and some run into the mistakes of a release.

use fastrand::Rng;
use serde_json::{Value, json};

use super::deploys::{Deploy, Mistake};
use super::dice::{dice, happens, one_of, spread};
use super::people::Person;

/// The microseconds of a second.
const SECOND: i64 = 1_000_000;
/// A day in microseconds.
const DAY: i64 = 24 * 3600 * SECOND;

/// What is sold: path, price in cents, how much it is looked at.
const PRODUCTS: [((&str, i64), u32); 10] = [
    (("two-person-tent", 18_900), 20),
    (("down-sleeping-bag", 14_900), 14),
    (("trail-backpack-30", 9_900), 17),
    (("camp-stove", 5_490), 12),
    (("headlamp", 3_990), 11),
    (("merino-socks", 1_890), 13),
    (("rain-jacket", 12_900), 15),
    (("trekking-poles", 6_990), 8),
    (("water-filter", 4_490), 7),
    (("enamel-mug", 1_490), 6),
];

/// One visit, event by event.
struct Visit<'a> {
    person: &'a Person,
    session: String,
    release: Deploy,
    /// The time of the last event, in microseconds from 1970.
    now: i64,
    events: Vec<(i64, Value)>,
}

/// The events of a person's visits on a day, with their times.
pub(super) fn visits(seed: u64, person: &Person, day: i64) -> Vec<(i64, Value)> {
    let mut rng = dice(seed, &[6, person.first, person.number, day]);
    let now = day * DAY + person.second(&mut rng) * SECOND + rng.i64(0..SECOND);
    let mut visit = Visit {
        person,
        session: format!("s-{}-{}-{}", day, person.first % 1000, person.number),
        release: Deploy::at(seed, now),
        now,
        events: vec![],
    };
    visit.run(&mut rng, day == person.first);
    visit.events
}

impl Visit<'_> {
    fn run(&mut self, rng: &mut Rng, is_first: bool) {
        let landing = match (is_first, self.person.referrer) {
            (true, Some("bergblog.example" | "news.ycombinator.com")) => "/journal/how-we-test-tents",
            (true, Some("instagram.com")) => "/sale",
            _ => one_of(rng, &[("/", 55), ("/products", 22), ("/sale", 12), ("/journal/packing-list", 11)]),
        };
        self.page(landing, is_first);
        // Half of those who only look leave at once.
        if self.person.plan.is_none() && happens(rng, 0.38) {
            return;
        }
        let mut looked_at = None;
        for _ in 0..rng.u32(1..5) {
            self.wait(rng);
            if happens(rng, 0.62) {
                let product = one_of(rng, &PRODUCTS);
                self.page(&format!("/products/{}", product.0), false);
                if self.release.mistake() == Some(Mistake::Delivery) && happens(rng, 0.3) {
                    self.fails(&DELIVERY, rng);
                }
                looked_at = Some(product);
            } else {
                self.page(
                    one_of(rng, &[("/products", 5), ("/sale", 2), ("/search", 3), ("/journal/packing-list", 1)]),
                    false,
                );
            }
        }
        if is_first && let Some(plan) = self.person.plan {
            self.wait(rng);
            self.page("/sign-up", false);
            self.wait(rng);
            let source = self.person.campaign.or(self.person.referrer).unwrap_or("direct");
            self.add("signed_up", "account", "INFO", None, json!({"plan": plan, "source": source}));
        }
        if let Some(product) = looked_at {
            let wants = if self.person.plan.is_some() { 0.46 } else { 0.17 };
            if happens(rng, wants) {
                self.buys(rng, product);
            }
        }
    }

    fn buys(&mut self, rng: &mut Rng, (product, price): (&str, i64)) {
        self.wait(rng);
        let quantity = one_of(rng, &[(1, 78), (2, 17), (3, 5)]);
        let cart =
            json!({"product": product, "quantity": quantity, "amount": euros(price * quantity), "currency": "EUR"});
        self.add("cart_added", "shop", "INFO", None, cart);
        self.wait(rng);
        self.page("/cart", false);
        if self.release.mistake() == Some(Mistake::Total) && happens(rng, 0.7) {
            self.fails(&TOTAL, rng);
        }
        if !happens(rng, 0.64) {
            return;
        }
        self.wait(rng);
        self.page("/checkout", false);
        self.add(
            "checkout_started",
            "shop",
            "INFO",
            None,
            json!({"amount": euros(price * quantity), "currency": "EUR"}),
        );
        if self.release.mistake() == Some(Mistake::Total) && happens(rng, 0.6) {
            // Whoever can, tries again.
            for _ in 0..rng.u32(1..5) {
                self.wait(rng);
                self.fails(&TOTAL, rng);
            }
            return;
        }
        self.wait(rng);
        if happens(rng, 0.08) {
            let why = one_of(rng, &[("card declined", 6), ("card expired", 2), ("bank did not answer", 2)]);
            self.add(
                "payment_failed",
                "shop",
                "WARN",
                Some(why),
                json!({"amount": euros(price * quantity), "reason": why}),
            );
            if happens(rng, 0.5) {
                return;
            }
            self.wait(rng);
        }
        let off = match self.person.plan {
            Some("pro") => 15,
            Some("plus") => 10,
            _ => 0,
        };
        let paid = price * quantity * (100 - off) / 100;
        let order = json!({
            "order": format!("T-{}", 10_000 + (self.now / SECOND) % 90_000), "product": product, "quantity": quantity,
            "amount": euros(paid), "currency": "EUR", "plan": self.person.plan.unwrap_or("guest"),
            "country": self.person.country,
        });
        self.add("purchase", "shop", "INFO", None, order);
        self.page("/checkout/thanks", false);
    }

    fn wait(&mut self, rng: &mut Rng) {
        #[allow(clippy::cast_possible_truncation)] // some minutes
        let seconds = spread(rng, 21.0).clamp(2.0, 240.0) as i64;
        self.now += seconds * SECOND + rng.i64(0..SECOND);
    }

    fn page(&mut self, path: &str, came_from: bool) {
        let Person { country, device, browser, referrer, campaign, .. } = self.person;
        let mut data = json!({"path": path, "country": country, "device": device, "browser": browser});
        if came_from {
            data["referrer"] = referrer.unwrap_or("direct").into();
            if let Some(campaign) = campaign {
                data["campaign"] = (*campaign).into();
            }
        }
        self.add("page_view", "web", "INFO", None, data);
    }

    fn fails(&mut self, error: &Error, rng: &mut Rng) {
        let mut event = error.event();
        event["data"] = json!({"path": error.path, "browser": self.person.browser, "cart_items": rng.u32(1..6)});
        event["tags"] = json!({"release": self.release.version(), "environment": "production"});
        self.put(event);
    }

    fn add(&mut self, name: &str, category: &str, level: &str, message: Option<&str>, data: Value) {
        let mut event = json!({"name": name, "category": category, "level": level});
        event["data"] = data;
        if let Some(message) = message {
            event["message"] = message.into();
        }
        self.put(event);
    }

    fn put(&mut self, mut event: Value) {
        event["session_id"] = self.session.as_str().into();
        event["user_id"] = self.person.id.as_str().into();
        self.events.push((self.now, event));
    }
}

/// An amount of cents.
fn euros(cents: i64) -> Value {
    #[allow(clippy::cast_precision_loss)] // a cart
    let euros = cents as f64 / 100.0;
    euros.into()
}

/// An error in the browser.
struct Error {
    kind: &'static str,
    value: &'static str,
    path: &'static str,
    /// Function, file, line, column; those of libraries stand below `node_modules/`.
    frames: [(&'static str, &'static str, u32, u32); 4],
}

const TOTAL: Error = Error {
    kind: "TypeError",
    value: "Cannot read properties of undefined (reading 'total')",
    path: "/checkout",
    frames: [
        ("cartTotal", "src/checkout/cart-total.ts", 41, 23),
        ("CheckoutSummary", "src/checkout/summary.tsx", 87, 18),
        ("renderWithHooks", "node_modules/react-dom/cjs/react-dom.production.js", 5529, 24),
        ("updateFunctionComponent", "node_modules/react-dom/cjs/react-dom.production.js", 8897, 19),
    ],
};
const DELIVERY: Error = Error {
    kind: "RangeError",
    value: "Invalid time value",
    path: "/products/:product",
    frames: [
        ("formatDelivery", "src/product/delivery.ts", 19, 34),
        ("ProductPage", "src/product/page.tsx", 132, 11),
        ("renderWithHooks", "node_modules/react-dom/cjs/react-dom.production.js", 5529, 24),
        ("updateFunctionComponent", "node_modules/react-dom/cjs/react-dom.production.js", 8897, 19),
    ],
};

impl Error {
    fn event(&self) -> Value {
        let frames = self.frames.map(|(function, file, line, column)| {
            json!({"function": function, "filename": file, "lineno": line, "colno": column,
                "in_app": !file.starts_with("node_modules/")})
        });
        let function = self.frames[0].0;
        json!({
            "name": self.kind, "category": "error", "level": "ERROR", "message": format!("{}: {}", self.kind, self.value),
            "fingerprint": format!("{} in {function}", self.kind),
            "stack": [{"type": self.kind, "value": self.value, "frames": frames}],
        })
    }
}
