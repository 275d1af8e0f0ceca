//! The names of the interfaces that frames come from, shared by a source, which learns them, and
//! those who show them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Names by [`super::Frame::ifindex`]. Clones share the same names.
#[derive(Clone, Debug, Default)]
pub struct InterfaceNames(Arc<Mutex<BTreeMap<u32, Arc<str>>>>);

impl InterfaceNames {
    /// Adds a name, or replaces it.
    pub fn insert(&self, ifindex: u32, name: &str) {
        self.lock(|names| names.insert(ifindex, name.into()));
    }

    /// The name of an interface, if it is known.
    #[must_use]
    pub fn find(&self, ifindex: u32) -> Option<Arc<str>> {
        self.lock(|names| names.get(&ifindex).cloned())
    }

    fn lock<T>(&self, work: impl FnOnce(&mut BTreeMap<u32, Arc<str>>) -> T) -> T {
        // Nothing panics while it is locked.
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
