//! Compares a directory tree with a bucket, byte for byte, through a client that is not ours.
//!
//! The tree is walked here with `std::fs`, the bucket is downloaded by boto3 (`python/dump_bucket.py`), and keys are
//! exact bytes on both sides. A comparison says everything that differs, not only the first.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD, Engine};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::server::Server;
use crate::tool::{self, Tool, ToolError};

/// One object as boto3 downloaded it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The length of the body.
    pub size_bytes: u64,
    /// The SHA-256 of the body.
    pub sha256: [u8; 32],
    /// The body, if it is not longer than 4 KiB.
    pub body: Option<Vec<u8>>,
    /// The entity tag without its quotes.
    pub etag: String,
    /// The media type, if the server tells one.
    pub content_type: Option<String>,
    /// The user's metadata, names in lower case without `x-amz-meta-`.
    pub metadata: BTreeMap<String, String>,
}

/// Objects by the bytes of their keys.
pub type Objects = BTreeMap<Vec<u8>, Object>;

/// How entries that are not plain files stand in the bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symlinks {
    /// As an object whose body is the link's target.
    Store,
    /// As what the link leads to, files and directories; a link to nothing has no object.
    Follow,
    /// Not at all.
    Skip,
}

/// What to expect of the bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expect {
    /// What stands before every path; ends in a slash unless it is empty.
    pub prefix: String,
    /// Whether each directory below the root has an empty object whose key ends in a slash.
    pub directory_markers: bool,
    /// How links are stored.
    pub symlinks: Symlinks,
}

impl Default for Expect {
    /// No prefix, a marker for each directory, links stored.
    fn default() -> Self {
        Self { prefix: String::new(), directory_markers: true, symlinks: Symlinks::Store }
    }
}

/// How a bucket differs from a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The tree has it and the bucket does not.
    Missing,
    /// The bucket has it and the tree does not.
    Unexpected,
    /// Both have it, with other bytes.
    Body {
        /// The length in the tree.
        expected_bytes: u64,
        /// The length in the bucket.
        found_bytes: u64,
    },
}

/// Why a comparison came to no result.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The bucket could not be read.
    #[error("the bucket `{bucket}` could not be read")]
    Bucket {
        /// Its name.
        bucket: String,
        /// What the client said.
        source: ToolError,
    },
    /// The client's lines were not understood.
    #[error("dump_bucket.py wrote the line `{line}`")]
    Line {
        /// The line.
        line: String,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The tree could not be read.
    #[error("`{path}` could not be read", path = path.display())]
    Tree {
        /// Where.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// Downloads every object whose key starts with `prefix`.
///
/// # Errors
///
/// The bucket cannot be listed or an object cannot be read.
pub fn objects(server: &Server, bucket: &str, prefix: &str) -> Result<Objects, CompareError> {
    let script = tool::project_root().join("crates/testkit/python/dump_bucket.py");
    let arguments = [script.as_os_str(), bucket.as_ref(), prefix.as_ref()];
    let output = Tool::Python
        .run(server, arguments)
        .map_err(|source| CompareError::Bucket { bucket: bucket.to_owned(), source })?;
    output.text().lines().map(parse_line).collect()
}

/// Compares the tree at `root` with the bucket. Empty: they are the same.
///
/// ```no_run
/// use s3bl_testkit::compare::{self, Expect};
/// use s3bl_testkit::{Kind, Server, Tree};
///
/// let (server, tree) = (Server::shared(Kind::Seaweed).unwrap(), Tree::sampler(1 << 20));
/// let differences = compare::tree_with_bucket(tree.root(), &server, "bucket", &Expect::default());
/// assert_eq!(differences.unwrap(), []);
/// ```
///
/// # Errors
///
/// Either side cannot be read.
pub fn tree_with_bucket(
    root: &Path,
    server: &Server,
    bucket: &str,
    expect: &Expect,
) -> Result<Vec<(String, Difference)>, CompareError> {
    let found = objects(server, bucket, &expect.prefix)?;
    Ok(differences(&expected_bodies(root, expect)?, &found))
}

/// What is expected of a body; bodies themselves may be larger than memory.
type Bodies = BTreeMap<Vec<u8>, (u64, [u8; 32])>;

fn differences(expected: &Bodies, found: &Objects) -> Vec<(String, Difference)> {
    let missing_or_other = expected.iter().filter_map(|(key, &(expected_bytes, sha256))| {
        let difference = match found.get(key) {
            None => Difference::Missing,
            Some(object) if object.size_bytes == expected_bytes && object.sha256 == sha256 => {
                return None;
            }
            Some(object) => Difference::Body { expected_bytes, found_bytes: object.size_bytes },
        };
        Some((key, difference))
    });
    let unexpected = found.keys().filter(|key| !expected.contains_key(*key));
    missing_or_other
        .chain(unexpected.map(|key| (key, Difference::Unexpected)))
        .map(|(key, difference)| (key.escape_ascii().to_string(), difference))
        .collect()
}

/// Walks the tree and returns the objects that it stands for.
fn expected_bodies(root: &Path, expect: &Expect) -> Result<Bodies, CompareError> {
    let mut bodies = Bodies::new();
    let mut pending = vec![(root.to_owned(), expect.prefix.clone().into_bytes())];
    while let Some((directory, prefix)) = pending.pop() {
        for entry in attempt(&directory, fs::read_dir(&directory))? {
            let entry = attempt(&directory, entry)?;
            let (path, mut key) = (entry.path(), prefix.clone());
            key.extend_from_slice(entry.file_name().as_bytes());
            match attempt(&path, kind_of(&path, expect.symlinks))? {
                Some(Stands::File) => {
                    let body = attempt(&path, File::open(&path).and_then(digest))?;
                    bodies.insert(key, body);
                }
                Some(Stands::Link) => {
                    let target = attempt(&path, fs::read_link(&path))?.into_os_string().into_vec();
                    bodies.insert(key, attempt(&path, digest(target.as_slice()))?);
                }
                Some(Stands::Directory) => {
                    key.push(b'/');
                    if expect.directory_markers {
                        bodies.insert(key.clone(), attempt(&path, digest(io::empty()))?);
                    }
                    pending.push((path, key));
                }
                None => {}
            }
        }
    }
    Ok(bodies)
}

/// What an entry of the tree stands for in the bucket.
enum Stands {
    File,
    Link,
    Directory,
}

/// `None`: nothing, as for pipes, sockets and links that are not wanted or lead to nothing.
fn kind_of(path: &Path, symlinks: Symlinks) -> io::Result<Option<Stands>> {
    let mut metadata = fs::symlink_metadata(path)?;
    if metadata.is_symlink() {
        match symlinks {
            Symlinks::Skip => return Ok(None),
            Symlinks::Store => return Ok(Some(Stands::Link)),
            Symlinks::Follow => match fs::metadata(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                followed => metadata = followed?,
            },
        }
    }
    let stands = if metadata.is_dir() {
        Some(Stands::Directory)
    } else {
        metadata.is_file().then_some(Stands::File)
    };
    Ok(stands)
}

fn digest(mut reader: impl Read) -> io::Result<(u64, [u8; 32])> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    let mut size_bytes = 0;
    loop {
        let count = reader.read(&mut buffer)?;
        if count == 0 {
            return Ok((size_bytes, hasher.finalize().into()));
        }
        hasher.update(&buffer[..count]);
        size_bytes += count as u64;
    }
}

fn attempt<T>(path: &Path, result: io::Result<T>) -> Result<T, CompareError> {
    result.map_err(|source| CompareError::Tree { path: path.to_owned(), source })
}

/// A line of `dump_bucket.py`, as its documentation says.
#[derive(Deserialize)]
struct Line {
    key: String,
    size: u64,
    etag: String,
    content_type: Option<String>,
    metadata: BTreeMap<String, String>,
    sha256: String,
    body: Option<String>,
}

fn parse_line(text: &str) -> Result<(Vec<u8>, Object), CompareError> {
    understand_line(text).map_err(|source| CompareError::Line { line: text.to_owned(), source })
}

fn understand_line(
    text: &str,
) -> Result<(Vec<u8>, Object), Box<dyn std::error::Error + Send + Sync>> {
    let line: Line = serde_json::from_str(text)?;
    let mut sha256 = [0; 32];
    for (index, byte) in sha256.iter_mut().enumerate() {
        let digits = line.sha256.get(2 * index..2 * index + 2).ok_or("its sha256 is too short")?;
        *byte = u8::from_str_radix(digits, 16)?;
    }
    let object = Object {
        size_bytes: line.size,
        sha256,
        body: line.body.map(|body| BASE64_STANDARD.decode(body)).transpose()?,
        etag: line.etag,
        content_type: line.content_type,
        metadata: line.metadata,
    };
    Ok((BASE64_STANDARD.decode(line.key)?, object))
}
