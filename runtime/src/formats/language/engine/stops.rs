//! Texts behind which nothing more is wanted.

/// Looks for them in a text that comes in pieces.
#[derive(Clone, Debug, Default)]
pub(super) struct Stops {
    stops: Vec<String>,
    /// The end of the text, as far as it may be the begin of a stop.
    held: String,
}

/// What came of a piece.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Heard {
    /// The text goes on with this.
    Text(String),
    /// It ends with this, before a stop.
    Stop(String),
}

// === impl Stops ===

impl Stops {
    pub(super) fn new(stops: Vec<String>) -> Self {
        Self { stops: stops.into_iter().filter(|stop| !stop.is_empty()).collect(), held: String::new() }
    }

    pub(super) fn hear(&mut self, piece: &str) -> Heard {
        if self.stops.is_empty() {
            return Heard::Text(piece.to_owned());
        }
        self.held.push_str(piece);
        if let Some(at) = self.stops.iter().filter_map(|stop| self.held.find(stop.as_str())).min() {
            self.held.truncate(at);
            return Heard::Stop(std::mem::take(&mut self.held));
        }
        let kept = self.stops.iter().map(|stop| begun(&self.held, stop)).max().unwrap_or(0);
        let said = self.held.len() - kept;
        let rest = self.held.split_off(said);
        Heard::Text(std::mem::replace(&mut self.held, rest))
    }

    /// What was held back, when nothing more comes.
    pub(super) fn rest(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// Bytes at the text's end that a stop begins with.
fn begun(text: &str, stop: &str) -> usize {
    let mut lengths = stop.char_indices().map(|(at, _)| at).filter(|at| *at > 0).rev();
    lengths.find(|&length| stop.get(..length).is_some_and(|begin| text.ends_with(begin))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(stops: &[&str], pieces: &[&str]) -> (String, bool) {
        let mut looked = Stops::new(stops.iter().map(|stop| (*stop).to_owned()).collect());
        let mut text = String::new();
        for piece in pieces {
            match looked.hear(piece) {
                Heard::Text(more) => text.push_str(&more),
                Heard::Stop(more) => return (text + &more, true),
            }
        }
        (text + &looked.rest(), false)
    }

    #[test]
    fn a_text_ends_before_the_first_stop_however_it_is_cut() {
        for pieces in [&["one. two"][..], &["one", ". two"], &["one.", " two"], &["o", "ne", ".", " ", "t", "wo"]] {
            assert_eq!(all(&[". t", "wo"], pieces), ("one".to_owned(), true), "{pieces:?}");
        }
        assert_eq!(all(&["b", "ab"], &["xa", "b"]), ("x".to_owned(), true));
    }

    #[test]
    fn what_only_looks_like_a_stop_is_not_lost() {
        assert_eq!(all(&["\n\n"], &["a\n", "b\n"]), ("a\nb\n".to_owned(), false));
        assert_eq!(all(&["abc"], &["ab", "ab", "é"]), ("ababé".to_owned(), false));
        assert_eq!(all(&["aab"], &["a", "a", "a", "b"]), ("a".to_owned(), true));
        assert_eq!(all(&[""], &["a"]), ("a".to_owned(), false));
    }
}
