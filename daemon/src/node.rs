// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Values that are cached for the guest's files.

use std::num::NonZeroUsize;

use lru::LruCache;
use parking_lot::Mutex;

/// FUSE's number for a file. virtiofsd's server never reuses a number, so a value that is cached
/// too long is useless but never about another file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

/// Caches one value for each file, and evicts the least recently used beyond a limit.
pub struct NodeCache<T> {
    entries: Mutex<LruCache<NodeId, T>>,
    keeps: bool,
}

impl<T: Clone> NodeCache<T> {
    /// An empty cache for `limit` files.
    #[must_use]
    pub fn new(limit: NonZeroUsize) -> Self {
        Self {
            entries: Mutex::new(empty(limit)),
            keeps: true,
        }
    }

    /// A cache that keeps nothing.
    #[must_use]
    pub fn without_memory() -> Self {
        Self {
            keeps: false,
            ..Self::new(NonZeroUsize::MIN)
        }
    }

    /// The value that is kept for `node`; it counts as used now.
    pub fn get(&self, node: NodeId) -> Option<T> {
        self.entries.lock().get(&node).cloned()
    }

    /// Whether a value is cached for `node`; does not count as a use of it.
    pub fn holds(&self, node: NodeId) -> bool {
        self.entries.lock().contains(&node)
    }

    /// The files with a cached value.
    pub fn nodes(&self) -> Vec<NodeId> {
        self.entries.lock().iter().map(|(node, _)| *node).collect()
    }

    /// The number of files with a cached value.
    pub fn len(&self) -> usize {
        self.entries.lock().len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Remembers `value` for `node`.
    pub fn put(&self, node: NodeId, value: T) {
        if !self.keeps {
            return;
        }
        // Values may be descriptors, which are closed after the lock is released.
        let evicted = self.entries.lock().push(node, value);
        drop(evicted);
    }

    /// Caches `value` for `node` if `still` is true with the cache locked. So a later `forget` or
    /// `clear` finds the value.
    pub fn put_if(&self, node: NodeId, value: T, still: impl FnOnce() -> bool) {
        let mut entries = self.entries.lock();
        let evicted = (self.keeps && still()).then(|| entries.push(node, value));
        drop(entries);
        drop(evicted);
    }

    /// Changes the value of `node`, if one is remembered.
    pub fn change(&self, node: NodeId, change: impl FnOnce(&mut T)) {
        if let Some(value) = self.entries.lock().get_mut(&node) {
            change(value);
        }
    }

    /// Forgets `node`.
    pub fn forget(&self, node: NodeId) {
        let forgotten = self.entries.lock().pop(&node);
        drop(forgotten);
    }

    /// Forgets everything.
    pub fn clear(&self) {
        let mut entries = self.entries.lock();
        let limit = entries.cap();
        let forgotten = std::mem::replace(&mut *entries, empty(limit));
        drop(entries);
        drop(forgotten);
    }
}

/// Allocates memory as it fills, unlike [`LruCache::new`], which allocates for all entries at once.
fn empty<T>(limit: NonZeroUsize) -> LruCache<NodeId, T> {
    let mut entries = LruCache::unbounded();
    entries.resize(limit);
    entries
}

#[cfg(test)]
mod tests {
    use super::{NodeCache, NodeId};
    use std::num::NonZeroUsize;
    use std::sync::Arc;

    #[test]
    fn it_is_bounded_and_lets_go_of_what_it_forgets() {
        let cache = NodeCache::new(NonZeroUsize::new(2).expect("2"));
        let values: Vec<_> = (0..4).map(|_| Arc::new(())).collect();
        for (node, value) in values.iter().take(3).enumerate() {
            cache.put(NodeId(node as u64), Arc::clone(value));
        }
        let held = |at: usize| Arc::strong_count(&values[at]) == 2;
        assert!(!held(0) && held(1) && held(2), "the oldest went");
        assert!(cache.get(NodeId(0)).is_none());

        cache.put(NodeId(2), Arc::clone(&values[3]));
        assert!(!held(2) && held(3), "a new value replaces the old one");
        cache.forget(NodeId(1));
        assert!(!held(1));
        for (node, other) in [(2, 0), (1, 1)] {
            cache.change(NodeId(node), |value| *value = Arc::clone(&values[other]));
        }
        assert!(
            held(0) && !held(1) && !held(3),
            "a value changes where there is one"
        );
        cache.put(NodeId(2), Arc::clone(&values[3]));
        cache.clear();
        assert!(!held(3));
        NodeCache::without_memory().put(NodeId(0), Arc::clone(&values[0]));
        assert!(!held(0));
    }
}
