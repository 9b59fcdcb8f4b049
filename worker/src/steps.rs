//! The steps that plans consist of. A step checks what is there and does only what is missing, so another worker can
//! run it again after a crash. An undo does nothing where there is nothing to undo.

use crate::job::{context::JobContext, error::StepError};

mod before_delete;
pub(crate) mod boot;
mod build;
mod change;
mod container;
mod files;
mod frozen;
pub mod keep;
mod port;
mod ready;
mod rollout;
mod route;
pub(crate) mod warm;

/// A step of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    FindImage,
    ReservePort,
    CreateDirectories,
    WriteConfig,
    CreateNetwork,
    CreateContainer,
    StartContainer,
    WaitUntilReady,
    Route,
    Unroute,
    StopContainer,
    RemoveContainer,
    RemoveNetwork,
    RemoveDirectories,
    TakeFilesBack,
    BuildImage,
    PrepareChange,
    StopGateway,
    TakeSnapshot,
    RestoreFiles,
    ApplyChange,
    StartGateway,
    WaitForGateway,
    KeepSnapshot,
    UpdateAll,
    Seclude,
    Freeze,
    CheckUnowned,
    DropDirectories,
}

/// Undoes a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Undo {
    ReleasePort,
    RemoveDirectories,
    RemoveNetwork,
    RemoveContainer,
    StopContainer,
    StartContainer,
    ForgetChange,
    ResumeGateway,
    PutFilesBack,
    ReopenChange,
    LeaveRest,
    Unroute,
    Withdraw,
    ThawGateway,
}

impl Step {
    /// The step's name in the job's log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FindImage => "find_image",
            Self::ReservePort => "reserve_port",
            Self::CreateDirectories => "create_directories",
            Self::WriteConfig => "write_config",
            Self::CreateNetwork => "create_network",
            Self::CreateContainer => "create_container",
            Self::StartContainer => "start_container",
            Self::WaitUntilReady => "wait_until_ready",
            Self::Route => "route",
            Self::Unroute => "unroute",
            Self::StopContainer => "stop_container",
            Self::RemoveContainer => "remove_container",
            Self::RemoveNetwork => "remove_network",
            Self::RemoveDirectories => "remove_directories",
            Self::TakeFilesBack => "take_files_back",
            Self::BuildImage => "build_image",
            Self::PrepareChange => "prepare_change",
            Self::StopGateway => "stop_gateway",
            Self::TakeSnapshot => "take_snapshot",
            Self::RestoreFiles => "restore_files",
            Self::ApplyChange => "apply_change",
            Self::StartGateway => "start_gateway",
            Self::WaitForGateway => "wait_for_gateway",
            Self::KeepSnapshot => "keep_snapshot",
            Self::UpdateAll => "update_all",
            Self::Seclude => "seclude",
            Self::Freeze => "freeze",
            Self::CheckUnowned => "check_unowned",
            Self::DropDirectories => "drop_directories",
        }
    }

    pub async fn run(self, cx: &JobContext) -> Result<(), StepError> {
        match self {
            Self::FindImage => container::find_image(cx).await,
            Self::ReservePort => port::reserve(cx).await,
            Self::CreateDirectories => keep::create_directories(cx).await,
            Self::WriteConfig => files::write_config(cx).await,
            Self::CreateNetwork => container::create_network(cx).await,
            Self::CreateContainer => container::create(cx).await,
            Self::StartContainer => container::start(cx).await,
            Self::WaitUntilReady => ready::wait(cx).await,
            Self::Route => route::open(cx).await,
            Self::Unroute => route::close(cx).await,
            Self::StopContainer => {
                files::check_before_restart(cx).await?;
                frozen::check(cx).await?;
                if frozen::freeze(cx).await? { Ok(()) } else { container::stop(cx).await }
            }
            Self::RemoveContainer => container::remove(cx).await,
            Self::RemoveNetwork => container::remove_network(cx).await,
            Self::RemoveDirectories => keep::remove_directories(cx).await,
            Self::TakeFilesBack => keep::take_files_back(cx).await,
            Self::BuildImage => build::build_image(cx).await,
            Self::PrepareChange => change::prepare(cx).await,
            Self::StopGateway => change::stop_gateway(cx).await,
            Self::TakeSnapshot => change::take_snapshot(cx).await,
            Self::RestoreFiles => change::restore_files(cx).await,
            Self::ApplyChange => change::apply(cx).await,
            Self::StartGateway => change::start_gateway(cx).await,
            Self::WaitForGateway => change::wait_for_gateway(cx).await,
            Self::KeepSnapshot => change::keep(cx).await,
            Self::UpdateAll => rollout::update_all(cx).await,
            Self::Seclude => warm::seclude(cx).await,
            Self::Freeze => warm::freeze(cx).await,
            Self::CheckUnowned => warm::check_unowned(cx).await,
            Self::DropDirectories => warm::drop_directories(cx).await,
        }
    }

    /// What users see while the step runs.
    pub fn title(self) -> &'static str {
        match self {
            Self::FindImage => "Looking for the OpenClaw image",
            Self::ReservePort => "Reserving a port",
            Self::CreateDirectories => "Creating the directories",
            Self::WriteConfig => "Writing the configuration",
            Self::CreateNetwork => "Creating the network",
            Self::CreateContainer => "Creating the container",
            Self::StartContainer => "Starting the container",
            Self::WaitUntilReady | Self::WaitForGateway => "Waiting for the gateway to answer",
            Self::Route => "Opening the address",
            Self::Unroute => "Closing the address",
            Self::StopContainer => "Stopping the container",
            Self::RemoveContainer => "Removing the container",
            Self::RemoveNetwork => "Removing the network",
            Self::RemoveDirectories => "Moving the files to the quarantine",
            Self::TakeFilesBack => "Moving the files back",
            Self::BuildImage => "Building the image",
            Self::PrepareChange => "Checking what is to change",
            Self::StopGateway => "Stopping the gateway",
            Self::TakeSnapshot => "Taking a snapshot of configuration and state",
            Self::RestoreFiles => "Restoring configuration and state from the snapshot",
            Self::ApplyChange => "Applying the change",
            Self::StartGateway => "Starting the gateway",
            Self::KeepSnapshot => "Keeping the snapshot for a rollback",
            Self::UpdateAll => "Updating the instances",
            Self::Seclude => "Cutting the gateway off from other networks",
            Self::Freeze => "Freezing the gateway",
            Self::CheckUnowned => "Checking that it belongs to nobody",
            Self::DropDirectories => "Removing the files",
        }
    }

    /// The step's usual share of a job's time, for the progress display. A boot takes ten seconds, most other steps
    /// milliseconds.
    pub fn weight(self) -> u32 {
        match self {
            Self::WaitUntilReady | Self::WaitForGateway | Self::BuildImage | Self::UpdateAll => 80,
            Self::StopContainer
            | Self::StopGateway
            | Self::StartContainer
            | Self::StartGateway
            | Self::TakeSnapshot => 6,
            _ => 2,
        }
    }
}

impl Undo {
    /// The undo's name in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReleasePort => "release_port",
            Self::RemoveDirectories => "remove_directories",
            Self::RemoveNetwork => "remove_network",
            Self::RemoveContainer => "remove_container",
            Self::StopContainer => "stop_container",
            Self::StartContainer => "start_container",
            Self::ForgetChange => "forget_change",
            Self::ResumeGateway => "resume_gateway",
            Self::PutFilesBack => "put_files_back",
            Self::ReopenChange => "reopen_change",
            Self::LeaveRest => "leave_rest",
            Self::Unroute => "unroute",
            Self::Withdraw => "withdraw",
            Self::ThawGateway => "thaw_gateway",
        }
    }

    pub async fn run(self, cx: &JobContext) -> Result<(), StepError> {
        match self {
            Self::ReleasePort => port::release(cx).await,
            Self::RemoveDirectories => keep::remove_new_directories(cx).await,
            Self::RemoveNetwork => container::remove_network(cx).await,
            Self::RemoveContainer => container::remove(cx).await,
            Self::StopContainer => container::stop_what_was_started(cx).await,
            Self::StartContainer => container::start_again(cx).await,
            Self::ForgetChange => change::forget(cx).await,
            Self::ResumeGateway => change::resume_gateway(cx).await,
            Self::PutFilesBack => change::put_files_back(cx).await,
            Self::ReopenChange => change::reopen(cx).await,
            Self::LeaveRest => rollout::leave_rest(cx).await,
            Self::Unroute => route::close(cx).await,
            Self::Withdraw => warm::note_cold(cx).await,
            Self::ThawGateway => frozen::release(cx).await,
        }
    }
}
