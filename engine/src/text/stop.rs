//! Stop strings, which may span pieces of text.

/// Watches text for any of several strings. Text that may turn out to be the beginning of one is held back.
#[derive(Clone, Debug)]
pub struct StopMatcher {
    stops: Vec<String>,
    held: String,
}

impl StopMatcher {
    /// Watches for `stops`; empty strings are ignored.
    pub fn new(stops: &[String]) -> Self {
        Self { stops: stops.iter().filter(|s| !s.is_empty()).cloned().collect(), held: String::new() }
    }

    /// Adds text. Returns what is safe to show now, and the stop string that was found, if any: the earliest in the
    /// text, of several at one place the first in the list. The stop string and what follows it is not shown.
    pub fn push(&mut self, piece: &str) -> (String, Option<String>) {
        self.held.push_str(piece);
        let found = self.stops.iter().filter_map(|s| Some((self.held.find(s.as_str())?, s))).min_by_key(|(at, _)| *at);
        if let Some((at, stop)) = found {
            let (safe, stop) = (self.held[..at].to_owned(), stop.clone());
            self.held.clear();
            return (safe, Some(stop));
        }
        let undecided = self.stops.iter().map(|s| overlap(&self.held, s)).max().unwrap_or(0);
        let rest = self.held.split_off(self.held.len() - undecided);
        (std::mem::replace(&mut self.held, rest), None)
    }

    /// The end: what was held back is text after all.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// Length of the longest end of `text` that is a proper beginning of `stop`.
fn overlap(text: &str, stop: &str) -> usize {
    (1..stop.len().min(text.len() + 1))
        .rev()
        .find(|n| stop.is_char_boundary(*n) && text.as_bytes().ends_with(&stop.as_bytes()[..*n]))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::testing::Lcg;

    fn stops(list: &[&str]) -> StopMatcher {
        StopMatcher::new(&list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn any_cut_gives_the_same_text() {
        let mut rng = Lcg(2);
        let cases = [
            ("abc<end>xyz", &["<end>", "xyz"][..], "abc", Some("<end>")),
            ("aaab", &["aab"][..], "a", Some("aab")),
            ("no stop here <en", &["<end>"][..], "no stop here <en", None),
            ("é漢漢字", &["漢字"][..], "é漢", Some("漢字")),
            ("text", &[""][..], "text", None),
        ];
        for (text, list, want, stop) in cases {
            for _ in 0..30 {
                let mut m = stops(list);
                let (mut got, mut found, mut rest) = (String::new(), None, text);
                while !rest.is_empty() && found.is_none() {
                    let mut n = 1 + rng.next() as usize % rest.len();
                    while !rest.is_char_boundary(n) {
                        n += 1;
                    }
                    let (safe, f) = m.push(&rest[..n]);
                    got += &safe;
                    found = f;
                    rest = &rest[n..];
                }
                if found.is_none() {
                    got += &m.finish();
                }
                assert_eq!((&*got, found.as_deref()), (want, stop));
            }
        }
    }

    #[test]
    fn only_the_undecided_is_held() {
        let mut m = stops(&["<end>"]);
        assert_eq!(m.push("ab<e").0, "ab");
        assert_eq!(m.push("x").0, "<ex");
    }
}
