//! Templates and groups: a template is its own template, and has a bound; a group reads back.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tally_core::event::group::{Grouped, Grouping, group_of};
use tally_core::event::template::template;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (fingerprint, message) = text.split_once('\n').map_or((None, text), |(own, message)| (Some(own), message));
    let once = template(message);
    assert_eq!(template(&once), once, "{message}");
    assert!(once.len() <= 2 * message.len() + 16, "{message}");
    for grouping in Grouping::ALL {
        if let Some((group, _)) = group_of(grouping, Grouped { fingerprint, message: Some(message) }) {
            assert_eq!(group.to_string().parse(), Ok(group));
        }
    }
});
