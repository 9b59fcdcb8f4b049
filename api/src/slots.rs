//! Limits how much of something each key has at once, such as event streams of a person.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// How many slots each key uses. Copies share them.
#[derive(Debug, Clone)]
pub struct Slots<K> {
    used: Arc<Mutex<HashMap<K, usize>>>,
    most: usize,
    gauge: &'static str,
}

/// A slot in use, released when dropped.
#[derive(Debug)]
#[must_use]
pub struct Slot<K: Clone + Eq + Hash> {
    slots: Slots<K>,
    key: K,
}

impl<K: Clone + Eq + Hash> Slots<K> {
    /// At most `most` for each key. `gauge` is the metric for all keys together.
    pub fn new(most: usize, gauge: &'static str) -> Self {
        Self { used: Arc::default(), most, gauge }
    }

    /// `None`: the key has no free slot.
    pub fn take(&self, key: K) -> Option<Slot<K>> {
        let mut used = self.used();
        let count = used.entry(key.clone()).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        metrics::gauge!(self.gauge).increment(1);
        Some(Slot { slots: self.clone(), key })
    }

    fn used(&self) -> MutexGuard<'_, HashMap<K, usize>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Hash> Slot<K> {
    pub fn key(&self) -> &K {
        &self.key
    }
}

impl<K: Clone + Eq + Hash> Drop for Slot<K> {
    fn drop(&mut self) {
        metrics::gauge!(self.slots.gauge).decrement(1);
        let mut used = self.slots.used();
        if let Some(count) = used.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                used.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_so_many_and_no_more() {
        let slots = Slots::new(3, "test");
        let mut held: Vec<_> = (0..3).map(|_| slots.take("ann").unwrap()).collect();
        assert!(slots.take("ann").is_none());
        assert!(slots.take("bob").is_some());
        held.pop();
        assert!(slots.clone().take("ann").is_some());
        drop(held);
        assert!(slots.used().is_empty());
    }
}
