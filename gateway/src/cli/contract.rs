//! `qaqpa contract check`: does every OpenAPI document load, by itself?

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use adapters::files::open_regular;
use openapi::{DOCUMENT_BYTES_MAX, Fault, Report, Source};
use policies::language::{Place, Problem, Severity};
use serde_json::{Value, json};

use super::process::{CONFIGURATION, FINE};
use super::terminal::{colour, complain_if, say};
use crate::findings::Findings;

/// A file or folder that cannot be read.
const UNREADABLE: &str = "G0001";
/// A fault of a contract.
const FAULTY: &str = "C0001";
/// What somebody should look at.
const REMARKABLE: &str = "C0002";

/// What is done with contracts.
#[derive(Debug, clap::Subcommand)]
pub enum ContractCommand {
    /// Check OpenAPI documents, each by itself; tell every fault with file, line and column.
    ///
    /// Documents may refer to other files: of a folder, to all in it; of a file, to those in its folder. Nothing is fetched.
    Check(ContractCheckArguments),
}

/// Which documents are checked.
#[derive(Debug, clap::Args)]
pub struct ContractCheckArguments {
    /// Files, and folders whose .yaml, .yml and .json files are all taken.
    #[arg(required = true, value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    /// Print one JSON line for each document.
    #[arg(long)]
    json: bool,
}

/// Runs what was typed.
pub(super) fn run(command: &ContractCommand) -> u8 {
    match command {
        ContractCommand::Check(arguments) => check(arguments),
    }
}

fn check(arguments: &ContractCheckArguments) -> u8 {
    let colour = colour() && !arguments.json;
    let mut files = Files::default();
    for path in &arguments.paths {
        files.take(path);
    }
    let Files { sources, asked, mut unreadable, named, .. } = files;
    // Files that only another one refers to are judged where they are used.
    let reports: Vec<Report> = match openapi::check(&sources) {
        Ok(reports) => reports.into_iter().filter(|report| asked.contains(&report.name)).collect(),
        Err(faults) => vec![Report { name: String::new(), operations: 0, faults, warnings: Vec::new() }],
    };
    let told_of = |name: &String| reports.iter().any(|report| report.name == *name || report.name.is_empty());
    for name in named.iter().filter(|name| !told_of(name) && sources.iter().any(|source| source.name == **name)) {
        let message = "it is no document: another file refers to it, or only shows it";
        unreadable.add(Findings::of_file(FAULTY, Path::new(name), message, None));
    }
    let fine = unreadable.is_empty() && reports.iter().all(|report| report.faults.is_empty());
    if arguments.json {
        complain_if(&unreadable.render(false));
        say(&reports.iter().map(|report| format!("{}\n", line(report))).collect::<String>());
    } else {
        let mut findings = unreadable;
        findings.add(told(&reports, &sources));
        complain_if(&findings.render(colour));
        let sound = reports.iter().filter(|report| report.faults.is_empty());
        let (count, operations) = (sound.clone().count(), sound.map(|report| report.operations).sum::<usize>());
        let word = if fine { "ok" } else { "not ok" };
        say(&format!("{word}: {count} of {} documents load, with {operations} operations\n", reports.len()));
    }
    if fine { FINE } else { CONFIGURATION }
}

/// One document for a program.
fn line(report: &Report) -> Value {
    let one = |fault: &Fault| {
        let Fault { file, line, column, message, help } = fault;
        json!({"file": file, "line": line, "column": column, "message": message, "help": help})
    };
    let all = |faults: &[Fault]| faults.iter().map(one).collect::<Vec<_>>();
    json!({
        "path": report.name, "operations": report.operations,
        "faults": all(&report.faults), "warnings": all(&report.warnings),
    })
}

/// All documents for people; what several documents find in a file they share is told once.
fn told(reports: &[Report], sources: &[Source]) -> Findings {
    let mut seen = BTreeSet::new();
    let mut problems = Vec::new();
    for (faults, severity, code) in reports.iter().flat_map(|report| {
        [(&report.warnings, Severity::Warning, REMARKABLE), (&report.faults, Severity::Error, FAULTY)]
    }) {
        for fault in faults.iter() {
            let mut problem = problem(fault, severity, code);
            if seen.insert((fault.file.clone(), fault.line, fault.column, fault.message.clone())) {
                problem.help.clone_from(&fault.help);
                problems.push(problem);
            }
        }
    }
    let mentioned: BTreeSet<&str> = problems.iter().map(|problem| &*problem.place.file).collect();
    let shown = sources.iter().filter(|source| mentioned.contains(source.name.as_str()));
    let sources = shown.map(|source| policies::language::Source::new(source.name.as_str(), source.text.as_str()));
    let sources = sources.collect();
    Findings::new(problems, sources)
}

fn problem(fault: &Fault, severity: Severity, code: &'static str) -> Problem {
    let place = Place { file: Arc::from(fault.file.as_str()), line: fault.line, column: fault.column, length: 1 };
    let mut problem = Problem::error(code, &place, fault.message.clone());
    problem.severity = severity;
    problem
}

/// The files that are checked, and those they refer to.
#[derive(Debug, Default)]
struct Files {
    sources: Vec<Source>,
    /// The names of those that were named, or lie in a folder that was.
    asked: BTreeSet<String>,
    /// The names of files that were named themselves: each is a document, or a fault.
    named: BTreeSet<String>,
    /// Where each name is among the sources.
    known: BTreeMap<PathBuf, usize>,
    unreadable: Findings,
}

impl Files {
    fn take(&mut self, path: &Path) {
        if path.is_dir() {
            self.folder(path, true);
        } else {
            self.named.insert(path.display().to_string());
            self.file_with_parts(path);
        }
    }

    /// Takes every document below a folder, in the order of their names; what begins with a dot is no document.
    fn folder(&mut self, folder: &Path, first: bool) {
        let entries: std::io::Result<Vec<_>> = std::fs::read_dir(folder).and_then(Iterator::collect);
        let mut paths: Vec<PathBuf> = match entries {
            Ok(entries) => entries.into_iter().map(|entry| entry.path()).collect(),
            Err(error) => return self.complain(folder, &format!("it cannot be read: {error}")),
        };
        paths.sort();
        let before = self.sources.len();
        for path in paths {
            let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            // A link could lead out of the folder, and round in circles.
            let linked_folder = path.is_symlink() && path.is_dir();
            if hidden || linked_folder {
                continue;
            }
            if path.is_dir() {
                self.folder(&path, false);
            } else if path.extension().is_some_and(|end| end == "yaml" || end == "yml" || end == "json") {
                self.file(&path, true);
            }
        }
        if first && self.sources.len() == before {
            self.complain(folder, "it holds no .yaml, .yml or .json file");
        }
    }

    /// Takes a file, and those of its own folder that it refers to.
    fn file_with_parts(&mut self, path: &Path) {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let root = folder.canonicalize();
        let mut waiting = VecDeque::from([(path.to_owned(), true)]);
        while let Some((path, asked)) = waiting.pop_front() {
            let Some(source) = self.file(&path, asked) else { continue };
            for name in openapi::files_named(&source) {
                let part = PathBuf::from(name);
                // What is not there, or not below, the document is told of as of any reference that leads nowhere.
                let inside = part
                    .canonicalize()
                    .is_ok_and(|part| part.is_file() && root.as_ref().is_ok_and(|root| part.starts_with(root)));
                if inside && !self.known.contains_key(&part) {
                    waiting.push_back((part, false));
                }
            }
        }
    }

    /// Reads one file; none if it was there already, or cannot be read.
    fn file(&mut self, path: &Path, asked: bool) -> Option<Source> {
        let name = path.display().to_string();
        if asked {
            self.asked.insert(name.clone());
        }
        if self.known.contains_key(path) {
            return None;
        }
        self.known.insert(path.to_owned(), self.sources.len());
        // Opening a pipe waits for somebody who writes into it.
        if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            self.complain(path, "it is no regular file");
            return None;
        }
        let mut bytes = Vec::new();
        // One byte more than a document may have: enough for the reader to say that it is too large.
        let read =
            open_regular(path).and_then(|(file, _)| file.take(DOCUMENT_BYTES_MAX as u64 + 1).read_to_end(&mut bytes));
        if let Err(error) = read {
            self.complain(path, &format!("it cannot be read: {error}"));
            return None;
        }
        match text(bytes) {
            Ok(text) => {
                let source = Source { name, text };
                self.sources.push(source.clone());
                Some(source)
            }
            Err((line, column)) => {
                let fault =
                    Fault { file: name, line, column, message: "it is not text in UTF-8".to_owned(), help: None };
                self.unreadable.add(Findings::new(vec![problem(&fault, Severity::Error, UNREADABLE)], Vec::new()));
                None
            }
        }
    }

    fn complain(&mut self, path: &Path, message: &str) {
        self.unreadable.add(Findings::of_file(UNREADABLE, path, message, None));
    }
}

/// The text of a file, or the line and column of the first byte that is none.
fn text(bytes: Vec<u8>) -> Result<String, (usize, usize)> {
    let cut = bytes.len() > DOCUMENT_BYTES_MAX;
    String::from_utf8(bytes).or_else(|error| {
        let sound = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes().get(..sound).unwrap_or_default()).into_owned();
        if cut && error.utf8_error().error_len().is_none() {
            // The cut went through a character: what is too long is told as such.
            return Ok(text + "....");
        }
        let last = text.rsplit('\n').next().unwrap_or_default().chars().count();
        Err((text.matches('\n').count() + 1, last + 1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that goes away with the test.
    struct Folder(PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn folder(files: &[(&str, &[u8])]) -> Folder {
        let root = std::env::temp_dir().join(format!("qaqpa-contract-{}", adapters::entropy::uuid_v4()));
        for (name, text) in files {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a folder in a folder");
            std::fs::write(path, text).expect("a file in a folder");
        }
        Folder(root)
    }

    fn exit(paths: &[PathBuf]) -> u8 {
        check(&ContractCheckArguments { paths: paths.to_vec(), json: true })
    }

    const SOUND: &[u8] = b"openapi: 3.0.3\ninfo: {title: T, version: '1'}\nsecurity: []\npaths: {}\n";

    #[test]
    fn what_cannot_be_read_is_no_document() {
        assert_eq!(exit(&[PathBuf::from("nowhere.yaml")]), CONFIGURATION);
        let empty = folder(&[("a.txt", b"")]);
        assert_eq!(exit(std::slice::from_ref(&empty.0)), CONFIGURATION);
        let strange = folder(&[("a.yaml", b"openapi: \xff\n")]);
        assert_eq!(exit(&[strange.0.join("a.yaml")]), CONFIGURATION);
        assert_eq!(text(b"a\nb\xffc".to_vec()), Err((2, 2)));
    }

    #[test]
    fn what_is_no_regular_file_is_not_opened() {
        assert_eq!(exit(&[PathBuf::from("/dev/null")]), CONFIGURATION);
    }

    #[test]
    fn a_file_that_was_named_is_a_document_or_a_fault() {
        let shown: &[u8] = b"<a/>";
        let files = folder(&[("a.xml", shown)]);
        assert_eq!(exit(&[files.0.join("a.xml")]), CONFIGURATION);
    }

    #[test]
    fn one_document_that_does_not_load_is_enough() {
        let files = folder(&[("a.yaml", SOUND), ("b.yaml", b"openapi: 3.0.3\n")]);
        assert_eq!(exit(&[files.0.join("a.yaml")]), FINE);
        assert_eq!(exit(&[files.0.join("b.yaml")]), CONFIGURATION);
        assert_eq!(exit(std::slice::from_ref(&files.0)), CONFIGURATION);
    }

    #[test]
    fn parts_are_found_in_the_documents_own_folder_only() {
        let text = |path: &str| {
            format!(
                "openapi: 3.0.3\ninfo: {{title: T, version: '1'}}\nsecurity: []\npaths:\n  /a: {{$ref: '{path}#/a'}}\n"
            )
        };
        let part: &[u8] = b"a: {get: {responses: {'200': {description: d}}}}\n";
        let (inside, outside) = (text("parts/p.yaml"), text("../parts/p.yaml"));
        let files =
            folder(&[("a.yaml", inside.as_bytes()), ("deep/b.yaml", outside.as_bytes()), ("parts/p.yaml", part)]);
        assert_eq!(exit(&[files.0.join("a.yaml")]), FINE);
        assert_eq!(exit(&[files.0.join("deep/b.yaml")]), CONFIGURATION);
        assert_eq!(exit(std::slice::from_ref(&files.0)), FINE);
    }
}
