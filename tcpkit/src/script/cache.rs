//! Values that are costly to make, by what they are made of: some of those used last.

use std::{
    borrow::Borrow,
    hash::{BuildHasher, Hash},
};

use foldhash::fast::RandomState;

/// A place for each value of the key's hash, modulo its size. A newer key takes an older one's place.
#[derive(Debug)]
pub(super) struct Cache<K, V> {
    places: Vec<Option<(K, V)>>,
    /// Taken where there is no place.
    spare: Option<(K, V)>,
    hasher: RandomState,
}

impl<K, V> Cache<K, V> {
    /// Keeps at most `size` values.
    pub(super) fn new(size: usize) -> Self {
        let places = std::iter::repeat_with(|| None).take(size).collect();
        // Seeded at random: keys come from whoever can send packets.
        Self { places, spare: None, hasher: RandomState::default() }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.places.fill_with(|| None);
        self.spare = None;
    }

    /// The value for a key, which `make` makes where it is not kept.
    pub(super) fn find<Q, E>(
        &mut self,
        key: &Q,
        make: impl FnOnce() -> Result<V, E>,
    ) -> Result<&V, E>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let hash = usize::try_from(self.hasher.hash_one(key) >> 32).unwrap_or(0);
        let at = hash.checked_rem(self.places.len()).unwrap_or(0);
        let place = self.places.get_mut(at).unwrap_or(&mut self.spare);
        let kept = place.take().filter(|(known, _)| known.borrow() == key);
        let (_, value) = place.insert(match kept {
            Some(kept) => kept,
            None => (key.to_owned(), make()?),
        });
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_is_found_until_another_takes_its_place() {
        let mut cache: Cache<u64, String> = Cache::new(4);
        let mut made = 0;
        let mut find = |key: u64, cache: &mut Cache<u64, String>| {
            let make = || {
                made += 1;
                Ok::<_, ()>(key.to_string())
            };
            cache.find(&key, make).cloned()
        };
        for key in [1, 1, 1, 2, 2] {
            assert_eq!(find(key, &mut cache), Ok(key.to_string()));
        }
        for key in 0..100 {
            assert_eq!(find(key, &mut cache), Ok(key.to_string()));
        }
        assert!(made <= 102);
        cache.clear();
        assert!(cache.find(&1, || Err(())).is_err());
    }
}
