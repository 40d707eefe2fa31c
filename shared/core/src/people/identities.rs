//! Who is the same person: ids by which one user is known.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::{By, Person, person_of};
use crate::event::Event;

/// An id that names the same person as a user, such as the anonymous id before they signed in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// The id.
    pub alias: String,
    /// The user whose it is. That may be an alias of another one.
    pub user_id: String,
}

/// The identities of an app. An id is an alias of one user at most. Ids that lead to each other, over any number of steps, are one
/// person, by the id where they end; of ids that lead in a circle, by the smallest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identities {
    /// The person of each alias.
    people: HashMap<String, String>,
}

impl Identities {
    /// Of an id with several users the first counts.
    pub fn new(identities: impl IntoIterator<Item = Identity>) -> Self {
        let mut leads: HashMap<String, String> = HashMap::new();
        for Identity { alias, user_id } in identities {
            leads.entry(alias).or_insert(user_id);
        }
        let mut people: HashMap<String, String> = HashMap::with_capacity(leads.len());
        for start in leads.keys() {
            let mut path: Vec<&str> = Vec::new();
            // Where each id of the path is in it, so that a long path is found to be a circle without looking through it.
            let mut places: HashMap<&str, usize> = HashMap::new();
            let mut id = start.as_str();
            let person = loop {
                if let Some(person) = people.get(id) {
                    break person.clone();
                }
                if let Some(place) = places.get(id) {
                    // A circle has at least the id that was met again.
                    break path[*place..].iter().min().map_or_else(|| id.to_owned(), |smallest| (*smallest).to_owned());
                }
                match leads.get(id) {
                    Some(user) => {
                        places.insert(id, path.len());
                        path.push(id);
                        id = user;
                    }
                    None => break id.to_owned(),
                }
            };
            for id in path {
                if let Entry::Vacant(vacant) = people.entry(id.to_owned()) {
                    vacant.insert(person.clone());
                }
            }
        }
        Self { people }
    }

    /// The id of the person whom an id names.
    pub fn person<'a>(&'a self, id: &'a str) -> &'a str {
        self.people.get(id).map_or(id, String::as_str)
    }

    /// Who did what an event tells: the user, by any id, or else the session. Somebody who was no user yet is the user that they are
    /// known to have become. None where the event names nobody.
    pub fn person_of<'a>(&'a self, event: &'a Event, by: By) -> Option<Person<'a>> {
        if by == By::User && event.user_id.is_none() {
            let became = event.alias.as_ref().and_then(|alias| self.people.get(alias));
            if let Some(became) = became {
                return Some(Person::User(became));
            }
        }
        match person_of(event, by)? {
            Person::User(id) => Some(Person::User(self.person(id))),
            session @ Person::Session(_) => Some(session),
        }
    }

    /// The other ids of a person, in order.
    pub fn others(&self, person: &str) -> Vec<&str> {
        let others = self.people.iter().filter(|(id, of)| *of == person && *id != person);
        let mut others: Vec<_> = others.map(|(id, _)| id.as_str()).collect();
        others.sort_unstable();
        others
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn identity(alias: &str, user_id: &str) -> Identity {
        Identity { alias: alias.to_owned(), user_id: user_id.to_owned() }
    }

    #[test]
    fn ids_that_lead_to_one_user_are_one_person() {
        let identities = Identities::new([
            identity("a1", "ann"),
            identity("a2", "ann"),
            identity("ann", "Ann"),
            identity("a1", "bob"),
        ]);
        for id in ["a1", "a2", "ann", "Ann"] {
            assert_eq!(identities.person(id), "Ann");
        }
        assert_eq!((identities.person("bob"), identities.person("a3")), ("bob", "a3"), "the first mapping counts");
        assert_eq!(identities.others("Ann"), ["a1", "a2", "ann"]);
        assert!(identities.others("ann").is_empty() && identities.others("bob").is_empty());
    }

    #[test]
    fn ids_in_a_circle_are_the_smallest_of_them() {
        let identities =
            Identities::new([identity("c", "a"), identity("a", "b"), identity("b", "c"), identity("d", "b")]);
        for id in ["a", "b", "c", "d"] {
            assert_eq!(identities.person(id), "a");
        }
        assert_eq!(identities.others("a"), ["b", "c", "d"]);
        assert_eq!(Identities::new([identity("a", "a")]).person("a"), "a");
    }

    proptest! {
        #[test]
        fn people_are_what_joining_sets_finds(pairs in proptest::collection::vec((0usize..12, 0usize..12), 0..20)) {
            let identities = Identities::new(pairs.iter().map(|(a, b)| identity(&a.to_string(), &b.to_string())));
            let mut sets: Vec<usize> = (0..12).collect();
            let mut known = std::collections::HashSet::new();
            for (a, b) in pairs {
                if known.insert(a) {
                    let (from, to) = (sets[a], sets[b]);
                    sets.iter_mut().filter(|set| **set == from).for_each(|set| *set = to);
                }
            }
            let ids: Vec<String> = (0..12).map(|id| id.to_string()).collect();
            for a in 0..12 {
                for b in 0..12 {
                    let same = identities.person(&ids[a]) == identities.person(&ids[b]);
                    prop_assert_eq!(same, sets[a] == sets[b], "{} {}", a, b);
                }
                let person = identities.person(&ids[a]);
                prop_assert_eq!(identities.person(person), person);
            }
        }
    }
}
