//! The containers, listed once for all sweeps of a pass.
//!
//! A sweep that uses the list of an earlier one sees what was there a moment before. That is sound, because rows are read
//! after it, and because no sweep acts on the list alone: what it makes suspicious is looked at again.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::runtime::{OwnedGateway, Runtime, RuntimeError};

/// How long a list may be used: about as long as a pass takes.
const USED_FOR: Duration = Duration::from_secs(10);

/// The last list. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Listing(Arc<Mutex<Option<Listed>>>);

#[derive(Debug, Clone)]
struct Listed {
    at: Instant,
    containers: Arc<Vec<OwnedGateway>>,
}

impl Listing {
    /// Lists the containers now.
    pub(super) async fn refresh(&self, runtime: &Runtime) -> Result<Arc<Vec<OwnedGateway>>, RuntimeError> {
        let at = Instant::now();
        let containers = Arc::new(runtime.gateways().await?);
        let listed = Listed { at, containers: Arc::clone(&containers) };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(listed);
        Ok(containers)
    }

    /// The list of this pass, or a new one if there is none.
    pub(super) async fn of_this_pass(&self, runtime: &Runtime) -> Result<Arc<Vec<OwnedGateway>>, RuntimeError> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match last {
            Some(last) if last.at.elapsed() < USED_FOR => Ok(last.containers),
            _ => self.refresh(runtime).await,
        }
    }

    /// Frees the list at the end of a pass.
    pub(super) fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
