#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

use std::fmt::Write as _;
use std::path::Path;

use super::*;
use crate::language::shipped;

fn formatted(text: &str) -> String {
    format(&Source::new("a.yaml", text)).unwrap_or_else(|problems| panic!("{}: {text}", problems[0].message))
}

#[test]
fn a_file_that_cannot_be_read_is_refused() {
    let problems = format(&Source::new("a.yaml", "a: [1\n")).unwrap_err();
    assert_eq!(problems[0].code, "P0001");
}

#[test]
fn indentation_spacing_and_quotes_have_one_form() {
    for (given, expected) in [
        ("a:   1\r\nb: 2  \n\n\n\nc: 3", "a: 1\nb: 2\n\nc: 3\n"),
        ("a:\n    b:\n        c: 1\n    d: 2\n", "a:\n  b:\n    c: 1\n  d: 2\n"),
        ("list:\n- a\n-   b\n", "list:\n  - a\n  - b\n"),
        ("list:\n- a: 1\n  b:\n  - 2\n", "list:\n  - a: 1\n    b:\n      - 2\n"),
        ("list:\n- - a\n  - b\n-\n  - c\n", "list:\n  - - a\n    - b\n  -\n    - c\n"),
        ("list:\n-  # why\n\n  a\n- b\n", "list:\n  -  # why\n\n    a\n  - b\n"),
        ("- - a\n  - b\n-\n  - c\n", "- - a\n  - b\n-\n  - c\n"),
        ("a: { b: 1 , c: [ 2,3 ] }\n", "a: {b: 1, c: [2, 3]}\n"),
        (
            "a: 'x'\nb: 'it''s'\nc: 'say \"yes\"'\n'd': \"e\"\n",
            "a: \"x\"\nb: \"it's\"\nc: 'say \"yes\"'\n\"d\": \"e\"\n",
        ),
        ("a: &x [1]\nb:  *x\n", "a: &x [1]\nb: *x\n"),
        ("a: [\n      1,\n      2]\n", "a: [\n      1,\n      2]\n"),
        ("a:\n    b: {c: 1,\n        d: 2}\n", "a:\n  b: {c: 1,\n      d: 2}\n"),
        ("a:\n    b: one\n      two\n", "a:\n  b: one\n    two\n"),
        (
            "a:\n    b: |  # why\n        one\n\n          two\n    c: 1\n",
            "a:\n  b: |  # why\n    one\n\n      two\n  c: 1\n",
        ),
        ("a:\n  - >-\n     one\n     two\n", "a:\n  - >-\n    one\n    two\n"),
    ] {
        assert_eq!(formatted(given), expected, "{given}");
        assert_eq!(formatted(expected), expected, "{expected}");
    }
}

#[test]
fn comments_stay_where_they_are() {
    for (given, expected) in [
        ("#one\na: 1 #two\n", "# one\na: 1  # two\n"),
        ("a: 1     # far\n", "a: 1     # far\n"),
        ("a:\n    # of b\n    b: 1\n    # after b\nc: 2\n# end\n", "a:\n  # of b\n  b: 1\n  # after b\nc: 2\n# end\n"),
        ("a:\n# at the margin\n    b: 1\n", "a:\n# at the margin\n  b: 1\n"),
        ("##### box\n#!shebang\n#\na: 1\n", "##### box\n#!shebang\n#\na: 1\n"),
        ("a: '# no comment'\nb: x#y\n", "a: \"# no comment\"\nb: x#y\n"),
        ("a: [  # of the list\n  1,  # one\n  2,\n]\n", "a: [  # of the list\n  1,  # one\n  2,\n]\n"),
    ] {
        assert_eq!(formatted(given), expected, "{given}");
        assert_eq!(formatted(expected), expected, "{expected}");
    }
}

#[test]
fn what_ships_is_in_its_form() {
    for source in shipped() {
        let told = formatted(source.body());
        assert!(told == source.body(), "{} is not in its form; run: qaqpa fmt policies/national", source.name);
    }
}

// Every text of the golden files that can be read at all: it keeps its meaning (or is refused), and a second time changes nothing.
#[test]
fn a_second_time_changes_nothing() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests-data/language");
    let mut read = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let golden = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for part in golden.split("=== ").skip(1) {
            let (name, body) = part.split_once('\n').unwrap();
            if let Ok(once) = format(&Source::new(name, body)) {
                assert_eq!(formatted(&once), once);
                read += 1;
            }
        }
    }
    assert!(read >= 30, "{read}");
}

/// Numbers that look random and are the same each time (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        let at = usize::try_from(self.below(words.len() as u64)).unwrap();
        words[at]
    }
}

fn scalar(numbers: &mut Numbers) -> &'static str {
    numbers.pick(&[
        "1",
        "800ms",
        "true",
        "'q'",
        "'it''s'",
        "\"a\\nb\"",
        "\"#x\"",
        "50/s",
        "250000 KZT",
        "/a/*/b",
        "~",
        "a # not a value",
        "'\"'",
        "a:b",
        "-1",
        "",
    ])
}

fn flow(numbers: &mut Numbers, depth: u64, out: &mut String) {
    let blanks = |numbers: &mut Numbers| " ".repeat(usize::try_from(numbers.below(3)).unwrap());
    let list = numbers.below(2) == 0;
    out.push(if list { '[' } else { '{' });
    for item in 0..numbers.below(4) {
        if item > 0 {
            out.push(',');
        }
        out.push_str(&blanks(numbers));
        if !list {
            let _ = write!(out, "k{item}: ");
        }
        if depth > 0 && numbers.below(3) == 0 {
            flow(numbers, depth - 1, out);
        } else {
            out.push_str(numbers.pick(&["1", "two words", "'q'", "\"r\"", "50/s", "true"]));
        }
        out.push_str(&blanks(numbers));
    }
    out.push(if list { ']' } else { '}' });
}

fn block(numbers: &mut Numbers, outer: Option<usize>, indent: usize, depth: u64, out: &mut String) {
    let list = numbers.below(3) == 0;
    // A list may stand in the column of its key.
    let indent = if list && numbers.below(2) == 0 { outer.unwrap_or(indent) } else { indent };
    let pad = " ".repeat(indent);
    for item in 0..1 + numbers.below(4) {
        if numbers.below(5) == 0 {
            let _ = writeln!(
                out,
                "{}#{}",
                " ".repeat(usize::try_from(numbers.below(8)).unwrap()),
                numbers.pick(&["c", " d", "", "# e"])
            );
        }
        if numbers.below(6) == 0 {
            out.push_str(numbers.pick(&["\n", "\n\n\n", "   \n"]));
        }
        out.push_str(&pad);
        let gap = numbers.pick(&[" ", "  ", "   "]);
        let _ = if list { write!(out, "-") } else { write!(out, "{}k{item}:", numbers.pick(&["", "a b ", "x-"])) };
        let deeper = indent + 1 + usize::try_from(numbers.below(4)).unwrap();
        match numbers.below(6) {
            0 | 1 if depth > 0 => {
                out.push_str(numbers.pick(&["\n", "  # why\n", "\n\n"]));
                block(numbers, (!list).then_some(indent), deeper, depth - 1, out);
                continue;
            }
            2 if depth > 0 => {
                out.push_str(gap);
                flow(numbers, 2, out);
            }
            3 => {
                let inner = " ".repeat(deeper);
                let header = numbers.pick(&["|", ">", "|-", ">-"]);
                let _ = write!(out, "{gap}{header}\n{inner}one\n\n{inner}  two # x\n{inner}three");
            }
            4 => {
                let inner = " ".repeat(deeper);
                let _ = write!(out, "{gap}\"one\n{inner}two\"");
            }
            _ => {
                let _ = write!(out, "{gap}{}", scalar(numbers));
            }
        }
        out.push_str(numbers.pick(&["\n", "  \n", "  # c\n", " #d\n"]));
    }
}

#[test]
fn whatever_is_read_keeps_its_meaning_and_its_form() {
    let mut read = 0;
    for seed in 1..=3000_u64 {
        let mut numbers = Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut text = String::new();
        block(&mut numbers, None, 0, 4, &mut text);
        let source = Source::new("a.yaml", text.as_str());
        match format(&source) {
            Ok(once) => {
                read += 1;
                assert_eq!(formatted(&once), once, "seed {seed}:\n{text}");
            }
            Err(problems) => assert!(problems[0].code != "P0012", "seed {seed} is refused:\n{text}"),
        }
    }
    assert!(read > 1000, "{read}");
}
