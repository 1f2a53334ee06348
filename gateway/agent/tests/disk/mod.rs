//! A disk that loses power: made from what `strace` saw a program write.
//!
//! - What a file held at its last fsync is there. Of everything after it any 512-byte sector may
//!   be there or not, whatever the order.
//! - A name (file made, renamed, deleted) is there when its folder was synced after it; of later
//!   names those of the beginning may be there.
//! - Written by `pwrite64` and `write` only: SQLite maps its `-shm` file, which a start makes anew.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails where it stands")]

use std::collections::BTreeMap;
use std::path::Path;

const SECTOR: usize = 512;
/// Opening an empty log: what `-e` of strace gets.
pub(crate) const CALLS: &str = "trace=openat,close,pwrite64,write,lseek,fsync,fdatasync,ftruncate,\
                                rename,renameat,renameat2,unlink,unlinkat";

/// Luck that comes again: SplitMix64.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % n.max(1)
    }
}

/// One thing that the program did.
#[derive(Debug)]
pub(crate) enum Step {
    Open { fd: i32, path: String, make: bool, empty: bool },
    Close { fd: i32 },
    Write { fd: i32, at: Option<usize>, bytes: Vec<u8> },
    Sync { fd: i32 },
    Truncate { fd: i32, to: usize },
    Rename { from: String, to: String },
    Unlink { path: String },
}

#[derive(Clone, Debug)]
enum Change {
    Sector { at: usize, bytes: Vec<u8> },
    Length(usize),
}

#[derive(Clone, Debug, Default)]
struct File {
    synced: Vec<u8>,
    now: Vec<u8>,
    since: Vec<Change>,
}

impl File {
    fn change(&mut self, change: Change) {
        apply(&mut self.now, &change);
        self.since.push(change);
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        let mut done = 0;
        while done < bytes.len() {
            let place = at + done;
            let room = SECTOR - place % SECTOR;
            let part = &bytes[done..(done + room).min(bytes.len())];
            self.change(Change::Sector { at: place, bytes: part.to_vec() });
            done += part.len();
        }
    }

    fn sync(&mut self) {
        self.synced.clone_from(&self.now);
        self.since.clear();
    }

    /// What is left: each sector by its own luck, `of_eight` in eight of them.
    fn after_the_cut(&self, chance: &mut Chance, of_eight: u64) -> Vec<u8> {
        let mut left = self.synced.clone();
        for change in &self.since {
            if chance.below(8) < of_eight {
                apply(&mut left, change);
            }
        }
        left
    }
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Sector { at, bytes: part } => {
            bytes.resize(bytes.len().max(at + part.len()), 0);
            bytes[*at..at + part.len()].copy_from_slice(part);
        }
        Change::Length(to) => bytes.resize(*to, 0),
    }
}

/// A name now points to this file, or to none.
type Naming = (String, Option<usize>);

/// The folder of the spool.
#[derive(Default)]
pub(crate) struct Disk {
    folder: String,
    files: Vec<File>,
    names: BTreeMap<String, usize>,
    durable: BTreeMap<String, usize>,
    since: Vec<Naming>,
    /// Descriptor to file, and where `write` goes on; none: the folder itself.
    open: BTreeMap<i32, (Option<usize>, usize)>,
}

impl Disk {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.display().to_string(), ..Self::default() }
    }

    fn own<'a>(&self, path: &'a str) -> Option<&'a str> {
        path.strip_prefix(self.folder.as_str())?.strip_prefix('/').filter(|n| !n.ends_with("-shm"))
    }

    fn name(&mut self, name: &str, file: Option<usize>) {
        match file {
            Some(file) => self.names.insert(name.to_owned(), file),
            None => self.names.remove(name),
        };
        self.since.push((name.to_owned(), file));
    }

    pub(crate) fn step(&mut self, step: &Step) {
        match step {
            Step::Open { fd, path, make, empty } => self.open(*fd, path, *make, *empty),
            Step::Close { fd } => {
                self.open.remove(fd);
            }
            Step::Write { fd, at, bytes } => {
                let Some((Some(file), cursor)) = self.open.get_mut(fd) else { return };
                let place = at.unwrap_or(*cursor);
                if at.is_none() {
                    *cursor += bytes.len();
                }
                self.files[*file].write(place, bytes);
            }
            Step::Sync { fd } => match self.open.get(fd) {
                Some((Some(file), _)) => self.files[*file].sync(),
                Some((None, _)) => {
                    self.durable.clone_from(&self.names);
                    self.since.clear();
                }
                None => {}
            },
            Step::Truncate { fd, to } => {
                if let Some((Some(file), _)) = self.open.get(fd) {
                    self.files[*file].change(Change::Length(*to));
                }
            }
            Step::Rename { from, to } => {
                if let (Some(from), Some(to)) = (self.own(from), self.own(to)) {
                    let (from, to) = (from.to_owned(), to.to_owned());
                    let file = self.names.get(&from).copied();
                    self.name(&to, file);
                    self.name(&from, None);
                }
            }
            Step::Unlink { path } => {
                if let Some(name) = self.own(path).map(str::to_owned) {
                    self.name(&name, None);
                }
            }
        }
    }

    fn open(&mut self, fd: i32, path: &str, make: bool, empty: bool) {
        if path == self.folder {
            self.open.insert(fd, (None, 0));
            return;
        }
        let Some(name) = self.own(path).map(str::to_owned) else { return };
        let file = match self.names.get(&name) {
            Some(file) => *file,
            None if make => {
                self.files.push(File::default());
                self.name(&name, Some(self.files.len() - 1));
                self.files.len() - 1
            }
            None => return,
        };
        if empty {
            self.files[file].change(Change::Length(0));
        }
        self.open.insert(fd, (Some(file), 0));
    }

    /// Lays down what is left of the folder when the power goes now.
    pub(crate) fn cut(&self, chance: &mut Chance, image: &Path) {
        let mut names = self.durable.clone();
        let kept = chance.below(self.since.len() as u64 + 1);
        for (name, file) in self.since.iter().take(usize::try_from(kept).unwrap()) {
            match file {
                Some(file) => names.insert(name.clone(), *file),
                None => names.remove(name),
            };
        }
        // Nothing, everything, or some of what was not synced.
        let of_eight = [0, 8, 4, 1 + chance.below(7)][usize::try_from(chance.below(4)).unwrap()];
        std::fs::create_dir_all(image).unwrap();
        for (name, file) in names {
            let left = self.files[file].after_the_cut(chance, of_eight);
            std::fs::write(image.join(name), left).unwrap();
        }
    }
}

/// Reads one line of `strace -f -xx`. None: nothing that concerns files, or a call that failed.
pub(crate) fn parse(line: &str) -> Option<Step> {
    let (call, rest) = line.split_once('(')?;
    let call = call.rsplit(' ').next()?;
    let (arguments, result) = rest.rsplit_once(" = ")?;
    let arguments = arguments.trim_end().strip_suffix(')')?;
    let result: i64 = result.split_whitespace().next()?.parse().ok()?;
    if result < 0 {
        return None;
    }
    let fd = || arguments.split(',').next()?.trim().parse::<i32>().ok();
    let text = |n: usize| {
        let quoted: Vec<Vec<u8>> = quoted(arguments);
        String::from_utf8(quoted.get(n)?.clone()).ok()
    };
    Some(match call {
        "openat" => Step::Open {
            fd: i32::try_from(result).ok()?,
            path: text(0)?,
            make: arguments.contains("O_CREAT"),
            empty: arguments.contains("O_TRUNC"),
        },
        "close" => Step::Close { fd: fd()? },
        "pwrite64" | "write" => {
            let mut bytes = quoted(arguments).into_iter().next()?;
            bytes.truncate(usize::try_from(result).ok()?);
            let at = arguments.rsplit(',').next()?.trim().parse().ok();
            Step::Write { fd: fd()?, at: at.filter(|_| call == "pwrite64"), bytes }
        }
        "fsync" | "fdatasync" => Step::Sync { fd: fd()? },
        "ftruncate" => {
            Step::Truncate { fd: fd()?, to: arguments.rsplit(',').next()?.trim().parse().ok()? }
        }
        "rename" | "renameat" | "renameat2" => Step::Rename { from: text(0)?, to: text(1)? },
        "unlink" | "unlinkat" => Step::Unlink { path: text(0)? },
        _other => return None,
    })
}

/// Each string of `"\x01\x02"`.
fn quoted(arguments: &str) -> Vec<Vec<u8>> {
    let inside = arguments.split('"').skip(1).step_by(2);
    inside
        .map(|text| {
            let byte = |hex: &str| u8::from_str_radix(hex, 16).unwrap();
            text.split("\\x").filter(|hex| !hex.is_empty()).map(byte).collect()
        })
        .collect()
}

/// Whole calls, in the order in which they ended: a call that another thread interrupted in the
/// log is put together again.
pub(crate) fn whole_lines(log: &str) -> Vec<String> {
    let mut begun: BTreeMap<String, String> = BTreeMap::new();
    let mut whole = Vec::new();
    for line in log.lines() {
        let Some((pid, rest)) = line.trim_start().split_once(' ') else { continue };
        let rest = rest.trim_start();
        if let Some(head) = rest.strip_suffix("<unfinished ...>") {
            begun.insert(pid.to_owned(), head.trim_end().to_owned());
        } else if let Some((_, tail)) = rest.split_once(" resumed>") {
            let head = begun.remove(pid).unwrap_or_default();
            whole.push(head + tail);
        } else {
            whole.push(rest.to_owned());
        }
    }
    whole
}
