//! Tells what came of a run of cases: to people, to a program, and to whatever reads JUnit.

use std::fmt::Write as _;
use std::time::Duration;

use policies::language::visible;
use serde_json::{Value, json as object};

use super::cover::Rule;
use super::run::{Failure, RefusedBy, Verdict};

/// Tells people; passed cases are counted, failed ones told in full.
///
/// `rules` is every rule with whether it was hit; none if a part of the cases ran, of which nobody expects that.
#[must_use]
pub fn text(verdicts: &[Verdict], rules: Option<&[(Rule, bool)]>) -> String {
    let mut out = String::new();
    for verdict in verdicts.iter().filter(|verdict| !verdict.failures.is_empty()) {
        let _ = writeln!(out, "FAILED  {}\n  --> {}", shown(&verdict.name), shown(&verdict.place.origin()));
        for failure in &verdict.failures {
            let _ = writeln!(out, "  step {}, {}", failure.step, shown(&failure.place.origin()));
            for line in told(failure) {
                let _ = writeln!(out, "    {}", shown(&line));
            }
        }
        out.push('\n');
    }
    let (all, uncovered) = (rules.map_or(0, <[_]>::len), never_hit(rules));
    if !uncovered.is_empty() {
        let _ = writeln!(out, "never hit: {} of {all} rules", uncovered.len());
        let width = uncovered.iter().map(|rule| rule.kind.len()).max().unwrap_or_default();
        for rule in &uncovered {
            let _ = writeln!(out, "  {:width$}  {}  {}", rule.kind, shown(&rule.name), shown(&rule.origin));
        }
        out.push('\n');
    }
    let failed = verdicts.iter().filter(|verdict| !verdict.failures.is_empty()).count();
    let took: Duration = verdicts.iter().map(|verdict| verdict.took).sum();
    let passed = verdicts.len() - failed;
    let _ = write!(out, "{passed} passed, {failed} failed, ");
    if rules.is_some() {
        let _ = write!(out, "{} of {all} rules hit, ", all - uncovered.len());
    }
    let _ = writeln!(out, "{} ms", took.as_millis());
    if rules.is_none() {
        out.push_str("which rules are hit is told without --filter\n");
    }
    out
}

/// Tells a program; `rules` as for people.
#[must_use]
pub fn json(verdicts: &[Verdict], rules: Option<&[(Rule, bool)]>) -> Value {
    let cases = verdicts.iter().map(|verdict| {
        let failures: Vec<Value> = verdict.failures.iter().map(failure).collect();
        object!({
            "name": verdict.name,
            "at": verdict.place.origin(),
            "passed": verdict.failures.is_empty(),
            "micros": u64::try_from(verdict.took.as_micros()).unwrap_or(u64::MAX),
            "failures": failures,
        })
    });
    let never = never_hit(rules);
    let never = never.iter().map(|rule| object!({"kind": rule.kind, "name": rule.name, "at": rule.origin}));
    let never = never.collect::<Vec<_>>();
    object!({
        "ok": verdicts.iter().all(|verdict| verdict.failures.is_empty()),
        "cases": cases.collect::<Vec<_>>(),
        "rules": rules.map(|rules| object!({"all": rules.len(), "neverHit": never})),
    })
}

/// Tells whatever reads JUnit's XML: one suite for each file.
#[must_use]
pub fn junit(verdicts: &[Verdict]) -> String {
    let mut files: Vec<&str> = verdicts.iter().map(|verdict| &*verdict.place.file).collect();
    files.dedup();
    let of = |file: &str| verdicts.iter().filter(move |verdict| &*verdict.place.file == file).collect::<Vec<_>>();
    let mut out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
    let _ = writeln!(out, "<testsuites {}>", counts(&verdicts.iter().collect::<Vec<_>>()));
    for file in files {
        let cases = of(file);
        let _ = writeln!(out, "  <testsuite name=\"{}\" {}>", escaped(file), counts(&cases));
        for verdict in cases {
            let _ = write!(
                out,
                "    <testcase name=\"{}\" classname=\"{}\" file=\"{1}\" line=\"{}\" time=\"{}\"",
                escaped(&verdict.name),
                escaped(file),
                verdict.place.line,
                seconds(verdict.took),
            );
            if verdict.failures.is_empty() {
                out.push_str("/>\n");
                continue;
            }
            out.push_str(">\n");
            for failure in &verdict.failures {
                let first = failure.misses.first().map(String::as_str).unwrap_or_default();
                let _ = writeln!(
                    out,
                    "      <failure message=\"{}\" type=\"expectation\">step {}, {}\n{}</failure>",
                    escaped(first),
                    failure.step,
                    escaped(&failure.place.origin()),
                    escaped(&told(failure).join("\n")),
                );
            }
            out.push_str("    </testcase>\n");
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

// Cases and files are named by who wrote them, and answers by backends: none of them steers the terminal.
fn shown(text: &str) -> String {
    text.chars().map(visible).collect()
}

fn never_hit(rules: Option<&[(Rule, bool)]>) -> Vec<&Rule> {
    rules.unwrap_or_default().iter().filter(|(_, hit)| !hit).map(|(rule, _)| rule).collect()
}

fn told(failure: &Failure) -> Vec<String> {
    let mut lines = failure.misses.clone();
    if !failure.stages.is_empty() {
        let stages: Vec<String> =
            failure.stages.iter().map(|(stage, decision)| format!("{stage} {decision}")).collect();
        lines.push(format!("stages: {}", stages.join(", ")));
    }
    lines.extend(failure.refused.as_ref().and_then(refused));
    lines.extend(
        failure
            .answer
            .iter()
            .enumerate()
            .map(|(index, line)| if index == 0 { format!("answer: {line}") } else { format!("        {line}") }),
    );
    lines
}

// What no rule of the set says, such as a body that breaks the contract, is told by the stages and the answer.
fn refused(refused: &RefusedBy) -> Option<String> {
    let at = Some(&refused.at).filter(|at| !at.is_empty());
    let said = match (&refused.rule, at) {
        (Some(rule), at) => {
            let at = at.map(|at| format!(" ({at})")).unwrap_or_default();
            format!("{} `{}`{at}", rule.kind.word(), rule.name)
        }
        (None, Some(at)) => format!("{at}, by which `{}` went", refused.stage),
        (None, None) => return None,
    };
    let why = refused.why.as_ref().map(|why| format!(": not judged, for {why}")).unwrap_or_default();
    Some(format!("refused by: {said}{why}"))
}

fn failure(failure: &Failure) -> Value {
    let rule = failure.refused.as_ref().map(|refused| {
        object!({
            "kind": refused.rule.as_ref().map(|rule| rule.kind.word()),
            "name": refused.rule.as_ref().map(|rule| &*rule.name),
            "at": refused.at,
            "why": refused.why.as_deref(),
        })
    });
    let stage = |(stage, decision): &(&str, &str)| object!({"stage": stage, "decision": decision});
    object!({
        "step": failure.step,
        "at": failure.place.origin(),
        "misses": failure.misses,
        "refusedBy": rule,
        "stages": failure.stages.iter().map(stage).collect::<Vec<_>>(),
        "answer": failure.answer,
    })
}

fn counts(verdicts: &[&Verdict]) -> String {
    let failed = verdicts.iter().filter(|verdict| !verdict.failures.is_empty()).count();
    let took = verdicts.iter().map(|verdict| verdict.took).sum();
    format!("tests=\"{}\" failures=\"{failed}\" errors=\"0\" time=\"{}\"", verdicts.len(), seconds(took))
}

fn seconds(took: Duration) -> String {
    format!("{:.6}", took.as_secs_f64())
}

// XML 1.0, 2.2: most control characters cannot be written at all.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(character),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            other if other.is_control() => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use policies::language::Place;
    use policies::rule::{RuleKind, RuleName};

    use super::*;

    fn verdict(name: &str, file: &str, misses: &[&str]) -> Verdict {
        let place = Place::start_of(&Arc::from(file));
        let failure = Failure {
            step: 1,
            place: place.clone(),
            misses: misses.iter().map(|miss| (*miss).to_owned()).collect(),
            stages: vec![("route", "pass"), ("meter", "rate_limited")],
            refused: None,
            answer: vec!["429 Too Many Requests".to_owned()],
        };
        let failures = if misses.is_empty() { Vec::new() } else { vec![failure] };
        Verdict { name: name.to_owned(), place, took: Duration::from_micros(1500), failures }
    }

    #[test]
    fn what_xml_cannot_hold_is_escaped_or_replaced() {
        let verdicts = [verdict("a <b> & \"c\" \u{1b}[2J", "x.yaml", &["status: expected 200, came <429>"])];
        let told = junit(&verdicts);
        assert!(told.contains("a &lt;b&gt; &amp; &quot;c&quot; \u{fffd}[2J"), "{told}");
        assert!(told.contains("came &lt;429&gt;\" type"), "{told}");
        assert!(!told.contains('\u{1b}'));
        assert!(told.contains("<testsuite name=\"x.yaml\" tests=\"1\" failures=\"1\" errors=\"0\" time=\"0.001500\">"));
    }

    #[test]
    fn the_name_of_a_case_cannot_steer_the_terminal() {
        let told = text(&[verdict("a\u{1b}[2J\n9 passed\u{202e}", "x\u{9b}1m.yaml", &["m\u{1b}]0;t\u{7}"])], None);
        assert!(
            told.starts_with("FAILED  a\u{fffd}[2J\u{fffd}9 passed\u{fffd}\n  --> x\u{fffd}1m.yaml:1\n"),
            "{told:?}"
        );
        assert!(told.chars().all(|character| character == '\n' || visible(character) == character), "{told:?}");
    }

    #[test]
    fn each_file_is_a_suite_and_failures_are_counted() {
        let verdicts = [verdict("a", "x.yaml", &[]), verdict("b", "x.yaml", &["m"]), verdict("c", "y.yaml", &[])];
        let told = junit(&verdicts);
        assert_eq!(told.matches("<testsuite ").count(), 2);
        assert!(told.contains("<testsuites tests=\"3\" failures=\"1\""), "{told}");
        assert_eq!(told.matches("<failure ").count(), 1);
        assert!(told.contains("<testcase name=\"b\" classname=\"x.yaml\" file=\"x.yaml\" line=\"1\""), "{told}");
        let rule =
            |name: &str, hit: bool| (Rule { kind: "limit", name: name.to_owned(), origin: "x.yaml:3".to_owned() }, hit);
        let people = text(&verdicts, Some(&[rule("p", true), rule("q", false)]));
        assert!(people.contains("FAILED  b\n  --> x.yaml:1\n"), "{people}");
        assert!(
            people.contains("    stages: route pass, meter rate_limited\n    answer: 429 Too Many Requests\n"),
            "{people}"
        );
        assert!(people.contains("never hit: 1 of 2 rules\n  limit  q  x.yaml:3\n"), "{people}");
        assert!(people.ends_with("2 passed, 1 failed, 1 of 2 rules hit, 4 ms\n"), "{people}");
    }

    #[test]
    fn a_part_of_the_cases_claims_nothing_of_rules() {
        let verdicts = [verdict("a", "x.yaml", &[])];
        let people = text(&verdicts, None);
        assert_eq!(people, "1 passed, 0 failed, 1 ms\nwhich rules are hit is told without --filter\n");
        assert_eq!(json(&verdicts, None).get("rules"), Some(&Value::Null));
        assert_eq!(json(&verdicts, Some(&[])).get("rules"), Some(&object!({"all": 0, "neverHit": []})));
    }

    #[test]
    fn who_reads_a_failure_is_led_to_the_rule_that_refused() {
        let mut failed = verdict("a", "x.yaml", &["status: expected 200, came 403"]);
        let told = |verdict: &Verdict| text(std::slice::from_ref(verdict), None);
        assert!(!told(&failed).contains("refused by"), "{}", told(&failed));
        let rule = RuleName { kind: RuleKind::Allow, name: Arc::from("allow"), origin: None };
        let by = |rule, why, at: &str| RefusedBy::at("permit", rule, why, at);
        let refuse = |verdict: &mut Verdict, by: RefusedBy| {
            if let Some(failure) = verdict.failures.first_mut() {
                failure.refused = Some(by);
            }
        };
        refuse(&mut failed, by(None, None, ""));
        assert!(!told(&failed).contains("refused by"), "{}", told(&failed));
        refuse(&mut failed, by(None, None, "x.yaml:3"));
        assert!(told(&failed).contains("    refused by: x.yaml:3, by which `permit` went\n"), "{}", told(&failed));
        refuse(&mut failed, by(Some(rule), Some(Arc::from("`body.note` is not there")), "x.yaml:7"));
        let line = "    refused by: allow `allow` (x.yaml:7): not judged, for `body.note` is not there\n";
        assert!(told(&failed).contains(line), "{}", told(&failed));
        let told = json(&[failed], None);
        let refused =
            |name: &str| told.pointer(&format!("/cases/0/failures/0/refusedBy/{name}")).and_then(Value::as_str);
        assert_eq!((refused("kind"), refused("at")), (Some("allow"), Some("x.yaml:7")));
    }
}
