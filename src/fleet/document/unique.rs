//! What must be unique in a list.

use alloc::vec::Vec;

use super::{At, Problems, Reason};

/// The keys of a list in order, each with the index of its item: one allocation, where a map has many.
pub(crate) struct Sorted<K>(Vec<(K, usize)>);

impl<K: Ord> Sorted<K> {
    /// An item without a key is left out.
    pub(crate) fn new(keys: impl IntoIterator<Item = Option<K>>) -> Self {
        let keys = keys.into_iter().zip(0..);
        let mut sorted: Vec<(K, usize)> = keys
            .filter_map(|(key, index)| key.map(|key| (key, index)))
            .collect();
        sorted.sort_unstable();
        Self(sorted)
    }

    pub(crate) fn contains(&self, key: &K) -> bool {
        self.0.binary_search_by(|(other, _)| other.cmp(key)).is_ok()
    }

    /// Tells of each item of the list at `list` whose key an earlier one has, at the end of `path` within the
    /// item.
    pub(crate) fn tell(&self, list: &At<'_>, path: &[&str], problems: &mut Problems) {
        let mut found: Vec<(usize, usize)> = Vec::new();
        for same in self.0.chunk_by(|(one, _), (other, _)| one == other) {
            if let [(_, first), later @ ..] = same {
                found.extend(later.iter().map(|(_, index)| (*index, *first)));
            }
        }
        found.sort_unstable();
        for (later, first) in found {
            let first = within(&list.item(first), path, &mut |at| at.path());
            within(&list.item(later), path, &mut |at| {
                let first = first.clone();
                problems.add(at, Reason::Duplicate { first });
            });
        }
    }
}

/// [`Sorted::tell`] of some keys. Takes n·log n, and what is alone costs nothing.
pub(crate) fn unique<K: Ord>(
    keys: impl ExactSizeIterator<Item = Option<K>>,
    list: &At<'_>,
    path: &[&str],
    problems: &mut Problems,
) {
    if keys.len() > 1 {
        Sorted::new(keys).tell(list, path, problems);
    }
}

/// Goes along a path of members.
fn within<T>(at: &At<'_>, path: &[&str], then: &mut dyn FnMut(&At<'_>) -> T) -> T {
    match path {
        [] => then(at),
        [first, rest @ ..] => within(&at.member(first), rest, then),
    }
}
