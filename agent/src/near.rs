//! Which of the known words somebody meant.

/// Below this, two words are no more alike than any two.
const ALIKE: f64 = 0.8;

/// The one that is most like a word, whatever its case; `None` if none is.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let rated = known.into_iter().map(|known| {
        let lower = known.to_lowercase();
        // Short words are close to nothing by the measure for long ones.
        let likeness = match strsim::damerau_levenshtein(&word, &lower) {
            0 | 1 => 1.0,
            _ => strsim::jaro_winkler(&word, &lower),
        };
        (likeness, known)
    });
    let best = rated.max_by(|a, b| a.0.total_cmp(&b.0));
    best.filter(|(likeness, _)| *likeness > ALIKE)
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_not_another_word() {
        let known = ["listen", "btf", "drop", "TLS12", "TLS13"];
        for (word, meant) in [
            ("lisen", Some("listen")),
            ("LISTEN", Some("listen")),
            ("bft", Some("btf")),
            ("dorp", Some("drop")),
            ("tls13", Some("TLS13")),
            ("verbose", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
    }
}
