//! Who is the same person: ids by which one user is known.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};

use super::{By, Person, person_of};
use crate::event::Event;
use crate::event::filter::values::Values;
use crate::event::filter::{EventFilter, PeopleFilter};

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
    /// known to have become, by the id that the client gave them or else by that of the session. None where the event names nobody.
    pub fn person_of<'a>(&'a self, event: &'a Event, by: By) -> Option<Person<'a>> {
        if by == By::User && event.user_id.is_none() {
            let became = |id: &Option<String>| self.people.get(id.as_ref()?);
            let became = became(&event.alias).or_else(|| became(&event.session_id));
            if let Some(became) = became {
                return Some(Person::User(became));
            }
        }
        match person_of(event, by)? {
            Person::User(id) => Some(Person::User(self.person(id))),
            session @ Person::Session(_) => Some(session),
        }
    }

    /// A filter on users as one on people: by all ids that they are known by. One that names nobody with another id stays.
    #[must_use]
    pub fn filter(&self, filter: EventFilter) -> EventFilter {
        let (is, is_not) = (filter.user_id.listed(), filter.user_id.excluded());
        let people: BTreeSet<&str> = is.or(is_not).into_iter().flatten().map(|id| self.person(id)).collect();
        let leads = self.people.iter().filter(|(_, person)| people.contains(person.as_str()));
        let aliases: BTreeSet<String> = leads.map(|(id, _)| id.clone()).collect();
        if aliases.is_empty() {
            return filter;
        }
        let ids = people.into_iter().map(str::to_owned).chain(aliases.iter().cloned()).collect();
        let people = PeopleFilter { ids, aliases, is_one: is.is_some() };
        EventFilter { user_id: Values::default(), people: [filter.people, vec![people]].concat(), ..filter }
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

    fn event(user_id: Option<String>, session_id: Option<String>, alias: Option<String>) -> Event {
        Event { session_id, user_id, alias, ..Event::bare() }
    }

    #[test]
    fn a_session_is_a_user_where_that_is_told_and_the_event_has_none() {
        let identities = Identities::new([identity("s1", "ann"), identity("a1", "bob")]);
        let some = |id: &str| Some(id.to_owned());
        let of = |event: Event, by| identities.person_of(&event, by).map(|person| person.text().into_owned());
        assert_eq!(of(event(None, some("s1"), None), By::User), some("ann"));
        assert_eq!(of(event(None, some("s1"), some("a1")), By::User), some("bob"), "what the client said comes first");
        assert_eq!(of(event(None, some("s1"), some("a2")), By::User), some("ann"));
        assert_eq!(of(event(some("cat"), some("s1"), None), By::User), some("cat"), "somebody else on the same device");
        assert_eq!(of(event(None, some("s1"), None), By::Session), some("\0s1"));
        assert_eq!(of(event(None, some("ann"), None), By::User), some("\0ann"), "no user is a session");
    }

    proptest! {
        #[test]
        fn a_filter_on_a_user_finds_what_the_person_did(
            pairs in proptest::collection::vec((0usize..6, 0usize..6), 0..8),
            events in proptest::collection::vec(proptest::option::of(0usize..6), 3),
            wanted in 0usize..6,
            is_one in any::<bool>(),
        ) {
            let identities = Identities::new(pairs.iter().map(|(a, b)| identity(&a.to_string(), &b.to_string())));
            let [user, session, alias] = [0, 1, 2].map(|n| events[n].map(|id| id.to_string()));
            // Of an event that tells two people, what the client said comes first.
            let alias = alias.filter(|_| session.is_none());
            let event = event(user, session, alias);
            let wanted = wanted.to_string();
            let named = vec![wanted.clone()];
            let (is, is_not) = if is_one { (named, vec![]) } else { (vec![], named) };
            let user_id = Values::new(is, is_not).expect("one");
            let filter = identities.filter(EventFilter { user_id, ..EventFilter::default() });
            let is_theirs = identities.person_of(&event, By::User) == Some(Person::User(identities.person(&wanted)));
            let layout = crate::app::layout::Layout::new(1, None);
            prop_assert_eq!(filter.matches(&event, &layout), is_theirs == is_one);
        }

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
