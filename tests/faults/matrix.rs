//! Operations under faults, one row each. A family of faults is one test, so that families run beside each other.
//! Kill points are tried one by one in the binary `it` (`crashes`); here is one of each kind of place.

use std::time::Duration;

use clawdeploy_tests::{docker_proxy::Action, tcp_proxy::Network};

use crate::{
    driver::run_all,
    row::{
        Expected::{self, Done, DoneAtOnce, Failed},
        Fault::{self, *},
        Operation::{self, Create, Delete, Restart, Start, Stop},
        RedisFault, Row,
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

const WORKERS_THAT_FREEZE: &[Row] = &[
    row("F2 create, before the container", Create, Freeze("provision.create_container.before"), Done),
    row("F2 start, before the start", Start, Freeze("start.start_container.before"), Done),
    row("F2 restart, before the stop", Restart, Freeze("restart.stop_container.before"), Done),
    row("F2 delete, before the files", Delete, Freeze("delete.remove_directories.before"), Done),
];

const WORKERS_THAT_FREEZE_MORE: &[Row] = &[
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
    row("F3 create", Create, Terminate("wait_until_ready"), Done),
    row("F3 restart", Restart, Terminate("stop_container"), Done),
    row("F3 delete", Delete, Terminate("remove_container"), Done),
];

const REDIS: &[Row] = &[
    row("R1 create, Redis killed", Create, Redis(RedisFault::KillAndRevive), DoneAtOnce),
    row("R2 create, Redis flushed", Create, Redis(RedisFault::Flush), DoneAtOnce),
    row("R3 create, Redis asleep", Create, Redis(RedisFault::Sleep), DoneAtOnce),
    row("R7 create, garbage in Redis", Create, Redis(RedisFault::Garbage), DoneAtOnce),
];

const REDIS_TOO: &[Row] = &[
    row("R4 restart, clients cut", Restart, Redis(RedisFault::KillClients), DoneAtOnce),
    row("R4 create, clients wait", Create, Redis(RedisFault::Pause), DoneAtOnce),
    row("R5 create, no Redis", Create, Redis(RedisFault::Absent), DoneAtOnce),
    row("R6 create, Redis full", Create, Redis(RedisFault::Full), DoneAtOnce),
];

const REDIS_MORE: &[Row] = &[
    row("R1 restart, Redis killed", Restart, Redis(RedisFault::KillAndRevive), DoneAtOnce),
    row("R2 start, Redis flushed", Start, Redis(RedisFault::Flush), DoneAtOnce),
    row("R3 stop, Redis asleep", Stop, Redis(RedisFault::Sleep), DoneAtOnce),
    row("R5 delete, no Redis", Delete, Redis(RedisFault::Absent), DoneAtOnce),
    row("R6 delete, Redis full", Delete, Redis(RedisFault::Full), DoneAtOnce),
    row("R7 restart, garbage in Redis", Restart, Redis(RedisFault::Garbage), DoneAtOnce),
];

const POSTGRES: &[Row] = &[
    row("P1 create, sessions cut", Create, Sessions(8), Done),
    row("P1 delete, sessions cut", Delete, Sessions(8), Done),
    row("P2 create, Postgres away", Create, PostgresAway(4000), Done),
    row("P3 create, Postgres silent for longer than the lease", Create, Postgres(Network::BlackHole, 5000), Done),
];

const POSTGRES_TOO: &[Row] = &[
    row("P4 create, connections reset", Create, Postgres(Network::Reset, 1500), Done),
    row("P4 create, answers cut short", Create, Postgres(Network::CutAfter(500), 3000), Done),
    row("P4 create, first commit's answer lost", Create, LoseCommit(1), Done),
    row("P4 create, third commit's answer lost", Create, LoseCommit(3), Done),
    row("P4 delete, fifth commit's answer lost", Delete, LoseCommit(5), Done),
];

const POSTGRES_MORE: &[Row] = &[
    row("P1 restart, sessions cut", Restart, Sessions(12), Done),
    row("P1 start, sessions cut", Start, Sessions(12), Done),
    row("P2 delete, Postgres away", Delete, PostgresAway(8000), Done),
    row("P3 restart, Postgres silent", Restart, Postgres(Network::BlackHole, 12_000), Done),
    row("P4 create, slow network", Create, Postgres(Network::Latency(Duration::from_millis(60)), 4000), Done),
    row("P4 create, second commit's answer lost", Create, LoseCommit(2), Done),
    row("P4 create, tenth commit's answer lost", Create, LoseCommit(10), Done),
    row("P4 restart, first commit's answer lost", Restart, LoseCommit(1), Done),
    row("P4 restart, sixth commit's answer lost", Restart, LoseCommit(6), Done),
    row("P4 stop, fourth commit's answer lost", Stop, LoseCommit(4), Done),
];

const CREATE: &str = "/containers/create";
const NETWORK: &str = "/networks/create";

const ENGINE_REFUSES: &[Row] = &[
    row("K1 create container refused", Create, Docker("POST", CREATE, Action::Err500, 1), Done),
    row("K1 create network refused", Create, Docker("POST", NETWORK, Action::Err500, 1), Done),
    row("K1 start refused", Start, Docker("POST", "/start", Action::Err500, 1), Done),
    row("K1 stop refused", Stop, Docker("POST", "/stop", Action::Err500, 1), Done),
    row("K1 remove refused", Delete, Docker("DELETE", "/containers/", Action::Err500, 1), Done),
];

const ENGINE_NEVER_HEARS: &[Row] = &[
    row("K2 create container unheard", Create, Docker("POST", CREATE, Action::DropBefore, 1), Done),
    row("K2 start unheard", Create, Docker("POST", "/start", Action::DropBefore, 1), Done),
    row("K2 stop unheard", Restart, Docker("POST", "/stop", Action::DropBefore, 1), Done),
    row("K2 remove network unheard", Delete, Docker("DELETE", "/networks/", Action::DropBefore, 1), Done),
];

const ENGINE_ANSWER_IS_LOST: &[Row] = &[
    row("K3 create container, answer lost", Create, Docker("POST", CREATE, Action::DropAfter, 1), Done),
    row("K3 create network, answer lost", Create, Docker("POST", NETWORK, Action::DropAfter, 1), Done),
    row("K3 start, answer lost", Create, Docker("POST", "/start", Action::DropAfter, 1), Done),
    row("K3 stop, answer lost", Stop, Docker("POST", "/stop", Action::DropAfter, 1), Done),
    row("K3 remove, answer lost", Delete, Docker("DELETE", "/containers/", Action::DropAfter, 1), Done),
];

const ENGINE_IS_AWAY: &[Row] = &[
    row("K4 create, engine away", Create, EngineAway(3000), Done),
    row("K1 create container slow", Create, Docker("POST", CREATE, Action::Delay(Duration::from_secs(4)), 1), Done),
    row("K1 everything refused for a while", Create, Docker("GET", "/", Action::Err500, 0), Done),
];

const ENGINE_MORE: &[Row] = &[
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
    row("K6 create, container removed", Create, BehindOurBack(&["rm", "--force"]), Failed("gateway_exited")),
    row("K6 create, container stopped", Create, BehindOurBack(&["stop", "--time", "0"]), Failed("gateway_exited")),
    row("K7 create, name taken", Create, NameTaken, Failed("container_name_taken")),
    row("K7 create, port taken", Create, PortTaken, Done),
    row("K9 create, image gone", Create, NoImage, Failed("image_missing")),
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
    redis_too: REDIS_TOO;
    postgres: POSTGRES;
    postgres_too: POSTGRES_TOO;
    engine_refuses: ENGINE_REFUSES;
    engine_never_hears: ENGINE_NEVER_HEARS;
    engine_answer_is_lost: ENGINE_ANSWER_IS_LOST;
    engine_is_away: ENGINE_IS_AWAY;
    behind_our_back: BEHIND_OUR_BACK;
    #[ignore = "long; run by scripts/test --faults"]
    workers_that_freeze_more: WORKERS_THAT_FREEZE_MORE;
    #[ignore = "long; run by scripts/test --faults"]
    redis_more: REDIS_MORE;
    #[ignore = "long; run by scripts/test --faults"]
    postgres_more: POSTGRES_MORE;
    #[ignore = "long; run by scripts/test --faults"]
    engine_more: ENGINE_MORE;
}
