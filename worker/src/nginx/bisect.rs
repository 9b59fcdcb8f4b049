//! Finds the few bad items in a set by bisection.

/// More bad items than this are not isolated: their group is set aside as a whole.
const MANY: usize = 32;

/// A search for items that do not pass. [`Self::candidate`] returns what to try next; [`Self::tried`] takes the result.
#[derive(Debug)]
pub(super) struct Bisection<T> {
    /// Items that passed, together.
    pub good: Vec<T>,
    /// Items that did not, each with the reason.
    pub bad: Vec<(T, String)>,
    open: Vec<Vec<T>>,
}

impl<T: Clone> Bisection<T> {
    pub(super) fn new(all: Vec<T>) -> Self {
        Self { good: Vec::new(), bad: Vec::new(), open: vec![all] }
    }

    /// What to try next: what passed so far plus a part of the rest, since two items may only conflict with each other.
    /// `None`: the search is over.
    pub(super) fn candidate(&self) -> Option<Vec<T>> {
        self.open.last().map(|part| [self.good.as_slice(), part.as_slice()].concat())
    }

    /// Why the candidate did not pass. `None`: it did.
    pub(super) fn tried(&mut self, reason: Option<String>) {
        let Some(mut part) = self.open.pop() else { return };
        match reason {
            None => self.good.append(&mut part),
            Some(reason) if part.len() <= 1 || self.bad.len() >= MANY => {
                self.bad.extend(part.into_iter().map(|one| (one, reason.clone())));
            }
            Some(_) => {
                let right = part.split_off(part.len() / 2);
                self.open.extend([right, part]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(spoils: &[u32]) -> (Vec<u32>, Vec<u32>, usize) {
        let (mut search, mut trials) = (Bisection::new((0..1000).collect()), 0);
        while let Some(some) = search.candidate() {
            trials += 1;
            let bad = some.iter().find(|n| spoils.contains(n));
            // Seven and eight do not go together.
            let odd = some.contains(&7) && some.contains(&8);
            search.tried(bad.map(ToString::to_string).or(odd.then(|| "at odds".into())));
        }
        (search.good, search.bad.into_iter().map(|(n, _)| n).collect(), trials)
    }

    #[test]
    fn the_few_are_found_and_the_others_stay() {
        let (good, bad, trials) = split(&[3, 500, 999]);
        assert_eq!(bad, [3, 8, 500, 999]);
        assert_eq!(good.len(), 996);
        assert!(trials < 100, "{trials} trials");
    }

    #[test]
    fn a_flood_of_them_ends() {
        let (good, bad, trials) = split(&(0..1000).collect::<Vec<_>>());
        assert_eq!((good.len(), bad.len()), (0, 1000));
        assert!(trials < 300, "{trials} trials");
    }
}
