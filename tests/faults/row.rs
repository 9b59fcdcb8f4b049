//! What a row of the matrix says.

use clawdeploy_tests::{docker_proxy::Action, tcp_proxy::Network};
use reqwest::Method;
use serde_json::{Value, json};

/// One operation that is done while one thing goes wrong.
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
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// A worker dies at a kill point.
    Kill(&'static str),
    /// Every worker dies at a kill point, and is started again like a service.
    Poison(&'static str),
    /// A worker stands still at a kill point, until another has done its job.
    Freeze(&'static str),
    /// A worker is asked to end in the middle of a step.
    Terminate(&'static str),
    /// Redis, when the request is made and again in the middle of the job.
    Redis(RedisFault),
    /// Every session with Postgres is cut, this often, 300 ms apart, from the request on.
    Sessions(u32),
    /// The way to Postgres, in the middle of the job, for some milliseconds.
    Postgres(Network, u64),
    /// Postgres cannot be reached at all, from before the request on, for some milliseconds.
    PostgresAway(u64),
    /// The server itself, one of the test's own, in the middle of the job.
    Server(ServerFault),
    /// Postgres refuses what a trigger is for (`INSERT ON ports`) with this code, so many times.
    Refusal(&'static str, &'static str, u32),
    /// A transaction that writes to the first table waits for one that waits for it, by a row of the second one.
    Deadlock(&'static str, &'static str),
    /// What the request asks for is committed, and the database's answer to that is lost.
    LoseRequest,
    /// The n-th commit is done, whoever makes it, and its answer lost.
    LoseCommit(usize),
    /// The claim of the job is done and its answer lost; after that the network is silent for some milliseconds.
    LoseClaim(u64),
    /// A call of the engine: method, path, what happens, and to the how many-th (0: all for some seconds).
    Docker(&'static str, &'static str, Action, usize),
    /// The engine is away from the request on, for some milliseconds.
    EngineAway(u64),
    /// An administrator does this to the container in the middle of the job.
    BehindOurBack(&'static [&'static str]),
    /// A stranger's container has the name.
    NameTaken,
    /// A stranger listens on the first port.
    PortTaken,
    /// The image is not there.
    NoImage,
    /// The gateway ends as soon as it is started.
    GatewayEnds,
    /// The owner has made this of `openclaw.json`.
    Config(&'static str),
    /// The files of before are out of reach when they are put back, until that is given up. Then an administrator finds them, and
    /// has it taken up again.
    UndoGivenUp,
    /// Its owner changes a setting just before the job says that what was wanted is so.
    Edited,
    /// The worker's clock jumps by so many hours, in the middle of the job.
    Clock(i32),
    /// A newer version has written a word that nobody here knows.
    Newer(Word),
}

/// What the word is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// The kind of a job in the same queue.
    Kind,
    /// The status of another instance.
    Status,
    /// The kind of an event in the job's own story.
    Event,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServerFault {
    /// It stops without writing anything down, and is back after five seconds.
    Crash,
    /// The same, while the request is made.
    CrashAtRequest,
    /// Its sessions stand still for ten seconds.
    Freeze,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RedisFault {
    /// It was never started.
    Absent,
    /// It is killed, and comes back empty.
    KillAndRevive,
    Flush,
    /// It answers nobody for five seconds.
    Sleep,
    /// Every client's connection is closed.
    KillClients,
    Pause,
    /// It takes no more data.
    Full,
    /// Its queues are full of what nobody rang.
    Garbage,
}

/// How it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// As if nothing had happened.
    Done,
    /// The same, and in one attempt.
    DoneAtOnce,
    /// As if nothing had happened, in one attempt or several, none of which counts as a crash.
    DoneUnblamed,
    /// The job fails with this code, and what it did is undone.
    Failed(&'static str),
    /// The same, and the instance is well as before.
    PutBack(&'static str),
}

impl Operation {
    pub(crate) fn method(self) -> Method {
        if self == Self::Delete { Method::DELETE } else { Method::POST }
    }

    /// The last part of its path.
    pub(crate) fn verb(self) -> &'static str {
        match self {
            Self::Create | Self::Delete => "",
            Self::Start => "/start",
            Self::Stop => "/stop",
            Self::Restart => "/restart",
            Self::Update => "/update",
        }
    }

    /// What is asked for with it.
    pub(crate) fn body(self) -> Option<Value> {
        (self == Self::Update).then(|| json!({ "rebuild": false }))
    }

    /// What the instance shows after it.
    pub(crate) fn leads_to(self) -> Option<&'static str> {
        match self {
            Self::Create | Self::Start | Self::Restart | Self::Update => Some("running"),
            Self::Stop => Some("stopped"),
            Self::Delete => None,
        }
    }

    /// How often the gateway has been started after it.
    pub(crate) fn starts(self) -> usize {
        match self {
            Self::Create | Self::Stop => 1,
            Self::Start | Self::Restart | Self::Update | Self::Delete => 2,
        }
    }

    /// The step in the middle of it.
    pub(crate) fn middle(self) -> &'static str {
        match self {
            Self::Create | Self::Start | Self::Restart => "wait_until_ready",
            Self::Update => "wait_for_gateway",
            Self::Stop | Self::Delete => "stop_container",
        }
    }
}
