//! The names of the interfaces that frames come from, shared by a source, which learns them, and
//! those who show them.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

/// How many interfaces that are gone keep their names, for frames that are still on their way.
const GONE: usize = 1024;

/// Names by [`super::Frame::ifindex`]. Clones share the same names.
#[derive(Clone, Debug, Default)]
pub struct InterfaceNames(Arc<Mutex<Names>>);

#[derive(Debug, Default)]
struct Names {
    by_index: BTreeMap<u32, Arc<str>>,
    gone: VecDeque<u32>,
}

impl InterfaceNames {
    /// Adds a name, or replaces it.
    pub fn insert(&self, ifindex: u32, name: &str) {
        self.lock(|names| {
            names.by_index.insert(ifindex, name.into());
            names.gone.retain(|&gone| gone != ifindex);
        });
    }

    /// The name of an interface, if it is known.
    #[must_use]
    pub fn find(&self, ifindex: u32) -> Option<Arc<str>> {
        self.lock(|names| names.by_index.get(&ifindex).cloned())
    }

    /// An interface is gone: its name is kept for a while.
    pub fn forget_later(&self, ifindex: u32) {
        self.lock(|names| {
            names.gone.push_back(ifindex);
            if names.gone.len() > GONE
                && let Some(oldest) = names.gone.pop_front()
            {
                names.by_index.remove(&oldest);
            }
        });
    }

    fn lock<T>(&self, work: impl FnOnce(&mut Names) -> T) -> T {
        // Nothing panics while it is locked.
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_interfaces_that_are_gone_do_not_add_up() {
        let names = InterfaceNames::default();
        names.insert(1, "eth0");
        for ifindex in 2..5000 {
            names.insert(ifindex, "veth");
            assert_eq!(names.find(ifindex).as_deref(), Some("veth"));
            names.forget_later(ifindex);
        }
        assert_eq!(names.lock(|names| names.by_index.len()), GONE + 1);
        assert_eq!(names.find(1).as_deref(), Some("eth0"));
        assert_eq!((names.find(7), names.find(4999).as_deref()), (None, Some("veth")));
    }
}
