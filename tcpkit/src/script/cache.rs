//! Values that are costly to make, by what they are made of: some of those used last.

/// A place for each value of the key's hash, modulo its size. A newer key takes an older one's place.
#[derive(Debug)]
pub(super) struct Cache<K, V> {
    places: Vec<Option<(K, V)>>,
    /// Taken where there is no place.
    spare: Option<(K, V)>,
}

impl<K, V> Cache<K, V> {
    /// Keeps at most `size` values.
    pub(super) fn new(size: usize) -> Self {
        Self { places: std::iter::repeat_with(|| None).take(size).collect(), spare: None }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.places.fill_with(|| None);
        self.spare = None;
    }

    /// The value for a key: `is_it` knows it, `make` makes both. `hash` may be anything that tells keys
    /// apart.
    pub(super) fn find<E>(
        &mut self,
        hash: u64,
        is_it: impl Fn(&K) -> bool,
        make: impl FnOnce() -> Result<(K, V), E>,
    ) -> Result<&V, E> {
        // Multiplied so that neighbours, such as addresses, fall on different places.
        let mixed = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let count = self.places.len();
        let at = usize::try_from(mixed).unwrap_or(0).checked_rem(count).unwrap_or(0);
        let place = self.places.get_mut(at).unwrap_or(&mut self.spare);
        let kept = place.take().filter(|(key, _)| is_it(key));
        let (_, value) = place.insert(match kept {
            Some(kept) => kept,
            None => make()?,
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
                Ok::<_, ()>((key, key.to_string()))
            };
            cache.find(key, |it| *it == key, make).cloned()
        };
        for key in [1, 1, 1, 2, 2] {
            assert_eq!(find(key, &mut cache), Ok(key.to_string()));
        }
        for key in 0..100 {
            assert_eq!(find(key, &mut cache), Ok(key.to_string()));
        }
        assert!(made <= 102);
        cache.clear();
        assert!(cache.find(1, |_| true, || Err(())).is_err());
    }
}
