//! The life of a request is told in `gateway/README.md` in the order in which `stack.rs` runs it.

use std::collections::BTreeMap;

use super::source::{code_of, live_part};
use super::tokens::{Token, text, tokens};
use super::tree::{read, root};

/// Where a stage lives if not in `layer/<stage>.rs`.
const ELSEWHERE: [(&str, &str); 2] = [("listen", "gateway/src/listen/mod.rs"), ("deed", "gateway/src/deed.rs")];

/// Reads the order of stages from the function `way`: what its last expression names, with `let`s put in.
fn order(stack: &str, stages: &[String]) -> Vec<String> {
    let live = live_part(&code_of(stack));
    let words = tokens(&live);
    let Some(start) = (0..words.len()).find(|at| text(&words, *at) == "fn" && text(&words, at + 1) == "way") else {
        return Vec::new();
    };
    let Some(open) = (start..words.len()).find(|at| text(&words, *at) == "{") else { return Vec::new() };
    let end = super::tokens::closing(&words, open);
    let mut named: BTreeMap<&str, &[Token<'_>]> = BTreeMap::new();
    let mut last: &[Token<'_>] = &[];
    let mut from = open + 1;
    while from < end {
        let to = statement_end(&words, from, end);
        let statement = words.get(from..to).unwrap_or_default();
        if text(statement, 0) == "let" {
            named.insert(text(statement, 1), statement.get(3..).unwrap_or_default());
        } else {
            last = statement;
        }
        from = to + 1;
    }
    let mut found = Vec::new();
    unfold(last, &named, stages, &mut found);
    found
}

fn statement_end(words: &[Token<'_>], from: usize, end: usize) -> usize {
    let mut depth = 0_usize;
    for at in from..end {
        match text(words, at) {
            "{" | "(" => depth += 1,
            "}" | ")" => depth = depth.saturating_sub(1),
            ";" if depth == 0 => return at,
            _ => {}
        }
    }
    end
}

fn unfold<'a>(
    words: &[Token<'a>],
    named: &BTreeMap<&'a str, &[Token<'a>]>,
    stages: &[String],
    found: &mut Vec<String>,
) {
    for word in words {
        if let Some(inner) = named.get(word.text) {
            let rest: BTreeMap<_, _> =
                named.iter().filter(|(name, _)| **name != word.text).map(|(k, v)| (*k, *v)).collect();
            unfold(inner, &rest, stages, found);
        } else if word.text.starts_with(char::is_uppercase) {
            let stage = word.text.strip_suffix("Layer").unwrap_or(word.text).to_lowercase();
            if stages.contains(&stage) {
                found.push(stage);
            }
        }
    }
}

/// Reads the stages from the table of the README: rows that begin with a number and a name in backquotes.
fn told(readme: &str) -> Vec<String> {
    let section = readme.split("## The life of a request").nth(1).unwrap_or_default();
    let section = section.split("\n## ").next().unwrap_or_default();
    let row = |line: &str| {
        let mut cells = line.trim().strip_prefix('|')?.split('|').map(str::trim);
        cells.next()?.parse::<u8>().ok()?;
        Some(cells.next()?.trim_matches('`').to_owned())
    };
    section.lines().filter_map(row).collect()
}

/// The stages that `layer/mod.rs` shows; its private modules are parts of stages.
fn layers(front: &str) -> Vec<String> {
    let live = live_part(&code_of(front));
    let words = tokens(&live);
    let shown = (0..words.len()).filter(|at| text(&words, *at) == "pub" && text(&words, at + 1) == "mod");
    shown.map(|at| text(&words, at + 2).to_owned()).collect()
}

fn differences(told: &[String], run: &[String]) -> Vec<String> {
    let mut expected = vec!["listen".to_owned()];
    expected.extend_from_slice(run);
    if told == expected {
        Vec::new()
    } else {
        vec![format!("the README tells {told:?}"), format!("the stack runs {expected:?}")]
    }
}

#[test]
fn the_life_of_a_request_is_told_in_the_order_of_the_stack() {
    let mut stages = layers(&read("gateway/src/layer/mod.rs"));
    stages.push("deed".to_owned());
    let run = order(&read("gateway/src/stack.rs"), &stages);
    let mut complaints = differences(&told(&read("gateway/README.md")), &run);
    for stage in &stages {
        if !run.contains(stage) {
            complaints.push(format!("gateway/src/layer/{stage}.rs is not in the stack"));
        }
    }
    let rule = "gateway/README.md, `The life of a request`, names every stage in the order of gateway/src/stack.rs, \
                after `listen`: change both together.";
    super::hold(rule, &complaints);
}

#[test]
fn every_stage_has_its_file() {
    let mut complaints = Vec::new();
    for stage in told(&read("gateway/README.md")) {
        let elsewhere = ELSEWHERE.iter().find(|(name, _)| *name == stage).map(|(_, file)| (*file).to_owned());
        let file = elsewhere.unwrap_or_else(|| format!("gateway/src/layer/{stage}.rs"));
        if !root().join(&file).exists() {
            complaints.push(format!("`{stage}` should be in {file}"));
        }
    }
    super::hold("A newcomer finds a stage by its name: one file each.", &complaints);
}

#[cfg(test)]
mod tests {
    use super::*;

    const STACK: &str = "fn way(h: &X) -> impl R {\n let done = B::new().layer(RedactLayer).service(Deed { a: b(h) });\n \
                         let once = OnceLayer(c).layer(then(Assess(d), done));\n B::new().layer(TraceLayer).service(then(Route(e), once)) }";

    fn stages() -> Vec<String> {
        ["trace", "route", "once", "assess", "redact", "deed"].map(str::to_owned).to_vec()
    }

    #[test]
    fn lets_are_put_in_where_they_are_used() {
        assert_eq!(order(STACK, &stages()), stages());
    }

    #[test]
    fn a_swapped_line_is_found() {
        let readme = |first: &str, second: &str| {
            format!(
                "## The life of a request\n| # | stage |\n|---|---|\n| 0 | `listen` |\n| 1 | `{first}` | x |\n| 2 | `{second}` |\n\n## More\n| 3 | `no` |\n"
            )
        };
        let run = ["trace".to_owned(), "route".to_owned()];
        assert!(differences(&told(&readme("trace", "route")), &run).is_empty());
        assert!(!differences(&told(&readme("route", "trace")), &run).is_empty());
        assert!(!differences(&[], &run).is_empty());
    }
}
