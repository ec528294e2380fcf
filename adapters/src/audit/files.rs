//! The files of the trail: `audit-000001.jsonl` and on, each begun when the one before is full.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::broken::Broken;
use super::line::{LINE_BYTES_MAX, Link};

/// From this size on a new file is begun, in bytes: small enough to be copied away and read by common tools.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// How much of the end of a file is read for its last lines, in bytes: in all, and per line that is asked for.
const TAIL_BYTES_MAX: u64 = 8 * 1024 * 1024;
const TAIL_LINE_BYTES: u64 = 4 * 1024;

/// The file that lines are appended to, and where the chain has got to.
#[derive(Debug)]
pub(super) struct Log {
    dir: PathBuf,
    number: u64,
    file: File,
    /// Up to here the file holds whole lines.
    bytes: u64,
    /// Half a line stands behind that, and has to be cut off first.
    torn: bool,
    file_bytes_max: u64,
    pub(super) link: Link,
    /// Held for as long as this process writes: two writers would fork the chain.
    _lock: File,
}

impl Log {
    /// Opens the trail, cuts off a torn last line, and finds where the chain has got to.
    pub(super) fn open(dir: &Path) -> Result<Self, io::Error> {
        Self::open_with(dir, FILE_BYTES_MAX)
    }

    pub(super) fn open_with(dir: &Path, file_bytes_max: u64) -> Result<Self, io::Error> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(dir.join("lock"))?;
        lock.try_lock().map_err(|_| io::Error::other("another process writes to this trail"))?;
        let mut files = files(dir)?;
        let (number, path) = files.pop().unwrap_or((1, dir.join(name(1))));
        let mut file = append_to(&path)?;
        let bytes = cut_torn_line(&mut file)?;
        let last = match last_line(&mut file, bytes)? {
            Some(line) => Some(line),
            // A file that was begun and never written: the chain goes on from the one before.
            None => match files.pop() {
                Some((_, before)) => {
                    let mut before = File::open(before)?;
                    let bytes = before.metadata()?.len();
                    last_line(&mut before, bytes)?
                }
                None => None,
            },
        };
        let broken = |cause| io::Error::other(format!("the last line of the trail is broken: {cause}"));
        let link = last.map_or(Ok(Link::first()), |line| Link::of(&line)).map_err(broken)?;
        sync_dir(dir)?;
        Ok(Self { dir: dir.to_owned(), number, file, bytes, torn: false, file_bytes_max, link, _lock: lock })
    }

    /// Appends whole lines, all or none, and makes them durable if asked; `link` is where the chain is then.
    pub(super) fn append(&mut self, lines: &[u8], link: Link, durable: bool) -> Result<(), io::Error> {
        if self.bytes >= self.file_bytes_max {
            self.begin_next()?;
        }
        if self.torn {
            self.file.set_len(self.bytes)?;
            self.torn = false;
        }
        if let Err(error) = self.file.write_all(lines) {
            // Half a line would break the chain for good; if it cannot be cut off now, it is before the next one.
            self.torn = self.file.set_len(self.bytes).is_err();
            return Err(error);
        }
        self.bytes += lines.len() as u64;
        self.link = link;
        if durable { self.file.sync_data() } else { Ok(()) }
    }

    /// Makes what was appended durable.
    pub(super) fn sync(&self) -> Result<(), io::Error> {
        self.file.sync_data()
    }

    fn begin_next(&mut self) -> Result<(), io::Error> {
        self.file.sync_data()?;
        let number = self.number + 1;
        self.file = append_to(&self.dir.join(name(number)))?;
        sync_dir(&self.dir)?;
        (self.number, self.bytes) = (number, 0);
        Ok(())
    }
}

/// Reads up to `lines_max` of the last lines, oldest first.
pub(super) fn tail(dir: &Path, lines_max: usize) -> Result<Vec<Vec<u8>>, io::Error> {
    let read_max = TAIL_BYTES_MAX.min((lines_max as u64).saturating_mul(TAIL_LINE_BYTES));
    let mut found: Vec<Vec<u8>> = Vec::new();
    for (_, path) in files(dir)?.into_iter().rev() {
        if found.len() >= lines_max {
            break;
        }
        let mut file = File::open(path)?;
        let bytes = file.metadata()?.len();
        let start = bytes.saturating_sub(read_max);
        let mut text = read_at(&mut file, start, bytes)?;
        // What is being written just now may not be whole yet, and the first line may begin before `start`.
        text.truncate(text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
        let mut lines: Vec<_> = text.split(|byte| *byte == b'\n').skip(usize::from(start > 0)).collect();
        lines.pop();
        let skipped = lines.len().saturating_sub(lines_max - found.len());
        found.splice(0..0, lines.into_iter().skip(skipped).map(<[u8]>::to_vec));
        if start > 0 {
            break;
        }
    }
    Ok(found)
}

/// Checks every line of every file and returns how many there are.
pub(super) fn verify(dir: &Path) -> Result<u64, Broken> {
    let unreadable = |file: &Path, error: io::Error| Broken { file: shown(file), line: 0, cause: error.to_string() };
    let mut link = Link::first();
    for (expected, (number, path)) in (1..).zip(files(dir).map_err(|error| unreadable(dir, error))?) {
        let broken = |line: u64, cause: &str| Broken { file: shown(&path), line, cause: cause.to_owned() };
        if number != expected {
            return Err(broken(0, "a file before it is missing"));
        }
        let mut reader = BufReader::new(File::open(&path).map_err(|error| unreadable(&path, error))?);
        for number in 1.. {
            let mut line = Vec::new();
            let mut bounded = (&mut reader).take(LINE_BYTES_MAX as u64);
            bounded.read_until(b'\n', &mut line).map_err(|error| unreadable(&path, error))?;
            if line.is_empty() {
                break;
            }
            if line.pop() != Some(b'\n') {
                return Err(broken(number, "it is not whole"));
            }
            link = link.follow(&line).map_err(|cause| broken(number, cause))?;
        }
    }
    Ok(link.next - 1)
}

fn shown(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn name(number: u64) -> String {
    format!("audit-{number:06}.jsonl")
}

/// Lists the files of the trail in order.
fn files(dir: &Path) -> Result<Vec<(u64, PathBuf)>, io::Error> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let number = path.file_name().and_then(|name| name.to_str()).and_then(|name| {
            name.strip_prefix("audit-")
                .and_then(|rest| rest.strip_suffix(".jsonl"))
                .and_then(|digits| digits.parse().ok())
        });
        found.extend(number.map(|number: u64| (number, path)));
    }
    found.sort();
    Ok(found)
}

fn append_to(path: &Path) -> Result<File, io::Error> {
    OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(path)
}

// A new file is only there after a power cut if its directory is on the disk as well.
fn sync_dir(dir: &Path) -> Result<(), io::Error> {
    File::open(dir)?.sync_all()
}

fn cut_torn_line(file: &mut File) -> Result<u64, io::Error> {
    let bytes = file.metadata()?.len();
    let start = bytes.saturating_sub(LINE_BYTES_MAX as u64);
    let end = read_at(file, start, bytes)?;
    let whole = match end.iter().rposition(|byte| *byte == b'\n') {
        Some(line_end) => start + line_end as u64 + 1,
        None if start == 0 => 0,
        None => return Err(io::Error::other("the last line of the trail is longer than any that is written")),
    };
    if whole < bytes {
        file.set_len(whole)?;
        file.sync_all()?;
    }
    Ok(whole)
}

fn last_line(file: &mut File, bytes: u64) -> Result<Option<Vec<u8>>, io::Error> {
    let end = read_at(file, bytes.saturating_sub(LINE_BYTES_MAX as u64), bytes)?;
    let mut lines = end.rsplit(|byte| *byte == b'\n');
    // The text after the last line end is empty.
    lines.next();
    Ok(lines.next().map(<[u8]>::to_vec))
}

fn read_at(file: &mut File, start: u64, end: u64) -> Result<Vec<u8>, io::Error> {
    file.seek(SeekFrom::Start(start))?;
    let mut found = Vec::new();
    file.take(end.saturating_sub(start)).read_to_end(&mut found)?;
    Ok(found)
}
