//! Loads the names, and looks by boto3 what became of each.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use s3bl_testkit::compare::{self, Objects};
use s3bl_testkit::{Kind, Tree};

use super::names::{ByFail, ByPercent, NAMES, Name};
use crate::stage::Stage;

const PREFIX: &str = "some/prefix/";

/// Names that a store does not keep as they are, although they are legal keys. With `--names percent` it keeps all.
fn is_mangled(kind: Kind, name: &[u8]) -> bool {
    match kind {
        // SeaweedFS 4 takes a backslash for a slash.
        Kind::Seaweed => name.contains(&b'\\'),
        // moto 5 routes by patterns that end at a line feed.
        Kind::Moto => name.contains(&b'\n'),
        Kind::Juicefs => false,
    }
}

/// A file for each name, with the name as its content, beside each other and in a directory of that name.
fn tree<'a>(names: impl Iterator<Item = &'a Name>) -> Tree {
    names.fold(Tree::new(), |tree, Name(name, ..)| {
        let inner = [b"in/", *name, b"/x"].concat();
        tree.file(name, name).file(inner, name)
    })
}

fn objects(stage: &Stage) -> Objects {
    compare::objects(&stage.server, &stage.bucket, PREFIX).unwrap()
}

/// The keys that a name stands for: file, directory, and file in that.
fn keys_of(name: &[u8]) -> [Vec<u8>; 3] {
    let prefix = PREFIX.as_bytes();
    [
        [prefix, name].concat(),
        [prefix, b"in/", name, b"/"].concat(),
        [prefix, b"in/", name, b"/x"].concat(),
    ]
}

/// Asserts that the bucket holds these names, the directory above them and the root, and nothing else.
#[track_caller]
fn assert_holds<'a>(stage: &Stage, names: impl Iterator<Item = (&'a [u8], Vec<u8>)>) {
    let found = objects(stage);
    let mut left: BTreeSet<Vec<u8>> = found.keys().cloned().collect();
    for directory in ["", "in/"] {
        let key = format!("{PREFIX}{directory}").into_bytes();
        assert!(left.remove(&key), "no marker `{directory}`");
    }
    for (name, as_key) in names {
        let [file, directory, inner] = keys_of(&as_key);
        for (key, body) in [(file, name), (directory, b""), (inner, name)] {
            let object = found.get(&key);
            let object = object.unwrap_or_else(|| panic!("no `{}`", key.escape_ascii()));
            assert_eq!(object.body.as_deref(), Some(body), "{}", key.escape_ascii());
            assert!(left.remove(&key), "`{}` stands for two names", key.escape_ascii());
        }
    }
    let left: Vec<String> = left.iter().map(|key| key.escape_ascii().to_string()).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// The paths that were refused, as bytes.
fn refused(stage: &Stage) -> BTreeSet<Vec<u8>> {
    let path = |failure: &serde_json::Value| {
        assert_eq!(failure["class"], "name-not-representable", "{failure}");
        match failure["path_b64"].as_str() {
            Some(text) => BASE64_STANDARD.decode(text).unwrap(),
            None => failure["path"].as_str().unwrap().as_bytes().to_vec(),
        }
    };
    stage.failures().iter().map(path).collect()
}

#[track_caller]
fn assert_by_fail(kind: Kind) {
    let stage = Stage::new(kind, "names");
    let names = || NAMES.iter().filter(|Name(name, ..)| !is_mangled(kind, name));
    let tree = tree(names());

    stage.on_tree("load", &tree, &["--validate", "reread"]).expect(3);

    let of = |wanted: ByFail| {
        names().filter(move |Name(_, fail, _)| *fail == wanted).map(|Name(name, ..)| *name)
    };
    assert_holds(&stage, of(ByFail::Kept).map(|name| (name, name.to_vec())));
    let paths =
        |name: &[u8]| [name.to_vec(), [b"in/", name].concat(), [b"in/", name, b"/x"].concat()];
    let expected: BTreeSet<Vec<u8>> = of(ByFail::Refused).flat_map(paths).collect();
    assert_eq!(refused(&stage), expected);
}

#[track_caller]
fn assert_by_percent(kind: Kind) {
    let stage = Stage::new(kind, "names");
    let tree = tree(NAMES.iter());
    let asked = ["--names", "percent", "--validate", "reread"];

    stage.on_tree("load", &tree, &asked).expect(0);

    let names = NAMES.iter().map(|Name(name, _, percent)| match percent {
        ByPercent::Same => (*name, name.to_vec()),
        ByPercent::As(key) => (*name, key.as_bytes().to_vec()),
    });
    assert_holds(&stage, names);
}

#[test]
fn the_catalogue_has_150_names_and_none_twice() {
    let names: BTreeSet<&[u8]> = NAMES.iter().map(|Name(name, ..)| *name).collect();
    assert_eq!(names.len(), NAMES.len());
    assert!(names.len() >= 150, "{} names", names.len());
}

#[test]
fn each_name_has_its_outcome_in_seaweedfs() {
    assert_by_fail(Kind::Seaweed);
}

#[test]
fn each_name_has_its_outcome_in_moto() {
    assert_by_fail(Kind::Moto);
}

#[test]
fn each_name_has_its_percent_key_in_seaweedfs() {
    assert_by_percent(Kind::Seaweed);
}

#[test]
fn each_name_has_its_percent_key_in_moto() {
    assert_by_percent(Kind::Moto);
}

/// Paths of so many bytes that their keys end just before, at and behind the limit of 1,024.
#[test]
fn a_key_of_1024_bytes_is_taken_and_a_longer_one_refused() {
    let stage = Stage::new(Kind::Moto, "names");
    let directory = ["d".repeat(255), "e".repeat(255), "f".repeat(255)].join("/");
    let name = |key_bytes: usize| {
        let name = "n".repeat(key_bytes - PREFIX.len() - directory.len() - 1);
        format!("{directory}/{name}")
    };
    let tree =
        [1023, 1024, 1025].map(name).iter().fold(Tree::new(), |tree, path| tree.file(path, b""));

    stage.on_tree("load", &tree, &["--validate", "reread"]).expect(3);

    assert_eq!(refused(&stage), [name(1025).into_bytes()].into());
    let keys: Vec<usize> = objects(&stage).keys().map(Vec::len).collect();
    assert!(keys.contains(&1023) && keys.contains(&1024), "{keys:?}");
    assert_eq!(keys.len(), 6);
}

/// A thousand directories one in the other: those whose key is too long are refused one by one.
#[test]
fn the_deepest_directories_are_refused_one_by_one() {
    let stage = Stage::new(Kind::Moto, "names");
    let tree = Tree::new().directory(["d"; 1000].join("/"));

    stage.on_tree("load", &tree, &[]).expect(3);

    // The marker of depth n has 12 bytes of prefix and 2n of its own.
    let fitting = (1024 - PREFIX.len()) / 2;
    assert_eq!(objects(&stage).len(), 1 + fitting);
    assert_eq!(refused(&stage).len(), 1000 - fitting);
}
