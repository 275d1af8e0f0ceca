//! Latencies that nothing is added to any more, in few bytes.

/// Groups of latencies in ns, in order, and how many there are of each. Kept as numbers in groups of seven
/// bits, the lowest first (LEB128; DWARF 5, 7.6): how far each is above the one before, then how many.
#[derive(Clone, Debug, Default)]
pub(super) struct Packed(Box<[u8]>);

impl Packed {
    /// Packs groups that are in order.
    pub(super) fn new(groups: &[(u64, u64)]) -> Self {
        let mut bytes = Vec::with_capacity(groups.len().saturating_mul(4));
        let mut before = 0;
        for &(ns, count) in groups {
            push(&mut bytes, ns.saturating_sub(before));
            push(&mut bytes, count);
            before = ns;
        }
        Self(bytes.into_boxed_slice())
    }

    /// The groups.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        let (mut bytes, mut ns) = (self.0.iter(), 0_u64);
        std::iter::from_fn(move || {
            ns = ns.saturating_add(take(&mut bytes)?);
            Some((ns, take(&mut bytes)?))
        })
    }
}

fn push(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// The next number; `None` at the end.
fn take<'a>(bytes: &mut impl Iterator<Item = &'a u8>) -> Option<u64> {
    let mut number = 0;
    // As many as 64 bits take.
    for shift in (0..64).step_by(7) {
        let byte = bytes.next()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unpacked_is_what_was_packed() {
        for groups in [
            vec![],
            vec![(0, 1)],
            vec![(127, 127), (128, 128), (16_383, 16_384), (u64::MAX - 1, 1), (u64::MAX, u64::MAX)],
            (1..900).map(|at| (at * 8_192, at % 5 + 1)).collect(),
        ] {
            let packed = Packed::new(&groups);
            assert_eq!(packed.iter().collect::<Vec<_>>(), groups);
            assert!(packed.0.len() <= 20 * groups.len());
        }
    }

    #[test]
    fn groups_of_usual_latencies_take_few_bytes() {
        let groups: Vec<_> = (1..900).map(|at| (at * 8_192, at % 100 + 1)).collect();
        assert!(Packed::new(&groups).0.len() <= 4 * groups.len());
    }
}
