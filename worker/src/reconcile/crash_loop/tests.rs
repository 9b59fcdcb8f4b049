use super::*;

/// One container, with a history of events by the second.
struct Scenario {
    deaths: Deaths,
    container: &'static str,
}

impl Scenario {
    fn new() -> Self {
        Self { deaths: Deaths::default(), container: "first" }
    }

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
    }

    fn tell(&self, second: i64, action: InstanceAction) {
        self.deaths.note(&InstanceEvent {
            instance: InstanceId::random(),
            gateway: Reference::new(self.container),
            action,
            exit_code: (action == InstanceAction::Die).then_some(1),
            at: Self::at(second),
        });
    }

    fn look(&self, second: i64, restart_count: i64) {
        self.deaths.look(&Reference::new(self.container), restart_count, Self::at(second));
    }

    /// It exits, and the restart policy starts it for the n-th time in a row.
    fn crash(&self, second: i64, nth: i64) {
        self.tell(second, InstanceAction::Die);
        self.look(second, nth);
    }

    fn loops(&self) -> bool {
        self.loops_since(None)
    }

    fn loops_since(&self, since: Option<i64>) -> bool {
        self.deaths.is_loop(&Reference::new(self.container), since.map(Self::at))
    }
}

#[test]
fn the_fifth_crash_within_ten_minutes_makes_a_loop() {
    let scenario = Scenario::new();
    for n in 0..4 {
        scenario.crash(n * 100, n + 1);
        assert!(!scenario.loops());
    }
    scenario.crash(400, 5);
    assert!(scenario.loops());
    assert_eq!(scenario.deaths.exit_code(&Reference::new("first")), Some(1));
}

#[test]
fn crashes_that_are_far_apart_make_none() {
    let scenario = Scenario::new();
    for n in 0..20 {
        scenario.crash(n * 151, n + 1);
        assert!(!scenario.loops());
    }
}

#[test]
fn stops_and_restarts_that_somebody_asked_for_do_not_count() {
    let scenario = Scenario::new();
    for n in 0..4 {
        scenario.crash(n, n + 1);
    }
    for n in 10..30 {
        scenario.crash(n, 0);
        assert!(!scenario.loops());
    }
    for n in 1..5 {
        scenario.crash(30 + n, n);
        assert!(!scenario.loops(), "started by hand, it has a new chance");
    }
    scenario.crash(40, 5);
    assert!(scenario.loops());
}

#[test]
fn what_came_before_the_end_of_a_job_does_not_count() {
    let scenario = Scenario::new();
    for n in 0..9 {
        scenario.crash(n * 10, n + 1);
    }
    assert!(scenario.loops_since(Some(35)));
    assert!(!scenario.loops_since(Some(45)));
}

#[test]
fn the_restart_count_stands_in_for_what_was_not_heard() {
    let scenario = Scenario::new();
    scenario.look(0, 40);
    scenario.look(10, 40);
    assert!(!scenario.loops(), "what came before the first look is no news");
    for n in 1..=5 {
        assert!(!scenario.loops());
        scenario.look(10 + n * 60, 40 + n);
    }
    assert!(scenario.loops());
    assert!(scenario.loops_since(Some(9)));
    assert!(!scenario.loops_since(Some(10)), "the first rise may be older than the end of the job");
}

#[test]
fn a_restart_count_that_rises_slowly_or_begins_again_is_no_loop() {
    let scenario = Scenario::new();
    for n in 0..30 {
        scenario.look(n * 150, n);
        assert!(!scenario.loops());
    }
    let scenario = Scenario::new();
    for n in 0..30 {
        scenario.look(n * 10, 4 - n % 5);
        assert!(!scenario.loops());
    }
}

#[test]
fn another_container_begins_a_new_life() {
    let mut scenario = Scenario::new();
    for n in 0..9 {
        scenario.crash(n, n + 1);
    }
    scenario.container = "second";
    assert!(!scenario.loops());
    for container in ["first", "second"] {
        scenario.container = container;
        scenario.tell(20, InstanceAction::Destroy);
    }
    assert!(scenario.deaths.0.lock().unwrap().is_empty());
}

#[test]
fn a_kill_for_memory_is_remembered_for_ten_minutes() {
    let scenario = Scenario::new();
    scenario.crash(0, 1);
    assert!(!scenario.deaths.out_of_memory(&Reference::new("first")));
    scenario.tell(9, InstanceAction::Oom);
    scenario.crash(10, 2);
    scenario.crash(609, 3);
    assert!(scenario.deaths.out_of_memory(&Reference::new("first")), "whatever the engine says of the last end");
    scenario.crash(610, 4);
    assert!(!scenario.deaths.out_of_memory(&Reference::new("first")));
}

#[test]
fn the_error_says_what_to_do_and_what_the_gateway_said() {
    let words = vec!["one".to_owned(), "two".to_owned()];
    assert_eq!(
        message(Some(78), false, Ok(words)),
        "The gateway exited 5 times within 10 minutes (last with exit code 78), so it was stopped. Look at its log, fix \
         the configuration, then start it. Its last output:\none\ntwo"
    );
    assert!(message(None, false, Ok(Vec::new())).ends_with("then start it. It printed nothing."));
    let unread = message(None, false, Err("the engine does not answer".to_owned()));
    assert!(
        unread.ends_with("then start it. Its last output could not be read: the engine does not answer."),
        "{unread}"
    );
}
