//! Stop strings, which may span pieces of text.

/// Watches text for any of several strings. Text that may turn out to be the beginning of one is held back, and only
/// that. However the text is cut into pieces, the outcome is the same.
#[derive(Clone, Debug)]
pub struct StopMatcher {
    stops: Vec<String>,
    held: String,
    stopped: bool,
}

impl StopMatcher {
    /// Watches for `stops`; empty strings are ignored.
    pub fn new(stops: &[String]) -> Self {
        let stops = stops.iter().filter(|s| !s.is_empty()).cloned().collect();
        Self { stops, held: String::new(), stopped: false }
    }

    /// Adds text. Returns what is safe to show now, and the stop string that was found, if any: the one that is
    /// complete first, of several that end at one place the longest. The stop string and what follows it is not shown;
    /// after a stop nothing is.
    pub fn push(&mut self, piece: &str) -> (String, Option<String>) {
        if self.stopped {
            return (String::new(), None);
        }
        self.held.push_str(piece);
        let found = self.stops.iter().filter_map(|s| Some((self.held.find(s.as_str())?, s)));
        if let Some((at, stop)) = found.min_by_key(|(at, s)| (at + s.len(), *at)) {
            let (safe, stop) = (self.held[..at].to_owned(), stop.clone());
            self.held.clear();
            self.stopped = true;
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

    /// Feeds `text` in random pieces; the text shown, and the stop.
    fn feed(m: &mut StopMatcher, text: &str, rng: &mut Lcg) -> (String, Option<String>) {
        let (mut got, mut found, mut rest) = (String::new(), None, text);
        while !rest.is_empty() {
            let mut n = 1 + rng.next() as usize % rest.len().min(6);
            while !rest.is_char_boundary(n) {
                n += 1;
            }
            let (safe, f) = m.push(&rest[..n]);
            got += &safe;
            found = found.or(f);
            rest = &rest[n..];
        }
        (got + &m.finish(), found)
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
            // "bcd" is complete before "abcde" is.
            ("xabcdey", &["abcde", "bcd"][..], "xa", Some("bcd")),
            ("xab", &["b", "ab"][..], "x", Some("ab")),
        ];
        for (text, list, want, stop) in cases {
            for _ in 0..30 {
                let (got, found) = feed(&mut stops(list), text, &mut rng);
                assert_eq!((&*got, found.as_deref()), (want, stop));
            }
        }
    }

    #[test]
    fn any_stops_and_any_cut() {
        let mut rng = Lcg(5);
        let letters = ['a', 'b', 'é', '漢'];
        let mut word = |most: u32| -> String {
            let n = 1 + rng.next() % most;
            (0..n).map(|_| letters[rng.next() as usize % 4]).collect()
        };
        let mut cuts = Lcg(6);
        for _ in 0..3000 {
            let (text, list) = (word(20), [word(4), word(4), word(5)]);
            // The shortest beginning of the text that ends in a stop string decides.
            let ends = text.char_indices().map(|(i, c)| i + c.len_utf8());
            let hit = ends.filter_map(|end| {
                Some((end, list.iter().filter(|s| text[..end].ends_with(*s)).max_by_key(|s| s.len())?))
            });
            let want = match hit.min_by_key(|(end, _)| *end) {
                Some((end, stop)) => (text[..end - stop.len()].to_owned(), Some(stop.clone())),
                None => (text.clone(), None),
            };
            assert_eq!(feed(&mut StopMatcher::new(&list), &text, &mut cuts), want, "{text} {list:?}");
        }
    }

    #[test]
    fn only_the_undecided_is_held() {
        let mut m = stops(&["<end>"]);
        assert_eq!(m.push("ab<e").0, "ab");
        assert_eq!(m.push("x").0, "<ex");
        assert_eq!(m.push("<end>y"), (String::new(), Some("<end>".into())));
        assert_eq!((m.push("z"), m.finish()), ((String::new(), None), String::new()));
    }
}
