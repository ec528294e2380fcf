//! Guesses which of the known words a person meant.

/// Returns the known word that is nearest to `word`, if one is near enough to have been meant.
///
/// Spelling conventions (`max_body`, `maxBody`, `MAX-BODY`) count as the same; otherwise at most a third of the letters
/// may be added, dropped, changed or swapped with a neighbour: of two letters none, for `L9` may be `L1` as well as `L4`.
/// If none is that near, the shortest in which all the words of `word` follow each other: `createPayment` is a
/// `createDomesticPayment`.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = folded(word);
    // Comparing is quadratic, and no name that is known is this long.
    if wanted.is_empty() || wanted.len() > WORD_CHARACTERS_MAX {
        return None;
    }
    let reach = wanted.len() / 3;
    let short = |candidate: &&str| !candidate.is_empty() && candidate.len() <= WORD_CHARACTERS_MAX;
    let known: Vec<&str> = known.into_iter().filter(short).collect();
    let parts = parts(word);
    let longer = known.iter().filter(|candidate| parts.len() > 1 && follow(&parts, candidate));
    let longer = longer.min_by_key(|candidate| (candidate.len(), **candidate)).copied();
    known
        .into_iter()
        .filter_map(|candidate| distance_within(&wanted, &folded(candidate), reach).map(|found| (found, candidate)))
        // One letter for another of two is no misspelling but another word.
        .filter(|(distance, candidate)| *distance < candidate.chars().count())
        .min()
        .map(|(_, candidate)| candidate)
        .or(longer)
}

/// Lists words for a help text: `a`, `b` and `c`; the rest of a long list is counted.
#[must_use]
pub fn listed<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    const SHOWN_MAX: usize = 12;
    let words: Vec<&str> = words.into_iter().collect();
    let mut text: Vec<String> = words.iter().take(SHOWN_MAX).map(|word| format!("`{word}`")).collect();
    if words.len() > SHOWN_MAX {
        text.push(format!("{} more", words.len() - SHOWN_MAX));
    }
    match text.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => String::new(),
    }
}

const WORD_CHARACTERS_MAX: usize = 128;

fn folded(word: &str) -> Vec<char> {
    word.chars().filter(|character| !matches!(character, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect()
}

// The words of a name, in small letters: `createDomesticPayment` has three.
fn parts(name: &str) -> Vec<String> {
    let mut found: Vec<String> = vec![String::new()];
    for character in name.chars() {
        if character.is_uppercase() || matches!(character, '_' | '-' | ' ' | '.' | ':') {
            found.push(String::new());
        }
        if let Some(last) = found.last_mut().filter(|_| character.is_alphanumeric()) {
            last.extend(character.to_lowercase());
        }
    }
    found.retain(|part| !part.is_empty());
    found
}

// Whether all these words stand in a name, in this order.
fn follow(words: &[String], name: &str) -> bool {
    let mut words = words.iter().peekable();
    for part in parts(name) {
        words.next_if(|word| **word == part);
    }
    words.peek().is_none()
}

// Optimal string alignment: Levenshtein plus swaps of neighbours, three rows at a time; none if it is beyond reach.
fn distance_within(a: &[char], b: &[char], reach: usize) -> Option<usize> {
    // Each letter that one has more was added.
    if a.len().abs_diff(b.len()) > reach {
        return None;
    }
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let at = |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX / 2);
    let least = |row: &[usize]| row.iter().copied().min().unwrap_or(0);
    let mut previous_of_a = None;
    for (i, from) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        let mut previous_of_b = None;
        for (j, to) in b.iter().enumerate() {
            let mut cost = (at(&last, j) + usize::from(from != to)).min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            if i > 0 && j > 0 && Some(from) == previous_of_b && previous_of_a == Some(to) {
                cost = cost.min(at(&before_last, j - 1) + 1);
            }
            row.push(cost);
            previous_of_b = Some(to);
        }
        // What follows is made of these two rows, the older one by a swap that costs one.
        if least(&row) > reach && least(&last) >= reach {
            return None;
        }
        before_last = std::mem::replace(&mut last, row);
        previous_of_a = Some(from);
    }
    Some(at(&last, b.len())).filter(|distance| *distance <= reach)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_far_off_is_not_suggested() {
        assert_eq!(did_you_mean("zebra", ["timeout", "audit"]), None);
        assert_eq!(did_you_mean("", ["timeout"]), None);
        assert_eq!(did_you_mean("x", ["y"]), None);
        assert_eq!(did_you_mean("L9", ["L1", "L2", "L3", "L4"]), None);
        assert_eq!(did_you_mean(&"a".repeat(WORD_CHARACTERS_MAX + 1), [&*"a".repeat(WORD_CHARACTERS_MAX)]), None);
    }

    #[test]
    fn the_nearest_known_word_is_suggested() {
        assert_eq!(
            did_you_mean("createDomesticPayments", ["getDomesticPayment", "createDomesticPayment"]),
            Some("createDomesticPayment")
        );
        assert_eq!(did_you_mean("max_body", ["timeout", "maxBody"]), Some("maxBody"));
        assert_eq!(did_you_mean("tiemout", ["timeout", "audit"]), Some("timeout"));
        assert_eq!(did_you_mean("KZT", ["kzt"]), Some("kzt"));
        assert_eq!(did_you_mean("l2", ["L1", "L2", "L3", "L4"]), Some("L2"));
        assert_eq!(did_you_mean("шлюзы", ["шлюз"]), Some("шлюз"));
    }

    #[test]
    fn a_word_that_was_left_out_is_put_back() {
        let known = ["createDomesticPaymentConsent", "createDomesticPayment", "getDomesticPayment", "payments"];
        assert_eq!(did_you_mean("createPayment", known), Some("createDomesticPayment"));
        assert_eq!(did_you_mean("paymentCreate", known), None);
        assert_eq!(did_you_mean("payment-get", ["zebra", "the-get"]), None);
        // One word alone says too little.
        assert_eq!(did_you_mean("payment", ["createDomesticPayment"]), None);
    }

    #[test]
    fn lists_read_as_a_sentence() {
        assert_eq!(listed(["a"]), "`a`");
        assert_eq!(listed(["a", "b", "c"]), "`a`, `b` and `c`");
        assert!(listed(["x"; 20]).ends_with("and 8 more"));
    }
}
