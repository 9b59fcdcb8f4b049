//! The slots of a queue in this worker, which owners share.

use std::sync::Arc;

use clawdeploy_shared::{fair_slots::FairSlots, ids::UserId};
use tokio::sync::watch;

/// The slots of one queue. Clones share them.
#[derive(Debug, Clone)]
pub struct Room(Arc<watch::Sender<FairSlots>>);

impl Room {
    pub fn new(slots: usize) -> Self {
        Self(Arc::new(watch::Sender::new(FairSlots::new(slots))))
    }

    /// Who holds which slots now.
    pub fn slots(&self) -> FairSlots {
        self.0.borrow().clone()
    }

    /// Takes a slot for a job that was claimed. Dropping the guard gives it back.
    pub fn enter(&self, owner: Option<UserId>) -> RoomGuard {
        self.0.send_modify(|slots| slots.take(owner));
        RoomGuard { room: self.clone(), owner }
    }

    /// Waits until a slot is free.
    pub async fn any_free(&self) {
        self.when(|slots| slots.free() > 0).await;
    }

    /// Waits until [half of the slots are free](FairSlots::half_free).
    pub async fn half_free(&self) {
        self.when(FairSlots::half_free).await;
    }

    async fn when(&self, so: impl FnMut(&FairSlots) -> bool) {
        // The sender lives as long as `self`.
        let _ = self.0.subscribe().wait_for(so).await;
    }
}

/// A taken slot.
#[derive(Debug)]
pub struct RoomGuard {
    room: Room,
    owner: Option<UserId>,
}

impl Drop for RoomGuard {
    fn drop(&mut self) {
        self.room.0.send_modify(|slots| slots.give_back(self.owner));
    }
}
