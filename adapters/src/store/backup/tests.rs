//! What a backup holds, and what is refused.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::*;
use crate::store::conformance::verifications::verification;
use crate::store::conformance::{Folder, NOW, answered, earlier, event, reply, taken, wish};
use crate::store::port::{Claims, Finish, Verifications};
use crate::store::sqlite::SqliteStore;

/// A state folder as a gateway leaves it, with one answer in it.
struct House {
    folder: Folder,
    store: Option<SqliteStore>,
}

impl House {
    async fn new() -> Self {
        let folder = Folder::new();
        let state = folder.0.join("state");
        for (name, text) in [("keys/data-key", "key"), ("notes/a.txt", "notes"), ("lock", ""), ("sandbox.json", "{}")] {
            fs::create_dir_all(state.join(name).parent().unwrap()).unwrap();
            fs::write(state.join(name), text).unwrap();
        }
        let store = SqliteStore::open(&state.join(DATABASE)).unwrap();
        let ticket = taken(&store, wish("k", 1, "ref-1"), NOW).await;
        store.finish(&ticket, answered(201), NOW).await.unwrap();
        store.insert(verification("v-1", "s-1")).await.unwrap();
        Self { folder, store: Some(store) }
    }

    fn store(&self) -> &SqliteStore {
        self.store.as_ref().unwrap()
    }

    fn place(&self, name: &str) -> PathBuf {
        self.folder.0.join(name)
    }

    fn back_up(&self) -> Result<Summary, Outage> {
        create(&self.place("state"), &self.place("backup"), Database::Here, NOW, &mut |_| ())
    }

    fn restore(&self) -> Result<Summary, Outage> {
        restore(&self.place("backup"), &self.place("again"), &mut |_| ())
    }

    /// Expects a refusal with this text, and nothing put back.
    #[track_caller]
    fn refuses(&self, text: &str) {
        let refusal = self.restore().unwrap_err();
        assert!(refusal.cause.contains(text), "{refusal}");
        let again = self.place("again");
        assert!(!again.exists() || fs::read_dir(&again).unwrap().next().is_none(), "{refusal}");
    }
}

fn files(folder: &Path) -> Vec<String> {
    walk(folder).unwrap().iter().map(|file| name(file).unwrap()).collect()
}

#[tokio::test]
async fn what_is_put_back_goes_on_where_it_was() {
    let house = House::new().await;
    let made = house.back_up().unwrap();
    // What is told the gateway afterwards is not in it.
    let late = taken(house.store(), wish("late", 1, "ref-2"), NOW).await;
    house.store().finish(&late, answered(201), NOW).await.unwrap();
    assert_eq!(house.restore().unwrap(), made);
    assert_eq!(files(&house.place("again")), ["keys/data-key", "notes/a.txt", "qaqpa.sqlite"]);
    for file in walk(&house.place("again")).unwrap() {
        let mode = fs::metadata(house.place("again").join(&file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
    }
    let again = SqliteStore::open(&house.place("again").join(DATABASE)).unwrap();
    earlier(&again, wish("k", 1, "ref-3"), NOW).await;
    assert!(again.get(&verification("v-1", "s-1").id).await.unwrap().is_some());
    taken(&again, wish("late", 1, "ref-4"), NOW).await;
}

#[tokio::test]
async fn a_backup_under_load_is_one_moment() {
    let house = House::new().await;
    let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let store = SqliteStore::open(&house.place("busy.sqlite")).unwrap();
    fs::create_dir(house.place("busy")).unwrap();
    let writer = {
        let (stop, written) = (Arc::clone(&stop), Arc::clone(&written));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            runtime.block_on(async {
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let name = format!("k{number}");
                    let ticket = taken(&store, wish(&name, 1, &name), NOW).await;
                    let told = Finish::Unknown(reply(202), event("fintech", &name));
                    store.finish(&ticket, told, NOW).await.unwrap();
                    written.store(number + 1, Ordering::Release);
                }
            });
        })
    };
    let mut counts = Vec::new();
    for round in 0..3 {
        let before = written.load(Ordering::Acquire);
        let copied = house.place("busy").join(format!("{round}.sqlite"));
        snapshot(&house.place("busy.sqlite"), &copied, &mut |_| ()).unwrap();
        let connection = Connection::open(&copied).unwrap();
        let count = |query: &str| connection.query_row(query, [], |row| row.get::<_, u32>(0)).unwrap();
        let (events, told) =
            (count("SELECT count(*) FROM events"), count("SELECT count(*) FROM claims WHERE outcome = 'unknown'"));
        // An answer and its event are there together or not at all, and nothing is missing that was there before.
        assert_eq!(events, told);
        assert!(events >= before, "{events} of {before}");
        counts.push(events);
    }
    stop.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    assert!(counts.is_sorted());
}

#[tokio::test]
async fn one_changed_bit_anywhere_is_refused() {
    let house = House::new().await;
    house.back_up().unwrap();
    for file in walk(&house.place("backup")).unwrap() {
        let path = house.place("backup").join(&file);
        let whole = fs::read(&path).unwrap();
        for place in [0, whole.len() / 2, whole.len() - 1] {
            let mut changed = whole.clone();
            *changed.get_mut(place).unwrap() ^= 1;
            fs::write(&path, changed).unwrap();
            house.refuses("");
        }
        fs::write(&path, whole.get(..whole.len() - 1).unwrap()).unwrap();
        house.refuses("");
        fs::write(&path, whole).unwrap();
    }
    let path = house.place("backup").join("keys/data-key");
    fs::write(&path, "kex").unwrap();
    house.refuses("was changed");
    fs::write(&path, "key").unwrap();
    house.restore().unwrap();
}

#[tokio::test]
async fn a_file_too_many_or_too_few_is_refused() {
    let house = House::new().await;
    house.back_up().unwrap();
    let backup = house.place("backup");
    fs::write(backup.join("keys/another"), "").unwrap();
    house.refuses("did not have this file");
    fs::remove_file(backup.join("keys/another")).unwrap();
    fs::rename(backup.join("keys/data-key"), house.place("data-key")).unwrap();
    house.refuses("missing");
    std::os::unix::fs::symlink(house.place("data-key"), backup.join("keys/data-key")).unwrap();
    house.refuses("not a plain file");
    fs::remove_file(backup.join("keys/data-key")).unwrap();
    fs::rename(house.place("data-key"), backup.join("keys/data-key")).unwrap();
    house.restore().unwrap();
}

#[tokio::test]
async fn a_backup_that_is_not_finished_or_of_a_later_format_is_refused() {
    let house = House::new().await;
    house.back_up().unwrap();
    let manifest = house.place("backup").join(MANIFEST);
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replacen("\"format\": 1", "\"format\": 2", 1)).unwrap();
    house.refuses("format 2");
    fs::write(&manifest, text.replacen("\"format\": 1,", "", 1)).unwrap();
    house.refuses("no format");
    fs::write(&manifest, "").unwrap();
    house.refuses("");
    fs::remove_file(&manifest).unwrap();
    house.refuses("no finished backup");
}

#[tokio::test]
async fn only_an_empty_folder_is_written_to() {
    let house = House::new().await;
    fs::create_dir(house.place("backup")).unwrap();
    fs::write(house.place("backup").join("mine"), "").unwrap();
    assert!(house.back_up().unwrap_err().cause.contains("not empty"));
    fs::remove_file(house.place("backup").join("mine")).unwrap();
    house.back_up().unwrap();
    assert!(house.back_up().unwrap_err().cause.contains("not empty"));
    fs::create_dir(house.place("again")).unwrap();
    fs::write(house.place("again").join("mine"), "").unwrap();
    assert!(house.restore().unwrap_err().cause.contains("not empty"));
    assert_eq!(files(&house.place("again")), ["mine"]);
    let within = house.place("state").join("backup");
    let refusal = create(&house.place("state"), &within, Database::Here, NOW, &mut |_| ()).unwrap_err();
    assert!(refusal.cause.contains("within the state folder"), "{refusal}");
}

#[tokio::test]
async fn what_cannot_be_copied_leaves_no_manifest() {
    let mut house = House::new().await;
    house.store = None;
    let database = house.place("state").join(DATABASE);
    fs::rename(&database, house.place("database")).unwrap();
    assert!(house.back_up().unwrap_err().cause.contains("no such database"));
    house.refuses("no finished backup");
    fs::remove_dir_all(house.place("backup")).unwrap();
    fs::write(&database, "this is no database, but it is long enough to look like a file of one").unwrap();
    assert!(house.back_up().is_err());
    house.refuses("no finished backup");
    fs::remove_dir_all(house.place("backup")).unwrap();
    fs::remove_file(&database).unwrap();
    std::os::unix::fs::symlink("/", house.place("state").join("notes/link")).unwrap();
    fs::rename(house.place("database"), &database).unwrap();
    assert!(house.back_up().unwrap_err().cause.contains("neither a file nor a folder"));
}

#[tokio::test]
async fn a_database_elsewhere_is_left_where_it_is() {
    let house = House::new().await;
    create(&house.place("state"), &house.place("backup"), Database::Elsewhere, NOW, &mut |_| ()).unwrap();
    assert_eq!(files(&house.place("backup")), ["keys/data-key", "manifest.json", "notes/a.txt"]);
    house.restore().unwrap();
}

#[tokio::test]
async fn folders_within_each_other_have_a_bound() {
    let house = House::new().await;
    let deep = |depth: usize| (1..depth).fold(house.place("state"), |path, _| path.join("d"));
    fs::create_dir_all(deep(DEPTH_MAX)).unwrap();
    house.back_up().unwrap();
    fs::remove_dir_all(house.place("backup")).unwrap();
    fs::create_dir_all(deep(DEPTH_MAX + 1)).unwrap();
    assert!(house.back_up().unwrap_err().cause.contains("too many folders"));
}

#[tokio::test]
async fn a_backup_with_the_name_of_a_restore_that_goes_on_is_refused() {
    for name in [PART.to_owned(), format!("{PART}/deep/file")] {
        let house = House::new().await;
        house.back_up().unwrap();
        let backup = house.place("backup");
        fs::create_dir_all(backup.join(&name).parent().unwrap()).unwrap();
        fs::write(backup.join(&name), "mine").unwrap();
        let mut forged = manifest(&backup).unwrap();
        forged.files.insert(name.clone(), seal(&backup.join(&name), &mut io::sink()).unwrap());
        fs::write(backup.join(MANIFEST), forged.sealed().text()).unwrap();
        house.refuses("no backup has a file of this name");
    }
}

#[tokio::test]
async fn what_was_moved_before_a_fault_is_removed() {
    let house = House::new().await;
    let (part, state) = (house.place("again").join(PART), house.place("again"));
    // Wherever the one stands that cannot be moved, some of the others come before it.
    for blocked in ["a", "b", "c", "d"] {
        for name in ["a", "b", "c", "d"] {
            fs::create_dir_all(part.join(name)).unwrap();
            fs::write(part.join(name).join("file"), "").unwrap();
        }
        fs::create_dir(state.join(blocked)).unwrap();
        fs::write(state.join(blocked).join("theirs"), "").unwrap();
        assert!(settle(&part, &state).is_err());
        fs::remove_dir_all(&part).unwrap();
        assert_eq!(files(&state), [format!("{blocked}/theirs")]);
        fs::remove_dir_all(state.join(blocked)).unwrap();
        fs::create_dir_all(&part).unwrap();
    }
}

#[tokio::test]
async fn a_folder_in_which_a_restore_was_cut_off_is_told_from_a_whole_one() {
    let house = House::new().await;
    house.back_up().unwrap();
    house.restore().unwrap();
    whole(&house.place("again")).unwrap();
    whole(&house.place("never made")).unwrap();
    fs::create_dir(house.place("again").join(PART)).unwrap();
    let refusal = whole(&house.place("again")).unwrap_err();
    assert!(refusal.cause.contains("was cut off here"), "{refusal}");
    let refusal = create(&house.place("again"), &house.place("second"), Database::Here, NOW, &mut |_| ()).unwrap_err();
    assert!(refusal.cause.contains("was cut off here"), "{refusal}");
}
