//! "Did you mean": the nearest of the names that would have been right.

/// Longer words get no proposal; they are no slip of the finger.
const LONGEST: usize = 64;

/// The candidate nearest to a word, if it is near enough to be meant; the first of equals.
pub fn suggest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.to_lowercase().chars().take(LONGEST + 1).collect();
    if word.is_empty() || word.len() > LONGEST {
        return None;
    }
    // One slip in three letters: beyond that the proposal is more of a riddle than a help.
    let allowed = word.len().div_ceil(3);
    let distances = candidates.into_iter().filter_map(|candidate| {
        let letters: Vec<char> = candidate.to_lowercase().chars().take(LONGEST + 1).collect();
        (letters.len() <= LONGEST).then(|| (distance(&word, &letters), candidate))
    });
    distances.min_by_key(|(distance, _)| *distance).filter(|(distance, _)| *distance <= allowed).map(|(_, name)| name)
}

/// Insertions, deletions, replacements and swaps of neighbours that make one word of the other (optimal string alignment).
fn distance(one: &[char], two: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=two.len()).collect();
    for (row, letter) in one.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, other) in two.iter().enumerate() {
            let replaced = last[column] + usize::from(letter != other);
            let mut best = replaced.min(last[column + 1] + 1).min(current[column] + 1);
            if row > 0 && column > 0 && *letter == two[column - 1] && one[row - 1] == *other {
                best = best.min(before_last[column - 1] + 1);
            }
            current.push(best);
        }
        before_last = std::mem::replace(&mut last, current);
    }
    last[two.len()]
}

#[cfg(test)]
mod tests {
    use super::suggest;

    #[test]
    fn slips_of_the_finger_find_the_name() {
        let names = ["channel", "recipient", "keyword", "service_code", "region", "queue"];
        for (word, name) in [
            ("chanel", "channel"),
            ("quere", "queue"),
            ("queu", "queue"),
            ("Regoin", "region"),
            ("servicecode", "service_code"),
        ] {
            assert_eq!(suggest(word, names), Some(name), "{word}");
        }
    }

    #[test]
    fn another_word_finds_nothing() {
        for word in ["", "colour", "x", &"q".repeat(10_000)] {
            assert_eq!(suggest(word, ["channel", "recipient", "queue"]), None);
        }
        assert_eq!(suggest("queue", []), None);
    }
}
