//! "Did you mean": the known word that somebody probably wanted to write.

/// The word of `known` that is close enough to `written` to be what was meant.
pub(crate) fn closest<'k>(written: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let wanted = written.to_lowercase();
    let allowed = (wanted.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(&wanted, &word.to_lowercase()), word))
        .filter(|(distance, word)| *distance <= allowed && *distance < word.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// The hint for an unknown word: the one that was probably meant, or else all of a short list.
pub(crate) fn did_you_mean<'k>(written: &str, known: impl IntoIterator<Item = &'k str> + Clone) -> Option<String> {
    if let Some(word) = closest(written, known.clone()) {
        return Some(format!("did you mean `{word}`?"));
    }
    let words: Vec<String> = known.into_iter().take(13).map(|word| format!("`{word}`")).collect();
    match words.len() {
        0 | 13 => None,
        _ => Some(format!("known here: {}", words.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_the_word() {
        assert_eq!(closest("STANDRAD", ["RATE", "STANDARD"]), Some("STANDARD"));
        assert_eq!(closest("rate", ["RATE", "STANDARD"]), Some("RATE"));
        assert_eq!(closest("descripton", ["description", "default"]), Some("description"));
    }

    #[test]
    fn another_word_altogether_finds_nothing_and_lists_what_there_is() {
        assert_eq!(closest("colour", ["RATE", "STANDARD"]), None);
        assert_eq!(closest("x", ["a"]), None);
        assert_eq!(did_you_mean("colour", ["RATE", "EXEMPT"]).unwrap(), "known here: `RATE`, `EXEMPT`");
    }
}
