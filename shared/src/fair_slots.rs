//! Slots that owners share: an owner never holds more of them than are free.
//!
//! One owner alone can thus hold half of the slots, two a third each, three a quarter each: while there are more slots
//! than owners, one is left for whoever comes next, and no slot has to be reserved for anybody. Switches share their
//! memory between ports by this rule, with the threshold α = 1 (Choudhury and Hahne, "Dynamic Queue Length Thresholds
//! for Shared-Memory Packet Switches", IEEE/ACM Transactions on Networking 6(2), 1998).

use std::collections::HashMap;

use crate::ids::UserId;

/// The slots of one kind and who holds them.
#[derive(Debug, Clone, Default)]
pub struct FairSlots {
    slots: usize,
    taken: usize,
    /// Slots of each owner, at least one. What belongs to the installation is only in `taken`.
    owners: HashMap<UserId, usize>,
}

impl FairSlots {
    pub fn new(slots: usize) -> Self {
        Self { slots, ..Self::default() }
    }

    /// Slots that nobody holds.
    pub fn free(&self) -> usize {
        self.slots.saturating_sub(self.taken)
    }

    /// Slots that somebody holds.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// Whether half of the slots are free, and more for each owner.
    pub fn half_free(&self) -> bool {
        2 * self.free() >= self.slots && self.owners.values().all(|held| *held < self.free())
    }

    /// Whether `owner` may take a slot. The installation (`None`) may take any that is free.
    pub fn may_take(&self, owner: Option<UserId>) -> bool {
        self.free() > owner.map_or(0, |owner| self.owners.get(&owner).copied().unwrap_or_default())
    }

    /// Records that `owner` takes a slot, whether it may or not.
    pub fn take(&mut self, owner: Option<UserId>) {
        self.taken += 1;
        if let Some(owner) = owner {
            *self.owners.entry(owner).or_default() += 1;
        }
    }

    /// Records that `owner` gives back a slot.
    pub fn give_back(&mut self, owner: Option<UserId>) {
        self.taken = self.taken.saturating_sub(1);
        let Some(owner) = owner else { return };
        if let Some(held) = self.owners.get_mut(&owner) {
            *held -= 1;
            if *held == 0 {
                self.owners.remove(&owner);
            }
        }
    }

    /// The owners that hold slots, and how many.
    pub fn owners(&self) -> impl Iterator<Item = (UserId, usize)> {
        self.owners.iter().map(|(owner, held)| (*owner, *held))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes all that `owner` may.
    fn fill(slots: &mut FairSlots, owner: Option<UserId>) -> usize {
        std::iter::from_fn(|| slots.may_take(owner).then(|| slots.take(owner))).count()
    }

    #[test]
    fn each_owner_leaves_as_much_as_it_takes() {
        let [ann, bob, cleo] = [1_u128, 2, 3].map(|n| UserId(uuid::Uuid::from_u128(n)));
        let mut slots = FairSlots::new(16);
        assert_eq!(fill(&mut slots, Some(ann)), 8);
        assert_eq!(fill(&mut slots, Some(bob)), 4);
        assert_eq!(fill(&mut slots, Some(cleo)), 2);
        assert_eq!((slots.free(), slots.taken()), (2, 14));
        slots.give_back(Some(ann));
        assert!(!slots.may_take(Some(ann)), "it still holds more than are free");
        assert!(slots.may_take(Some(UserId::generate())));
        assert_eq!(fill(&mut slots, None), 3, "the installation takes what it needs");
        assert!(!slots.may_take(Some(UserId::generate())));
    }

    #[test]
    fn a_single_slot_is_for_anybody() {
        let mut slots = FairSlots::new(1);
        assert_eq!(fill(&mut slots, Some(UserId::generate())), 1);
        assert_eq!(fill(&mut FairSlots::new(0), None), 0);
    }

    #[test]
    fn what_was_given_back_is_forgotten() {
        let (ann, mut slots) = (UserId::generate(), FairSlots::new(4));
        slots.take(Some(ann));
        slots.take(None);
        assert_eq!(slots.owners().collect::<Vec<_>>(), [(ann, 1)]);
        assert!(slots.half_free());
        slots.take(Some(ann));
        assert!(!slots.half_free());
        for owner in [Some(ann), None, Some(ann)] {
            slots.give_back(owner);
        }
        assert_eq!((slots.free(), slots.owners().count()), (4, 0));
    }
}
