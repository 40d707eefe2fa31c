//! Which values a field may have.

use std::borrow::Borrow;
use std::collections::BTreeSet;

/// Most values that a filter names of a field: this many that it may have, and as many that it may not.
pub const MOST_VALUES: usize = 20;

/// Which values a field may have: any, one of some, or none of some. A field without a value has none of some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Values<T: Ord>(Set<T>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Set<T: Ord> {
    /// Without a value, nothing matches.
    OneOf(BTreeSet<T>),
    /// Without a value, everything matches.
    NoneOf(BTreeSet<T>),
}

/// A field has more values than a filter may name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} values: send at most {MOST_VALUES}")]
pub struct TooManyValues(pub usize);

impl<T: Ord> Default for Values<T> {
    /// Any value, or none at all.
    fn default() -> Self {
        Self(Set::NoneOf(BTreeSet::new()))
    }
}

impl<T: Ord> Values<T> {
    /// One of `is` if any are given, and none of `is_not`.
    ///
    /// # Errors
    /// Where either list has more than [`MOST_VALUES`].
    pub fn new(is: Vec<T>, is_not: Vec<T>) -> Result<Self, TooManyValues> {
        for list in [&is, &is_not] {
            if list.len() > MOST_VALUES {
                return Err(TooManyValues(list.len()));
            }
        }
        let none_of = Self(Set::NoneOf(is_not.into_iter().collect()));
        Ok(if is.is_empty() { none_of } else { Self(Set::OneOf(is.into_iter().collect())).and(none_of) })
    }

    /// This value alone.
    pub fn only(value: T) -> Self {
        Self(Set::OneOf(BTreeSet::from([value])))
    }

    /// Whether every value matches, and a field without one.
    pub fn is_any(&self) -> bool {
        matches!(&self.0, Set::NoneOf(values) if values.is_empty())
    }

    /// Whether nothing matches.
    pub fn is_nothing(&self) -> bool {
        matches!(&self.0, Set::OneOf(values) if values.is_empty())
    }

    /// The values that match, if they are listed.
    pub fn listed(&self) -> Option<&BTreeSet<T>> {
        match &self.0 {
            Set::OneOf(values) => Some(values),
            Set::NoneOf(_) => None,
        }
    }

    /// The values that do not match, if all others do.
    pub fn excluded(&self) -> Option<&BTreeSet<T>> {
        match &self.0 {
            Set::OneOf(_) => None,
            Set::NoneOf(values) => Some(values),
        }
    }

    /// The value, if it is the only one that matches.
    pub fn single(&self) -> Option<&T> {
        self.listed().filter(|values| values.len() == 1).and_then(BTreeSet::first)
    }

    /// Whether the value of a field matches.
    pub fn matches<Q: Ord + ?Sized>(&self, value: Option<&Q>) -> bool
    where
        T: Borrow<Q>,
    {
        match &self.0 {
            Set::OneOf(values) => value.is_some_and(|value| values.contains(value)),
            Set::NoneOf(values) => value.is_none_or(|value| !values.contains(value)),
        }
    }

    /// What matches both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(match (self.0, other.0) {
            (Set::NoneOf(mut one), Set::NoneOf(mut other)) => {
                one.append(&mut other);
                Set::NoneOf(one)
            }
            (Set::OneOf(mut one), Set::OneOf(other)) => {
                one.retain(|value| other.contains(value));
                Set::OneOf(one)
            }
            (Set::OneOf(mut one), Set::NoneOf(other)) | (Set::NoneOf(other), Set::OneOf(mut one)) => {
                one.retain(|value| !other.contains(value));
                Set::OneOf(one)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values() -> impl Strategy<Value = Values<u8>> {
        let list = || prop::collection::vec(0u8..6, 0..4);
        (list(), list()).prop_map(|(is, is_not)| Values::new(is, is_not).expect("few values"))
    }

    proptest! {
        #[test]
        fn a_value_is_one_of_some_and_none_of_others(
            is in prop::collection::vec(0u8..6, 0..4),
            is_not in prop::collection::vec(0u8..6, 0..4),
            value in prop::option::of(0u8..6),
        ) {
            let expected = (is.is_empty() || value.is_some_and(|value| is.contains(&value)))
                && value.is_none_or(|value| !is_not.contains(&value));
            let values = Values::new(is, is_not).expect("few values");
            prop_assert_eq!(values.matches(value.as_ref()), expected);
            if values.is_any() || values.is_nothing() {
                prop_assert_eq!(values.matches(value.as_ref()), values.is_any());
            }
            if let Some(listed) = values.listed() {
                prop_assert_eq!(expected, value.is_some_and(|value| listed.contains(&value)));
                prop_assert_eq!(values.single().is_some(), listed.len() == 1);
            } else {
                prop_assert!(values.matches(None::<&u8>) && values.single().is_none());
            }
        }

        #[test]
        fn both_match_where_each_does(one in values(), other in values(), value in prop::option::of(0u8..6)) {
            let value = value.as_ref();
            let expected = one.matches(value) && other.matches(value);
            prop_assert_eq!(one.and(other).matches(value), expected);
        }
    }

    #[test]
    fn no_more_values_are_taken_than_a_filter_may_name() {
        let some = |n: usize| (0..n).collect::<Vec<_>>();
        assert!(Values::new(some(MOST_VALUES), some(MOST_VALUES)).is_ok());
        assert_eq!(Values::new(some(21), vec![]), Err(TooManyValues(21)));
        assert_eq!(Values::new(vec![], some(21)), Err(TooManyValues(21)));
        assert_eq!(Values::only(3).single(), Some(&3));
        assert!(Values::<u8>::default().is_any());
    }
}
