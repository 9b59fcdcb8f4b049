use super::*;

fn warm(ready: bool) -> WarmInstance {
    WarmInstance {
        id: InstanceId::random(),
        container_id: Some("c".to_owned()),
        image_id: Some("i".to_owned()),
        memory_mb: DEFAULT_MEMORY_MB,
        ready,
        warming: false,
        leaving: false,
        age_seconds: 0.0,
    }
}

fn decided(pool: &[WarmInstance], wanted: usize) -> (Vec<&'static str>, bool) {
    let decision = decide(pool, wanted, |_| None);
    (decision.discard.into_iter().map(|(_, why)| why).collect(), decision.make)
}

#[test]
fn one_is_made_at_a_time_until_there_are_enough() {
    let warming = || WarmInstance { warming: true, ..warm(false) };
    assert_eq!(decided(&[], 2), (vec![], true));
    assert_eq!(decided(&[warming()], 2), (vec![], false), "one is being made");
    assert_eq!(decided(&[warm(true)], 2), (vec![], true));
    assert_eq!(decided(&[warm(true), warm(true)], 2), (vec![], false));
    assert_eq!(decided(&[], 0), (vec![], false));
    let leaving = WarmInstance { leaving: true, ..warm(false) };
    assert_eq!(decided(&[leaving], 1), (vec![], true), "one that leaves counts for nothing");
}

#[test]
fn what_is_too_many_or_failed_leaves() {
    assert_eq!(decided(&[warm(true), warm(true)], 1), (vec!["it is one too many"], false));
    assert_eq!(decided(&[warm(true)], 0), (vec!["it is one too many"], false));
    assert_eq!(decided(&[warm(false)], 1), (vec!["it could not be made"], true));
}

#[test]
fn what_cannot_be_offered_is_replaced() {
    let frozen = HashMap::from([("c".to_owned(), true), ("thawed".to_owned(), false)]);
    let why = |warm: &WarmInstance, image: &str| why_useless(warm, Some(image), &frozen);
    assert_eq!(why(&warm(true), "i"), None);
    assert_eq!(why(&warm(true), "newer"), Some("its image is not the current one"));
    for container in ["thawed", "gone"] {
        let other = WarmInstance { container_id: Some(container.to_owned()), ..warm(true) };
        assert_eq!(why(&other, "i"), Some("its container is not frozen"), "{container}");
    }
    let old = WarmInstance { age_seconds: MAX_AGE.as_secs_f64() + 1.0, ..warm(true) };
    assert_eq!(why(&old, "i"), Some("it is too old"));
    let decision = decide(&[warm(true)], 1, |_| Some("it is too old"));
    assert_eq!((decision.discard.len(), decision.make), (1, true));
}
