//! The rows of the fault matrix.

use clawdeploy_tests::{docker_proxy::Action, tcp_proxy::Network};
use reqwest::Method;
use serde_json::{Value, json};

/// One operation during one fault.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) operation: Operation,
    pub(crate) fault: Fault,
    pub(crate) expected: Expected,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Create,
    Start,
    Stop,
    Restart,
    Update,
    Delete,
    /// It falls asleep.
    Sleep,
    /// It falls asleep while its schedule is due already, which wakes it.
    Nap,
    /// Somebody opens its address while it sleeps.
    Wake,
    /// Its schedule is due while it sleeps.
    WakeOnTime,
    /// A creation that takes an instance of the warm pool.
    Take,
    /// The warm pool gets another instance.
    WarmUp,
    /// An instance leaves the warm pool.
    Discard,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// A worker dies at a kill point.
    Kill(&'static str),
    /// Every worker dies at a kill point and is restarted, like a service.
    Poison(&'static str),
    /// A worker is held at a kill point until another worker has done its job.
    Freeze(&'static str),
    /// A worker gets SIGTERM in the middle of a step.
    Terminate(&'static str),
    /// Redis fails at the request and again in the middle of the job.
    Redis(RedisFault),
    /// All sessions with Postgres are terminated, this often, every 300 ms from the request on.
    Sessions(u32),
    /// The network to Postgres fails in the middle of the job, for some milliseconds.
    Postgres(Network, u64),
    /// Postgres cannot be reached, from before the request on, for some milliseconds.
    PostgresAway(u64),
    /// The test's own Postgres server fails in the middle of the job.
    Server(ServerFault),
    /// Postgres refuses the statements of a trigger (`INSERT ON ports`) with this code, so many times.
    Refusal(&'static str, &'static str, u32),
    /// A transaction that writes to the first table deadlocks with another one on a row of the second table.
    Deadlock(&'static str, &'static str),
    /// The commit of the request is done, but the database's response to it is lost.
    LoseRequest,
    /// The n-th commit of any program is done, but its response is lost.
    LoseCommit(usize),
    /// The claim of the job is done, but its response is lost; then the network is silent for some milliseconds.
    LoseClaim(u64),
    /// A call to the engine fails: method, path, action, and which of them (0: all for some seconds).
    Docker(&'static str, &'static str, Action, usize),
    /// The engine is down from the request on, for some milliseconds.
    EngineAway(u64),
    /// A worker is killed in a call that the engine never gets: method and path.
    DiesIn(&'static str, &'static str),
    /// An administrator runs these Docker commands on the container in the middle of the job.
    BehindOurBack(&'static [&'static str]),
    /// A foreign container has the instance's name.
    NameTaken,
    /// A foreign program listens on the first port.
    PortTaken,
    /// The image does not exist.
    NoImage,
    /// The gateway exits as soon as it is started.
    GatewayEnds,
    /// The owner has written this to `openclaw.json`.
    Config(&'static str),
    /// The undo cannot put the files back and is given up. Then an administrator fixes the cause and retries the job.
    UndoGivenUp,
    /// The owner changes a setting just before the job completes.
    Edited,
    /// The worker's clock jumps by so many hours in the middle of the job.
    Clock(i32),
    /// A newer version has written an unknown value.
    Newer(Word),
}

/// Where the unknown value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// The kind of a job in the same queue.
    Kind,
    /// The status of another instance.
    Status,
    /// The kind of an event of the job itself.
    Event,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServerFault {
    /// It stops without flushing anything, and is back after five seconds.
    Crash,
    /// As [`Self::Crash`], while the request is made.
    CrashAtRequest,
    /// Its sessions are frozen for ten seconds.
    Freeze,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RedisFault {
    /// It was never started.
    Absent,
    /// It is killed and restarts empty.
    KillAndRevive,
    Flush,
    /// It does not answer for five seconds.
    Sleep,
    /// All clients are disconnected.
    KillClients,
    Pause,
    /// It refuses writes, because its memory is full.
    Full,
    /// Its queues are full of entries that were never rung.
    Garbage,
}

/// The expected end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// As without the fault.
    Done,
    /// As [`Self::Done`], in one attempt.
    DoneAtOnce,
    /// As [`Self::Done`], in any number of attempts, none of which counts as a crash.
    DoneUnblamed,
    /// The job fails with this code, and its steps are undone.
    Failed(&'static str),
    /// As [`Self::Failed`], and the instance works as before.
    PutBack(&'static str),
    /// As [`Self::Failed`]. Undoing it started the gateway, so the instance is `running` once drift has seen it answer.
    StartedAgain(&'static str),
}

impl Operation {
    pub(crate) fn method(self) -> Method {
        if self == Self::Delete { Method::DELETE } else { Method::POST }
    }

    /// Last part of the path.
    pub(crate) fn verb(self) -> &'static str {
        match self {
            // No request of its owner leads to or out of sleep, and nobody asks for what the pool does.
            Self::Create
            | Self::Delete
            | Self::Sleep
            | Self::Nap
            | Self::Wake
            | Self::WakeOnTime
            | Self::Take
            | Self::WarmUp
            | Self::Discard => "",
            Self::Start => "/start",
            Self::Stop => "/stop",
            Self::Restart => "/restart",
            Self::Update => "/update",
        }
    }

    /// Body of the request.
    pub(crate) fn body(self) -> Option<Value> {
        (self == Self::Update).then(|| json!({ "rebuild": false }))
    }

    /// Status of the instance afterwards.
    pub(crate) fn leads_to(self) -> Option<&'static str> {
        match self {
            Self::Create
            | Self::Start
            | Self::Restart
            | Self::Update
            | Self::Nap
            | Self::Wake
            | Self::WakeOnTime
            | Self::Take => Some("running"),
            Self::Stop | Self::Sleep => Some("stopped"),
            Self::Delete | Self::WarmUp | Self::Discard => None,
        }
    }

    /// How often the gateway has been started afterwards.
    pub(crate) fn starts(self) -> usize {
        match self {
            Self::Create | Self::Stop | Self::Sleep | Self::Take | Self::WarmUp | Self::Discard => 1,
            Self::Start | Self::Restart | Self::Update | Self::Delete | Self::Nap | Self::Wake | Self::WakeOnTime => 2,
        }
    }

    /// The step in the middle of the job.
    pub(crate) fn middle(self) -> &'static str {
        match self {
            Self::Create | Self::Start | Self::Restart | Self::Wake | Self::WakeOnTime | Self::Take | Self::WarmUp => {
                "wait_until_ready"
            }
            Self::Update => "wait_for_gateway",
            Self::Stop | Self::Delete | Self::Sleep | Self::Nap => "stop_container",
            Self::Discard => "remove_container",
        }
    }

    /// How often something wakes the instance. `None`: it has nothing to do with sleep.
    pub(crate) fn wakes(self) -> Option<usize> {
        match self {
            Self::Sleep => Some(0),
            Self::Nap | Self::Wake | Self::WakeOnTime => Some(1),
            Self::Create
            | Self::Start
            | Self::Stop
            | Self::Restart
            | Self::Update
            | Self::Delete
            | Self::Take
            | Self::WarmUp
            | Self::Discard => None,
        }
    }

    /// Whether it needs the warm pool.
    pub(crate) fn is_of_pool(self) -> bool {
        matches!(self, Self::Take | Self::WarmUp | Self::Discard)
    }
}
