use super::*;

/// One container whose history is told by the second.
struct Story {
    deaths: Deaths,
    container: &'static str,
}

impl Story {
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
    let story = Story::new();
    for n in 0..4 {
        story.crash(n * 100, n + 1);
        assert!(!story.loops());
    }
    story.crash(400, 5);
    assert!(story.loops());
    assert_eq!(story.deaths.exit_code(&Reference::new("first")), Some(1));
}

#[test]
fn crashes_that_are_far_apart_make_none() {
    let story = Story::new();
    for n in 0..20 {
        story.crash(n * 151, n + 1);
        assert!(!story.loops());
    }
}

#[test]
fn stops_and_restarts_that_somebody_asked_for_do_not_count() {
    let story = Story::new();
    for n in 0..4 {
        story.crash(n, n + 1);
    }
    for n in 10..30 {
        story.crash(n, 0);
        assert!(!story.loops());
    }
    for n in 1..5 {
        story.crash(30 + n, n);
        assert!(!story.loops(), "started by hand, it has a new chance");
    }
    story.crash(40, 5);
    assert!(story.loops());
}

#[test]
fn what_came_before_the_end_of_a_job_does_not_count() {
    let story = Story::new();
    for n in 0..9 {
        story.crash(n * 10, n + 1);
    }
    assert!(story.loops_since(Some(35)));
    assert!(!story.loops_since(Some(45)));
}

#[test]
fn the_restart_count_stands_in_for_what_was_not_heard() {
    let story = Story::new();
    story.look(0, 40);
    story.look(10, 40);
    assert!(!story.loops(), "what came before the first look is no news");
    for n in 1..=5 {
        assert!(!story.loops());
        story.look(10 + n * 60, 40 + n);
    }
    assert!(story.loops());
    assert!(story.loops_since(Some(9)));
    assert!(!story.loops_since(Some(10)), "the first rise may be older than the end of the job");
}

#[test]
fn a_restart_count_that_rises_slowly_or_begins_again_is_no_loop() {
    let story = Story::new();
    for n in 0..30 {
        story.look(n * 150, n);
        assert!(!story.loops());
    }
    let story = Story::new();
    for n in 0..30 {
        story.look(n * 10, 4 - n % 5);
        assert!(!story.loops());
    }
}

#[test]
fn another_container_begins_a_new_life() {
    let mut story = Story::new();
    for n in 0..9 {
        story.crash(n, n + 1);
    }
    story.container = "second";
    assert!(!story.loops());
    for container in ["first", "second"] {
        story.container = container;
        story.tell(20, InstanceAction::Destroy);
    }
    assert!(story.deaths.0.lock().unwrap().is_empty());
}

#[test]
fn a_kill_for_memory_is_remembered_for_ten_minutes() {
    let story = Story::new();
    story.crash(0, 1);
    assert!(!story.deaths.out_of_memory(&Reference::new("first")));
    story.tell(9, InstanceAction::Oom);
    story.crash(10, 2);
    story.crash(609, 3);
    assert!(story.deaths.out_of_memory(&Reference::new("first")), "whatever the engine says of the last end");
    story.crash(610, 4);
    assert!(!story.deaths.out_of_memory(&Reference::new("first")));
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
