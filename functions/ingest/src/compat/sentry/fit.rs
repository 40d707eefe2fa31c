//! An event that is too large loses what is least needed, rather than being lost: its breadcrumbs and variables may be
//! large, and nobody sends it again.

use std::collections::BTreeMap;

use tally_core::event::MAX_EVENT;
use tally_core::event::draft::Draft;
use tally_core::event::json::Json;

/// What can be left out, the least needed first.
const PARTS: [Part; 7] = [
    Part::Frames("vars"),
    Part::Frames("pre_context"),
    Part::Frames("post_context"),
    Part::Data("breadcrumbs"),
    Part::Data("request"),
    Part::Data("extra"),
    Part::Data("contexts"),
];

#[derive(Clone, Copy)]
enum Part {
    /// A field of every frame.
    Frames(&'static str),
    /// A field of `data`.
    Data(&'static str),
}

/// Leaves parts out until the event is as small as a native one must be. `data.omitted` names them. False if it is still too
/// large.
pub(super) fn fit(draft: &mut Draft) -> bool {
    let mut omitted = vec![];
    for part in PARTS {
        if is_small(draft) {
            break;
        }
        if leave_out(draft, part) {
            let (Part::Frames(name) | Part::Data(name)) = part;
            omitted.push(Json::String(name.to_owned()));
        }
    }
    if !omitted.is_empty() {
        let data = draft.data.get_or_insert_with(|| Json::Object(BTreeMap::new()));
        if let Json::Object(data) = data {
            data.insert("omitted".to_owned(), Json::Array(omitted));
        }
    }
    is_small(draft)
}

/// Whether an event is as small as a native one must be.
pub(super) fn is_small(draft: &Draft) -> bool {
    size(draft) <= MAX_EVENT
}

fn size(draft: &Draft) -> usize {
    [&draft.data, &draft.tags, &draft.stack].into_iter().flatten().map(Json::stored_size).sum()
}

/// Whether the part was there.
fn leave_out(draft: &mut Draft, part: Part) -> bool {
    match (part, &mut draft.data, &mut draft.stack) {
        (Part::Data(name), Some(Json::Object(data)), _) => data.remove(name).is_some(),
        (Part::Frames(name), _, Some(Json::Array(exceptions))) => {
            let mut found = false;
            for exception in exceptions {
                let Json::Object(exception) = exception else { continue };
                let Some(Json::Array(frames)) = exception.get_mut("frames") else { continue };
                for frame in frames {
                    if let Json::Object(frame) = frame {
                        found |= frame.remove(name).is_some();
                    }
                }
            }
            found
        }
        _ => false,
    }
}
