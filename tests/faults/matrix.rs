//! Operations under faults, one per row. Each family of faults is one test, so that families run in parallel. Every run
//! of the tests has a few rows of each family; `scripts/test --faults` has all. The binary `it` (`crashes`) tests all
//! kill points; here is one of each kind.

use std::time::Duration;

use clawdeploy_tests::{docker_proxy::Action, tcp_proxy::Network};

use crate::{
    driver::run_all,
    row::{
        Expected::{self, Done, DoneAtOnce, DoneUnblamed, Failed, PutBack, StartedAgain},
        Fault::{self, *},
        Operation::{
            self, Create, Delete, Discard, Nap, Restart, Sleep, Start, Stop, Take, Update, Wake, WakeOnTime, WarmUp,
        },
        RedisFault, Row, ServerFault, Word,
    },
};

const fn row(name: &'static str, operation: Operation, fault: Fault, expected: Expected) -> Row {
    Row { name, operation, fault, expected }
}

const WORKERS_THAT_DIE: &[Row] = &[
    row("F1 create, made but not noted", Create, Kill("provision.create_container.between"), Done),
    row("F1 restart, stopped but not noted", Restart, Kill("restart.stop_container.between"), Done),
    row("F1 delete, half gone", Delete, Kill("delete.remove_container.after"), Done),
];

/// The reason is shown, and all steps are undone.
const POISON: &[Row] = &[row(
    "F5 create, always at the container",
    Create,
    Poison("provision.create_container.between"),
    Failed("worker_crashed"),
)];

const POISON_MORE: &[Row] = &[
    row("F5 create, always at the port", Create, Poison("provision.reserve_port.between"), Failed("worker_crashed")),
    row("F5 create, always at the files", Create, Poison("provision.write_config.before"), Failed("worker_crashed")),
    row("F5 create, always at the network", Create, Poison("provision.create_network.after"), Failed("worker_crashed")),
    row(
        "F5 create, always at the start",
        Create,
        Poison("provision.start_container.between"),
        Failed("worker_crashed"),
    ),
    row(
        "F5 create, always when it answers",
        Create,
        Poison("provision.wait_until_ready.after"),
        Failed("worker_crashed"),
    ),
    row("F5 start, always at the start", Start, Poison("start.start_container.between"), Failed("worker_crashed")),
    row("F5 stop, always at the stop", Stop, Poison("stop.stop_container.between"), Failed("worker_crashed")),
    row(
        "F5 restart, always at the stop",
        Restart,
        Poison("restart.stop_container.between"),
        StartedAgain("worker_crashed"),
    ),
    row("F5 delete, always at the files", Delete, Poison("delete.remove_directories.before"), Failed("worker_crashed")),
];

const WORKERS_THAT_FREEZE: &[Row] = &[
    row("F2 create, before the container", Create, Freeze("provision.create_container.before"), Done),
    row("F2 delete, before the files", Delete, Freeze("delete.remove_directories.before"), Done),
];

const WORKERS_THAT_FREEZE_MORE: &[Row] = &[
    row("F2 start, before the start", Start, Freeze("start.start_container.before"), Done),
    row("F2 restart, before the stop", Restart, Freeze("restart.stop_container.before"), Done),
    row("F2 create, before the port", Create, Freeze("provision.reserve_port.before"), Done),
    row("F2 create, before the network", Create, Freeze("provision.create_network.before"), Done),
    row("F2 create, after the start", Create, Freeze("provision.start_container.between"), Done),
    row("F2 create, at its end", Create, Freeze("provision.end.before"), Done),
    row("F2 stop, before the stop", Stop, Freeze("stop.stop_container.before"), Done),
    row("F2 restart, before the start", Restart, Freeze("restart.start_container.before"), Done),
    row("F2 delete, before the container", Delete, Freeze("delete.remove_container.before"), Done),
    row("F2 delete, before the network", Delete, Freeze("delete.remove_network.before"), Done),
];

const WORKERS_THAT_END: &[Row] = &[
    row("F3 create", Create, Terminate("wait_until_ready"), DoneUnblamed),
    row("F3 restart", Restart, Terminate("stop_container"), DoneUnblamed),
    row("F3 delete", Delete, Terminate("remove_container"), DoneUnblamed),
];

const REDIS: &[Row] = &[
    row("R5 create, no Redis", Create, Redis(RedisFault::Absent), DoneAtOnce),
    row("R1 create, Redis killed", Create, Redis(RedisFault::KillAndRevive), DoneAtOnce),
    row("R7 create, garbage in Redis", Create, Redis(RedisFault::Garbage), DoneAtOnce),
];

const REDIS_MORE: &[Row] = &[
    row("R4 restart, clients cut", Restart, Redis(RedisFault::KillClients), DoneAtOnce),
    row("R4 create, clients wait", Create, Redis(RedisFault::Pause), DoneAtOnce),
    row("R6 create, Redis full", Create, Redis(RedisFault::Full), DoneAtOnce),
    row("R2 create, Redis flushed", Create, Redis(RedisFault::Flush), DoneAtOnce),
    row("R3 create, Redis asleep", Create, Redis(RedisFault::Sleep), DoneAtOnce),
    row("R1 restart, Redis killed", Restart, Redis(RedisFault::KillAndRevive), DoneAtOnce),
    row("R2 start, Redis flushed", Start, Redis(RedisFault::Flush), DoneAtOnce),
    row("R3 stop, Redis asleep", Stop, Redis(RedisFault::Sleep), DoneAtOnce),
    row("R5 delete, no Redis", Delete, Redis(RedisFault::Absent), DoneAtOnce),
    row("R6 delete, Redis full", Delete, Redis(RedisFault::Full), DoneAtOnce),
    row("R7 restart, garbage in Redis", Restart, Redis(RedisFault::Garbage), DoneAtOnce),
];

const POSTGRES: &[Row] = &[
    row("P4 create, the request's commit's answer lost", Create, LoseRequest, DoneAtOnce),
    row("P4 create, first commit's answer lost", Create, LoseCommit(1), Done),
    row("P1 create, sessions cut", Create, Sessions(8), Done),
    row(
        "P3 create, Postgres silent for longer than the lease",
        Create,
        Postgres(Network::BlackHole, 5000),
        DoneUnblamed,
    ),
];

const CLAIMS_ARE_LOST: &[Row] = &[
    row("P4 create, claim's answer lost", Create, LoseClaim(0), DoneUnblamed),
    row(
        "P4 delete, claim's answer lost, then silence for longer than the lease",
        Delete,
        LoseClaim(5000),
        DoneUnblamed,
    ),
];

const POSTGRES_MORE: &[Row] = &[
    row("P4 create, connections reset", Create, Postgres(Network::Reset, 1500), Done),
    row("P4 create, answers cut short", Create, Postgres(Network::CutAfter(500), 3000), Done),
    row("P4 restart, the request's commit's answer lost", Restart, LoseRequest, DoneAtOnce),
    row("P4 create, third commit's answer lost", Create, LoseCommit(3), Done),
    row("P4 delete, fifth commit's answer lost", Delete, LoseCommit(5), Done),
    row("P1 delete, sessions cut", Delete, Sessions(8), Done),
    row("P2 create, Postgres away", Create, PostgresAway(4000), Done),
    row("P1 restart, sessions cut", Restart, Sessions(12), Done),
    row("P1 start, sessions cut", Start, Sessions(12), Done),
    row("P2 delete, Postgres away", Delete, PostgresAway(8000), Done),
    row("P3 restart, Postgres silent", Restart, Postgres(Network::BlackHole, 12_000), DoneUnblamed),
    row("P4 create, slow network", Create, Postgres(Network::Latency(Duration::from_millis(60)), 4000), Done),
    row("P4 create, second commit's answer lost", Create, LoseCommit(2), Done),
    row("P4 create, tenth commit's answer lost", Create, LoseCommit(10), Done),
    row("P4 restart, first commit's answer lost", Restart, LoseCommit(1), Done),
    row("P4 restart, sixth commit's answer lost", Restart, LoseCommit(6), Done),
    row("P4 stop, fourth commit's answer lost", Stop, LoseCommit(4), Done),
];

const SERVER: &[Row] = &[
    row("P2 create, server crashes", Create, Server(ServerFault::Crash), Done),
    row("P3 create, sessions stand still", Create, Server(ServerFault::Freeze), DoneUnblamed),
];

const SERVER_MORE: &[Row] = &[
    row("P2 create, server is down when asked", Create, Server(ServerFault::CrashAtRequest), Done),
    row("P2 delete, server is down when asked", Delete, Server(ServerFault::CrashAtRequest), Done),
    row("P2 restart, server crashes", Restart, Server(ServerFault::Crash), Done),
    row("P2 delete, server crashes", Delete, Server(ServerFault::Crash), Done),
    row("P3 stop, sessions stand still", Stop, Server(ServerFault::Freeze), DoneUnblamed),
    row("P3 delete, sessions stand still", Delete, Server(ServerFault::Freeze), DoneUnblamed),
];

const SERIALIZATION: &str = "40001";
const DEADLOCK: &str = "40P01";
const CLAIM: &str = "BEFORE UPDATE ON jobs FOR EACH ROW WHEN (NEW.status = 'running' AND OLD.status = 'queued')";
const END: &str = "BEFORE INSERT ON job_events FOR EACH ROW WHEN (NEW.kind = 'finished')";
const STEP: &str = "BEFORE INSERT ON job_events FOR EACH ROW WHEN (NEW.kind = 'step_done')";
const PORT: &str = "BEFORE INSERT OR UPDATE ON ports FOR EACH ROW";
const TAKE: &str = "BEFORE UPDATE ON warm_instances FOR EACH ROW WHEN (NEW.taken_at IS NOT NULL)";

const CONFLICTS: &[Row] = &[
    row(
        "P5 create, request refused",
        Create,
        Refusal("BEFORE INSERT ON audit FOR EACH ROW", SERIALIZATION, 2),
        DoneAtOnce,
    ),
    row("P5 create, claim refused", Create, Refusal(CLAIM, SERIALIZATION, 3), DoneAtOnce),
    row("P5 create, step in a deadlock", Create, Deadlock("job_events", "jobs"), Done),
];

const CONFLICTS_MORE: &[Row] = &[
    row("P5 create, port refused", Create, Refusal(PORT, DEADLOCK, 2), Done),
    row("P5 create, request in a deadlock", Create, Deadlock("audit", "users"), DoneAtOnce),
    row(
        "P5 create, request in a refused deadlock",
        Create,
        Refusal("BEFORE INSERT ON jobs FOR EACH ROW", DEADLOCK, 2),
        DoneAtOnce,
    ),
    row("P5 create, steps refused", Create, Refusal(STEP, SERIALIZATION, 3), Done),
    row("P5 create, end refused", Create, Refusal(END, SERIALIZATION, 2), Done),
    row("P5 start, claim refused", Start, Refusal(CLAIM, DEADLOCK, 3), DoneAtOnce),
    row("P5 stop, step refused", Stop, Refusal(STEP, DEADLOCK, 2), Done),
    row("P5 restart, steps refused", Restart, Refusal(STEP, SERIALIZATION, 3), Done),
    row("P5 delete, end refused", Delete, Refusal(END, DEADLOCK, 2), Done),
    row("P5 delete, step in a deadlock", Delete, Deadlock("job_events", "jobs"), Done),
];

const CLOCKS: &[Row] = &[
    row("C1 create, clock leaps", Create, Clock(1), DoneAtOnce),
    row("C1 create, clock falls back", Create, Clock(-1), DoneAtOnce),
];

const CLOCKS_MORE: &[Row] = &[
    row("C1 start, clock leaps", Start, Clock(1), DoneAtOnce),
    row("C1 restart, clock falls back", Restart, Clock(-1), DoneAtOnce),
    row("C1 stop, clock leaps", Stop, Clock(1), DoneAtOnce),
    row("C1 delete, clock falls back", Delete, Clock(-1), DoneAtOnce),
];

const CREATE: &str = "/containers/create";
const NETWORK: &str = "/networks/create";

const ENGINE_REFUSES: &[Row] = &[
    row("K1 create container refused", Create, Docker("POST", CREATE, Action::Err500, 1), Done),
    row("K1 stop refused", Stop, Docker("POST", "/stop", Action::Err500, 1), Done),
];

const ENGINE_NEVER_HEARS: &[Row] = &[
    row("K2 create container unheard", Create, Docker("POST", CREATE, Action::DropBefore, 1), Done),
    row("K2 remove network unheard", Delete, Docker("DELETE", "/networks/", Action::DropBefore, 1), Done),
];

const ENGINE_ANSWER_IS_LOST: &[Row] = &[
    row("K3 create container, answer lost", Create, Docker("POST", CREATE, Action::DropAfter, 1), Done),
    row("K3 remove, answer lost", Delete, Docker("DELETE", "/containers/", Action::DropAfter, 1), Done),
];

const ENGINE_IS_AWAY: &[Row] = &[
    row("K4 create, engine away", Create, EngineAway(3000), Done),
    row("K1 everything refused for a while", Create, Docker("GET", "/", Action::Err500, 0), Done),
];

const ENGINE_MORE: &[Row] = &[
    row("K1 create container slow", Create, Docker("POST", CREATE, Action::Delay(Duration::from_secs(4)), 1), Done),
    row("K3 create network, answer lost", Create, Docker("POST", NETWORK, Action::DropAfter, 1), Done),
    row("K3 start, answer lost", Create, Docker("POST", "/start", Action::DropAfter, 1), Done),
    row("K3 stop, answer lost", Stop, Docker("POST", "/stop", Action::DropAfter, 1), Done),
    row("K2 start unheard", Create, Docker("POST", "/start", Action::DropBefore, 1), Done),
    row("K2 stop unheard", Restart, Docker("POST", "/stop", Action::DropBefore, 1), Done),
    row("K1 create network refused", Create, Docker("POST", NETWORK, Action::Err500, 1), Done),
    row("K1 start refused", Start, Docker("POST", "/start", Action::Err500, 1), Done),
    row("K1 remove refused", Delete, Docker("DELETE", "/containers/", Action::Err500, 1), Done),
    row("K1 create container hangs", Create, Docker("POST", CREATE, Action::Hang, 1), Done),
    row("K1 remove hangs", Delete, Docker("DELETE", "/containers/", Action::Hang, 1), Done),
    row("K1 update refused", Create, Docker("POST", "/update", Action::Err500, 1), Done),
    row("K1 second inspect refused", Create, Docker("GET", "/json", Action::Err500, 2), Done),
    row("K1 remove network refused", Delete, Docker("DELETE", "/networks/", Action::Err500, 1), Done),
    row("K2 create network unheard", Create, Docker("POST", NETWORK, Action::DropBefore, 1), Done),
    row("K2 remove unheard", Delete, Docker("DELETE", "/containers/", Action::DropBefore, 1), Done),
    row("K3 restart, stop's answer lost", Restart, Docker("POST", "/stop", Action::DropAfter, 1), Done),
    row("K3 restart, start's answer lost", Restart, Docker("POST", "/start", Action::DropAfter, 1), Done),
    row("K3 remove network, answer lost", Delete, Docker("DELETE", "/networks/", Action::DropAfter, 1), Done),
    row("K4 delete, engine away", Delete, EngineAway(8000), Done),
    row("K4 restart, engine away", Restart, EngineAway(8000), Done),
];

const BEHIND_OUR_BACK: &[Row] = &[
    row("K6 create, container removed", Create, BehindOurBack(&["rm", "--force"]), Failed("container_gone")),
    row("K7 create, port taken", Create, PortTaken, Done),
    row("K5 create, gateway ends at once", Create, GatewayEnds, Failed("gateway_exited")),
    row("K9 create, image gone", Create, NoImage, Failed("image_missing")),
];

const BEHIND_OUR_BACK_MORE: &[Row] = &[
    row("K6 create, container stopped", Create, BehindOurBack(&["stop", "--time", "0"]), Failed("gateway_exited")),
    row("K6 create, container paused", Create, BehindOurBack(&["pause"]), Failed("container_paused")),
    row("K7 create, name taken", Create, NameTaken, Failed("container_name_taken")),
];

/// Operations with a snapshot.
const CHANGES: &[Row] = &[
    row("U1 update, its undo given up", Update, UndoGivenUp, PutBack("gateway_exited")),
    row("U2 update, a setting changed at its end", Update, Edited, DoneAtOnce),
];

const CHANGES_MORE: &[Row] = &[
    row("K4 update, engine away", Update, EngineAway(3000), Done),
    row("F1 update, stopped but not noted", Update, Kill("update.stop_gateway.between"), Done),
    row("F2 update, before the files are kept", Update, Freeze("update.take_snapshot.before"), Done),
    row("F2 update, at its end", Update, Freeze("update.end.before"), Done),
    // Less than the shortest sum of the delays between its attempts: half of 15 s, if the jitter is least.
    row("K4 update, engine away for longer", Update, EngineAway(7000), Done),
];

/// Falling asleep and waking, by jobs as of a stop and a start. Beyond those, an instance ends asleep or awake, and is
/// woken once.
const SLEEP: &[Row] = &[
    row("F1 nap, stopped but not noted", Nap, Kill("stop.stop_container.between"), Done),
    row("F1 wake on time, started but not noted", WakeOnTime, Kill("start.start_container.between"), Done),
    row("K4 wake, engine away", Wake, EngineAway(3000), Done),
    row("R5 sleep, no Redis", Sleep, Redis(RedisFault::Absent), DoneAtOnce),
];

const SLEEP_MORE: &[Row] = &[
    row("F1 nap, before its end", Nap, Kill("stop.end.before"), Done),
    row("F1 nap, in its last transaction", Nap, Kill("stop.end.during"), Done),
    row("F1 nap, after its end", Nap, Kill("stop.end.after"), Done),
    row("F1 wake on time, before its end", WakeOnTime, Kill("start.end.before"), Done),
    row("F1 wake on time, after its end", WakeOnTime, Kill("start.end.after"), Done),
    row("F2 sleep, before the stop", Sleep, Freeze("stop.stop_container.before"), Done),
    row("F2 sleep, at its end", Sleep, Freeze("stop.end.before"), Done),
    row("F2 wake, before the start", Wake, Freeze("start.start_container.before"), Done),
    row("F2 wake, at its end", Wake, Freeze("start.end.before"), Done),
    row("F3 sleep", Sleep, Terminate("stop_container"), DoneUnblamed),
    row("F3 wake", Wake, Terminate("wait_until_ready"), DoneUnblamed),
    row("F5 wake, always at the start", Wake, Poison("start.start_container.between"), Failed("worker_crashed")),
];

const SLEEP_WITHOUT_SERVICES_MORE: &[Row] = &[
    row("K4 sleep, engine away", Sleep, EngineAway(3000), Done),
    row("K4 nap, engine away", Nap, EngineAway(8000), Done),
    row("K4 wake, engine away for longer", Wake, EngineAway(8000), Done),
    row("K1 sleep, stop refused", Sleep, Docker("POST", "/stop", Action::Err500, 1), Done),
    row("K3 nap, stop's answer lost", Nap, Docker("POST", "/stop", Action::DropAfter, 1), Done),
    row("K1 wake, start refused", Wake, Docker("POST", "/start", Action::Err500, 1), Done),
    row("K3 wake, start's answer lost", Wake, Docker("POST", "/start", Action::DropAfter, 1), Done),
    row("R2 sleep, Redis flushed", Sleep, Redis(RedisFault::Flush), DoneAtOnce),
    row("R1 nap, Redis killed", Nap, Redis(RedisFault::KillAndRevive), DoneAtOnce),
    row("R5 wake, no Redis", Wake, Redis(RedisFault::Absent), DoneAtOnce),
    row("R2 wake, Redis flushed", Wake, Redis(RedisFault::Flush), DoneAtOnce),
    row("R1 wake, Redis killed", Wake, Redis(RedisFault::KillAndRevive), DoneAtOnce),
    row("R5 wake on time, no Redis", WakeOnTime, Redis(RedisFault::Absent), DoneAtOnce),
    row("R2 wake on time, Redis flushed", WakeOnTime, Redis(RedisFault::Flush), DoneAtOnce),
    row("P4 wake, the visit's commit's answer lost", Wake, LoseRequest, DoneAtOnce),
    row("P4 sleep, second commit's answer lost", Sleep, LoseCommit(2), Done),
    row("P4 wake on time, second commit's answer lost", WakeOnTime, LoseCommit(2), Done),
];

const CONNECT: &str = "/connect";
const DISCONNECT: &str = "/disconnect";

/// The warm pool: what it does by itself, and creations that take from it. A warm gateway boots once, whoever gets it.
const WARM_POOL: &[Row] = &[
    row("K4 take, engine away", Take, EngineAway(3000), Done),
    row("F1 take, between two networks", Take, DiesIn("POST", DISCONNECT), Done),
    row("R5 take, no Redis", Take, Redis(RedisFault::Absent), DoneAtOnce),
    row("P4 take, the request's commit's answer lost", Take, LoseRequest, DoneAtOnce),
    // Less than the shortest delay between its attempts.
    row("K4 warm up, engine away", WarmUp, EngineAway(2000), Done),
];

const WARM_POOL_MORE: &[Row] = &[
    row("F1 take, not thawed", Take, DiesIn("POST", "/unpause"), Done),
    row("F1 warm up, between two networks", WarmUp, DiesIn("POST", DISCONNECT), Done),
    row("F1 warm up, not frozen", WarmUp, DiesIn("POST", "/pause"), Done),
    row("F1 discard, half gone", Discard, Kill("discard.remove_container.after"), Done),
    row("F2 take, before the thaw", Take, Freeze("provision.start_container.before"), Done),
    row("F2 take, at its end", Take, Freeze("provision.end.before"), Done),
    row("F2 warm up, before it is frozen", WarmUp, Freeze("warm_up.freeze.before"), Done),
    row("F2 discard, before the files", Discard, Freeze("discard.drop_directories.before"), Done),
    row("F3 take", Take, Terminate("start_container"), DoneUnblamed),
    row("F3 warm up", WarmUp, Terminate("wait_until_ready"), DoneUnblamed),
    row("F5 take, always at the thaw", Take, Poison("provision.start_container.between"), Failed("worker_crashed")),
    row("F5 warm up, always once it is frozen", WarmUp, Poison("warm_up.freeze.between"), Failed("worker_crashed")),
];

const WARM_POOL_WITHOUT_SERVICES_MORE: &[Row] = &[
    row("K3 take, connect's answer lost", Take, Docker("POST", CONNECT, Action::DropAfter, 1), Done),
    row("K2 take, disconnect unheard", Take, Docker("POST", DISCONNECT, Action::DropBefore, 1), Done),
    row("K1 take, unpause refused", Take, Docker("POST", "/unpause", Action::Err500, 1), Done),
    row("K3 take, unpause's answer lost", Take, Docker("POST", "/unpause", Action::DropAfter, 1), Done),
    row("K4 take, engine away for longer", Take, EngineAway(8000), Done),
    // The first network is the instance's own.
    row("K1 warm up, the pool's network refused", WarmUp, Docker("POST", NETWORK, Action::Err500, 2), Done),
    row("K3 warm up, the pool's network, answer lost", WarmUp, Docker("POST", NETWORK, Action::DropAfter, 2), Done),
    row("K3 warm up, connect's answer lost", WarmUp, Docker("POST", CONNECT, Action::DropAfter, 1), Done),
    row("K3 warm up, pause's answer lost", WarmUp, Docker("POST", "/pause", Action::DropAfter, 1), Done),
    row("K1 warm up, whether it has started refused", WarmUp, Docker("POST", "/exec", Action::Err500, 1), DoneAtOnce),
    row("K4 warm up, engine away for longer", WarmUp, EngineAway(8000), Done),
    row("K4 discard, engine away", Discard, EngineAway(3000), Done),
    row("K3 discard, remove's answer lost", Discard, Docker("DELETE", "/containers/", Action::DropAfter, 1), Done),
    row("R2 take, Redis flushed", Take, Redis(RedisFault::Flush), DoneAtOnce),
    row("R1 take, Redis killed", Take, Redis(RedisFault::KillAndRevive), DoneAtOnce),
    row("P1 take, sessions cut", Take, Sessions(8), Done),
    row("P2 take, Postgres away", Take, PostgresAway(4000), Done),
    row("P4 take, second commit's answer lost", Take, LoseCommit(2), Done),
    row("P4 take, fifth commit's answer lost", Take, LoseCommit(5), Done),
    row("P4 warm up, third commit's answer lost", WarmUp, LoseCommit(3), Done),
    row("P5 take, refused", Take, Refusal(TAKE, SERIALIZATION, 2), DoneAtOnce),
];

/// A configuration with comments is edited, and one that cannot be parsed is left as it is and fails the job.
const CONFIGURATIONS: &[Row] = &[
    row(
        "C1 restart, comments in openclaw.json",
        Restart,
        Config("{ /* mine */ gateway: { auth: { token: 'wrong' }, }, }"),
        DoneAtOnce,
    ),
    row("C2 start, broken openclaw.json", Start, Config("{ /* mine */ gateway: { ]"), Failed("config_unreadable")),
];

/// Values of a newer version stay as they are and do not affect other rows.
const NEWER_WORDS: &[Row] = &[
    row("N1 create, an unknown kind of job in the queue", Create, Newer(Word::Kind), DoneAtOnce),
    row("N3 delete, an unknown event in the job's story", Delete, Newer(Word::Event), DoneAtOnce),
];

const NEWER_WORDS_MORE: &[Row] = &[
    row("N2 restart, an unknown status of another instance", Restart, Newer(Word::Status), DoneAtOnce),
    row("N1 stop, an unknown kind of job in the queue", Stop, Newer(Word::Kind), DoneAtOnce),
    row("N2 create, an unknown status of another instance", Create, Newer(Word::Status), DoneAtOnce),
    row("N2 delete, an unknown status of another instance", Delete, Newer(Word::Status), DoneAtOnce),
    row("N3 start, an unknown event in the job's story", Start, Newer(Word::Event), DoneAtOnce),
];

macro_rules! families {
    ($($(#[$attribute:meta])* $name:ident: $rows:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        $(#[$attribute])*
        async fn $name() {
            run_all($rows).await;
        }
    )*};
}

families! {
    workers_that_die: WORKERS_THAT_DIE;
    workers_that_freeze: WORKERS_THAT_FREEZE;
    workers_that_end: WORKERS_THAT_END;
    redis: REDIS;
    postgres: POSTGRES;
    claims_are_lost: CLAIMS_ARE_LOST;
    poison: POISON;
    server: SERVER;
    conflicts: CONFLICTS;
    clocks: CLOCKS;
    engine_refuses: ENGINE_REFUSES;
    engine_never_hears: ENGINE_NEVER_HEARS;
    engine_answer_is_lost: ENGINE_ANSWER_IS_LOST;
    engine_is_away: ENGINE_IS_AWAY;
    behind_our_back: BEHIND_OUR_BACK;
    configurations: CONFIGURATIONS;
    changes: CHANGES;
    sleep: SLEEP;
    warm_pool: WARM_POOL;
    newer_words: NEWER_WORDS;
    #[ignore = "long; run by scripts/test --faults"]
    workers_that_freeze_more: WORKERS_THAT_FREEZE_MORE;
    #[ignore = "long; run by scripts/test --faults"]
    redis_more: REDIS_MORE;
    #[ignore = "long; run by scripts/test --faults"]
    postgres_more: POSTGRES_MORE;
    #[ignore = "long; run by scripts/test --faults"]
    engine_more: ENGINE_MORE;
    #[ignore = "long; run by scripts/test --faults"]
    poison_more: POISON_MORE;
    #[ignore = "long; run by scripts/test --faults"]
    server_more: SERVER_MORE;
    #[ignore = "long; run by scripts/test --faults"]
    conflicts_more: CONFLICTS_MORE;
    #[ignore = "long; run by scripts/test --faults"]
    clocks_more: CLOCKS_MORE;
    #[ignore = "long; run by scripts/test --faults"]
    behind_our_back_more: BEHIND_OUR_BACK_MORE;
    #[ignore = "long; run by scripts/test --faults"]
    changes_more: CHANGES_MORE;
    #[ignore = "long; run by scripts/test --faults"]
    sleep_more: SLEEP_MORE;
    #[ignore = "long; run by scripts/test --faults"]
    sleep_without_services_more: SLEEP_WITHOUT_SERVICES_MORE;
    #[ignore = "long; run by scripts/test --faults"]
    warm_pool_more: WARM_POOL_MORE;
    #[ignore = "long; run by scripts/test --faults"]
    warm_pool_without_services_more: WARM_POOL_WITHOUT_SERVICES_MORE;
    #[ignore = "long; run by scripts/test --faults"]
    newer_words_more: NEWER_WORDS_MORE;
}
