//! No circles among the files of a crate.
//!
//! File A imports file B when the live code of A names something that B declares, by `crate::`, `super::`, `self::` or
//! through a module below it, in a `use` or in place. A name that a module only passes on (`pub use child::Name`) counts
//! as the file that declares it, so that a front page may show what its rooms offer, and rooms may use each other through
//! it. Two things are no imports: a `mod` line, and a `pub use` by a parent of what lies below it.

use std::collections::{BTreeMap, BTreeSet};

use super::source::line_of;
use super::tokens::{Import, Path, paths, tokens};
use super::tree::{Module, Package, packages};

/// A way back that is longer than this is a circle of re-exports, which the compiler refuses anyway.
const PASSES_MAX: usize = 8;

/// What a file says of the others.
struct Room<'a> {
    file: &'a str,
    name: &'a [String],
    paths: Vec<Path>,
    live: &'a str,
}

/// From file to file, with the line that says so.
type Edges = BTreeMap<(usize, usize), usize>;

/// Tells the circles of a package.
pub(crate) fn circles(modules: &[Module]) -> Vec<String> {
    let rooms: Vec<Room<'_>> = modules
        .iter()
        .filter(|module| !module.test)
        .map(|module| Room {
            file: &module.file,
            name: &module.name,
            paths: paths(&tokens(&module.live)),
            live: &module.live,
        })
        .collect();
    let edges = edges(&rooms);
    let reach = reach(rooms.len(), &edges);
    let mut found = Vec::new();
    let mut told = BTreeSet::new();
    for start in 0..rooms.len() {
        if told.contains(&start) || !reach.contains(&(start, start)) {
            continue;
        }
        let circle: BTreeSet<usize> = (0..rooms.len())
            .filter(|other| reach.contains(&(start, *other)) && reach.contains(&(*other, start)))
            .collect();
        let inside = edges.iter().filter(|((from, to), _)| circle.contains(from) && circle.contains(to));
        let name = |room: usize| rooms.get(room).map_or("", |room| room.file);
        let lines: Vec<String> =
            inside.map(|((from, to), line)| format!("{}:{line} imports {}", name(*from), name(*to))).collect();
        found.push(lines.join("\n      "));
        told.extend(circle);
    }
    found
}

fn edges(rooms: &[Room<'_>]) -> Edges {
    let mut by_name: BTreeMap<&[String], usize> = BTreeMap::new();
    for (index, room) in rooms.iter().enumerate() {
        // `lib.rs` and `main.rs` both stand at the root; paths of modules mean the library.
        if !room.file.ends_with("/main.rs") || room.name.len() > 1 {
            by_name.insert(room.name, index);
        }
    }
    let mut found = Edges::new();
    for (from, room) in rooms.iter().enumerate() {
        for path in &room.paths {
            let Some(to) = target(rooms, &by_name, room.name, &path.segments, PASSES_MAX) else { continue };
            let below = rooms
                .get(to)
                .is_some_and(|target| target.name.len() > room.name.len() && target.name.starts_with(room.name));
            if to != from && !(below && path.import == Import::Shared) {
                found.entry((from, to)).or_insert_with(|| line_of(room.live, path.at));
            }
        }
    }
    found
}

/// Finds the file that declares what a path names.
fn target(
    rooms: &[Room<'_>],
    by_name: &BTreeMap<&[String], usize>,
    from: &[String],
    segments: &[String],
    passes: usize,
) -> Option<usize> {
    let full = absolute(by_name, from, segments)?;
    let known = (0..=full.len()).rev().find_map(|length| {
        let index = by_name.get(full.get(..length)?)?;
        Some((*index, full.get(length..)?.first().cloned()))
    });
    let (index, item) = known?;
    let Some(item) = item.filter(|_| passes > 0) else { return Some(index) };
    let room = rooms.get(index)?;
    let passed_on = room.paths.iter().find(|path| {
        let name = path.alias.as_ref().or(path.segments.last());
        path.import == Import::Shared && name == Some(&item)
    });
    let declared = passed_on.and_then(|path| target(rooms, by_name, room.name, &path.segments, passes - 1));
    declared.or(Some(index))
}

fn absolute(by_name: &BTreeMap<&[String], usize>, from: &[String], segments: &[String]) -> Option<Vec<String>> {
    let mut base = from.to_vec();
    let mut rest = segments;
    match rest.first().map(String::as_str) {
        Some("crate") => {
            base.clear();
            rest = rest.get(1..)?;
        }
        Some("self") => rest = rest.get(1..)?,
        Some("super") => {
            while rest.first().is_some_and(|segment| segment == "super") {
                base.pop();
                rest = rest.get(1..)?;
            }
        }
        Some(first) => {
            // Another crate, unless a module of this name lies below.
            base.push(first.to_owned());
            by_name.get(base.as_slice())?;
            rest = rest.get(1..)?;
        }
        None => return None,
    }
    base.extend_from_slice(rest);
    Some(base)
}

fn reach(count: usize, edges: &Edges) -> BTreeSet<(usize, usize)> {
    let mut found: BTreeSet<(usize, usize)> = edges.keys().copied().collect();
    for middle in 0..count {
        let into: Vec<usize> = (0..count).filter(|from| found.contains(&(*from, middle))).collect();
        let out: Vec<usize> = (0..count).filter(|to| found.contains(&(middle, *to))).collect();
        found.extend(into.iter().flat_map(|from| out.iter().map(move |to| (*from, *to))));
    }
    found
}

fn all(packages: &[Package]) -> Vec<String> {
    packages.iter().flat_map(|package| circles(&package.modules)).collect()
}

#[test]
fn no_files_import_each_other() {
    let rule = "No circles among the files of a crate: move what both need into a file of its own, below both.";
    super::hold(rule, &all(packages()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(name: &str, live: &str) -> Module {
        let name: Vec<String> = name.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
        let file = if name.is_empty() { "src/lib.rs".to_owned() } else { format!("src/{}.rs", name.join("/")) };
        Module { file, name, test: false, live: live.to_owned(), text: String::new() }
    }

    fn count(modules: &[(&str, &str)]) -> usize {
        let modules: Vec<Module> = modules.iter().map(|(name, live)| module(name, live)).collect();
        circles(&modules).len()
    }

    #[test]
    fn a_circle_is_found_however_it_is_written() {
        assert_eq!(count(&[("a", "use crate::b::B;"), ("b", "fn f() { super::a::g(); }")]), 1);
        assert_eq!(
            count(&[("a", "use super::b;"), ("b", "use super::c;"), ("c", "use crate::{a::X, d};"), ("d", "")]),
            1
        );
        assert_eq!(count(&[("", "mod a; use a::A;"), ("a", "use crate::helper;")]), 1);
    }

    #[test]
    fn a_circle_through_a_front_page_is_found() {
        let front = "mod x; mod y; pub use x::X; pub use y::Y;";
        assert_eq!(count(&[("f", front), ("f::x", "use super::Y;"), ("f::y", "use crate::f::X;")]), 1);
    }

    #[test]
    fn a_front_page_may_show_its_rooms() {
        let front = "mod x; mod y; pub use x::X; pub use y::Y;";
        assert_eq!(count(&[("f", front), ("f::x", ""), ("f::y", "use super::X;"), ("z", "use crate::f::{X, Y};")]), 0);
    }
}
