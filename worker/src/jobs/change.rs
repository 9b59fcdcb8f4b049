//! Replaces a container by one with another image or other settings, and can roll back.
//!
//! OpenClaw migrates its state forward when it starts, so the old image alone cannot be a rollback: a snapshot of
//! configuration and state is taken while the gateway is stopped and restored with the old image. If anything goes
//! wrong before the new gateway answers, or the job is cancelled, image, settings and files are as before, and the
//! gateway runs if it ran before. The old container is not kept: its root file system is read-only, so the image, the
//! row and the files describe it completely.

use clawdeploy_shared::instance::InstanceStatus;

use super::{Outcome, Plan, PlannedStep};
use crate::steps::{Step, Undo};

// The status already takes an updating instance out of the routes. These steps only wait until nginx has reloaded.
const UNROUTE: PlannedStep = PlannedStep::new(Step::Unroute);
const ROUTE: PlannedStep = PlannedStep::undone_by(Step::Route, Undo::Unroute);
const PREPARE: PlannedStep = PlannedStep::undone_by(Step::PrepareChange, Undo::ForgetChange);
// These three run once: a later attempt must not stop or remove what an earlier one made, nor take a snapshot of files
// that a new gateway has already migrated.
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

/// The same change, to the snapshot of an earlier one.
pub(super) const ROLLBACK: Plan = Plan {
    steps: &[
        PREPARE,
        UNROUTE,
        STOP,
        SNAPSHOT,
        REMOVE,
        // Once, because the gateway may have begun to write.
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
