//! Leases: what one of several servers over the same tables does at a time.

use tally_core::time::{SECOND, TimeDelta};
use tally_store::{Held, Lease};

use crate::harness::{NOW, Tally, at};

#[tokio::test]
async fn a_lease_has_one_owner_until_it_ends_or_is_given_up() {
    let tally = Tally::start().await;
    let store = &tally.context.store;
    let hold = async |lease, owner, seconds: i64, position| {
        let now = at(NOW) + TimeDelta::seconds(seconds);
        store.hold_lease(lease, owner, now, now + SECOND * 40, position).await.unwrap()
    };
    let held = |position: Option<&str>| Some(Held { position: position.map(str::to_owned) });
    assert_eq!(hold(Lease::Stream, "a", 0, None).await, held(None));
    assert_eq!(hold(Lease::Stream, "b", 10, None).await, None);
    // Who has one does not have the other.
    assert_eq!(hold(Lease::Alerts, "b", 10, None).await, held(None));
    assert_eq!(hold(Lease::Stream, "a", 10, Some("so far")).await, held(Some("so far")));
    assert_eq!(hold(Lease::Stream, "b", 49, None).await, None);
    // It was renewed at 10 s, for 40 s. The next owner learns how far the last one came.
    assert_eq!(hold(Lease::Stream, "b", 50, None).await, held(Some("so far")));
    assert_eq!(hold(Lease::Stream, "a", 51, Some("late")).await, None, "who stalled has lost it");
    store.leave_lease(Lease::Stream, "a").await.unwrap();
    assert_eq!(hold(Lease::Stream, "c", 52, None).await, None, "only its owner gives it up");
    store.leave_lease(Lease::Stream, "b").await.unwrap();
    assert_eq!(hold(Lease::Stream, "c", 52, None).await, held(Some("so far")));
}
