//! The files of a trail: `audit-000001.seg` and on, and `audit-000001.leaves` in the place of those that are over.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::frame::{HEADER_BYTES_MAX, Header, Shape};

/// One file of the trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) number: u64,
    pub(super) shape: Shape,
    pub(super) path: PathBuf,
}

impl Piece {
    /// Opens the file and reads its header; tells where what is behind it begins.
    pub(super) fn open(&self) -> Result<(File, Header, u64), io::Error> {
        let mut file = File::open(&self.path)?;
        let mut head = Vec::new();
        (&mut file).take(HEADER_BYTES_MAX as u64).read_to_end(&mut head)?;
        let (header, length) = Header::decode(&head, self.shape).map_err(|cause| broken(&self.path, cause))?;
        Ok((file, header, length as u64))
    }
}

/// Lists the files of the trail in order, one for each number: frames where both are there, as while a segment is let go.
pub(super) fn pieces(dir: &Path) -> Result<Vec<Piece>, io::Error> {
    let mut found: Vec<Piece> = Vec::new();
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let Some(rest) = name.strip_prefix("audit-") else { continue };
        let shape = [Shape::Frames, Shape::Leaves].into_iter().find_map(|shape| {
            let digits = rest.strip_suffix(shape.suffix())?.strip_suffix('.')?;
            let number = digits.parse().ok()?;
            // `audit-1.seg` and `audit-+1.seg` are no other names for `audit-000001.seg`.
            (path == piece_path(dir, number, shape)).then_some((shape, number))
        });
        found.extend(shape.map(|(shape, number)| Piece { number, shape, path }));
    }
    found.sort_by_key(|piece| (piece.number, piece.shape == Shape::Leaves));
    found.dedup_by_key(|piece| piece.number);
    Ok(found)
}

/// Lists the files that look like a piece of the trail under a name that none has.
pub(super) fn strays(dir: &Path) -> Result<Vec<PathBuf>, io::Error> {
    let known: Vec<PathBuf> = pieces(dir)?.into_iter().map(|piece| piece.path).collect();
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry?.path();
        let name = shown(&path);
        let Some(rest) = name.strip_prefix("audit-").filter(|_| !known.contains(&path)) else { continue };
        let shape = [Shape::Frames, Shape::Leaves]
            .into_iter()
            .find(|shape| rest.strip_suffix(shape.suffix()).is_some_and(|rest| rest.ends_with('.')));
        let Some(shape) = shape else { continue };
        let digits = rest.trim_end_matches(shape.suffix()).trim_end_matches('.');
        // Leaves beside their frames: the segment is being let go.
        if !digits.parse().is_ok_and(|number| path == piece_path(dir, number, shape)) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

pub(super) fn piece_path(dir: &Path, number: u64, shape: Shape) -> PathBuf {
    dir.join(format!("audit-{number:06}.{}", shape.suffix()))
}

/// Writes a file whole under another name, makes it durable, and gives it its name: a crash leaves none, or all of it.
pub(super) fn place(path: &Path, bytes: &[u8]) -> Result<(), io::Error> {
    use std::io::Write as _;
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let temporary = PathBuf::from(name);
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_dir(path.parent().unwrap_or(Path::new(".")))
}

// A new file is only there after a power cut if its directory is on the disk as well.
pub(super) fn sync_dir(dir: &Path) -> Result<(), io::Error> {
    File::open(dir)?.sync_all()
}

pub(super) fn append_to(path: &Path) -> Result<File, io::Error> {
    OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(path)
}

/// The name of a file without its folder.
pub(super) fn shown(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

pub(super) fn broken(path: &Path, cause: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{}: {cause}", shown(path)))
}
