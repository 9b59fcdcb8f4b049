//! A container is exchanged for one from another image, or with other settings, and there is a way back.
//!
//! OpenClaw migrates its state forward when it starts, so going back to the old image alone would not be a way back:
//! configuration and state are kept while the gateway stands still, and are put back with it. Until the new gateway
//! answers, whatever goes wrong, a cancel included, ends with image, settings and files as they were, and with a gateway
//! that runs if it ran before. The old container need not be kept for that: its root file system is read-only, so the
//! image, the row and the files are all there is to it.

use clawdeploy_shared::instance::InstanceStatus;

use super::{Outcome, Plan, PlannedStep};
use crate::steps::{Step, Undo};

// What is updating is not routed: its status says so, and these only see to it that nginx knows in time.
const UNROUTE: PlannedStep = PlannedStep::new(Step::Unroute);
const ROUTE: PlannedStep = PlannedStep::undone_by(Step::Route, Undo::Unroute);
const PREPARE: PlannedStep = PlannedStep::undone_by(Step::PrepareChange, Undo::ForgetChange);
// Once, these three: an attempt that takes over must neither stop nor remove what the one before it made, and must not
// take what a new gateway has migrated for what there was before.
const STOP: PlannedStep = PlannedStep::once(Step::StopGateway, Some(Undo::ResumeGateway));
const SNAPSHOT: PlannedStep = PlannedStep::once(Step::TakeSnapshot, Some(Undo::PutFilesBack));
const REMOVE: PlannedStep = PlannedStep::once(Step::RemoveContainer, None);
const KEEP: PlannedStep = PlannedStep::undone_by(Step::KeepSnapshot, Undo::ReopenChange);
const CREATE: PlannedStep = PlannedStep::undone_by(Step::CreateContainer, Undo::RemoveContainer);

pub(super) const PLAN: Plan = Plan {
    during: Some(InstanceStatus::Updating),
    steps: &[
        PREPARE,
        UNROUTE,
        STOP,
        SNAPSHOT,
        REMOVE,
        PlannedStep::new(Step::ApplyChange),
        PlannedStep::new(Step::ReservePort),
        PlannedStep::new(Step::CreateDirectories),
        PlannedStep::new(Step::WriteConfig),
        PlannedStep::new(Step::CreateNetwork),
        CREATE,
        PlannedStep::new(Step::StartGateway),
        PlannedStep::new(Step::WaitForGateway),
        ROUTE,
        KEEP,
    ],
    succeeded: Outcome::AsObserved,
    cancelled: Outcome::AsObserved,
    failed: Outcome::AsObserved,
    cancellable: true,
};

/// The same, to what an earlier change has kept.
pub(super) const ROLLBACK: Plan = Plan {
    steps: &[
        PREPARE,
        UNROUTE,
        STOP,
        SNAPSHOT,
        REMOVE,
        // Once: the gateway may have begun to write.
        PlannedStep::once(Step::RestoreFiles, None),
        PlannedStep::new(Step::ApplyChange),
        PlannedStep::new(Step::ReservePort),
        PlannedStep::new(Step::CreateDirectories),
        PlannedStep::new(Step::WriteConfig),
        PlannedStep::new(Step::CreateNetwork),
        CREATE,
        PlannedStep::new(Step::StartGateway),
        PlannedStep::new(Step::WaitForGateway),
        ROUTE,
        KEEP,
    ],
    ..PLAN
};
