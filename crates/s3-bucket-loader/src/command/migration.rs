//! `docs/MIGRATION.md`: from the program of 2014 to this one, made from the table of its properties.

use std::fmt::Write as _;

use clap::CommandFactory as _;

use super::docs::GENERATED;
use crate::args::Cli;
use crate::config::properties::{PROPERTIES, Reader, Since};

const INTRODUCTION: &str = "
The program of 2014 ([bitsofinfo/s3-bucket-loader](https://github.com/bitsofinfo/s3-bucket-loader)) took one properties file
for master and workers. This one takes the same file, by `--config s3BucketLoader.properties` of `load`, `master` and `worker`:

```sh
s3-bucket-loader config check s3BucketLoader.properties     # what is wrong with it, and what it comes to
s3-bucket-loader master --config s3BucketLoader.properties  # was: java -DisMaster=true  -DconfigFilePath=... -jar ...
s3-bucket-loader worker --config s3BucketLoader.properties  # was: java -DisMaster=false -DconfigFilePath=... -jar ...
s3-bucket-loader load --config s3BucketLoader.properties    # master and workers in one process
s3-bucket-loader config convert s3BucketLoader.properties --for master > master.toml
```

What is typed wins over the file. Java's rules hold: escapes, continued lines, Latin-1, and of a repeated property the last line.
Properties that the original did not know are errors here, with the nearest name and all of them at once. Class names may stand with
or without their package.

What is different:

- **Files go straight to the bucket** (`tocPayloadHandler.validate.s3.bucketName`) instead of by rsync through a mount, with owner, mode
  and times such that yas3fs and s3fs show them. To write through a mounted path as before, name it: `load --config FILE
  SRC /mnt/target`; so does a file whose `tocPayloadHandler.validate.mode` is `validateLocallyOnly`.
- **Every entry is validated** by what the store lists against what was recorded when it was written; the original compared sizes.
- **Keys** in the file work and are warned of; they reach no log, report, message or command line. A profile or a role is better.
- **The run can be resumed**, and its exit code says how it came out; the original always ended with 0.
- **A join key** keeps strangers off the channel: the master prints the line for its workers.
- Names that begin with a dot are left out, as they were; `--hidden include` takes them.

## Launch flags

| Flag of the JVM | Here |
|---|---|
| `-DisMaster=true` | `s3-bucket-loader master` |
| `-DisMaster=false` | `s3-bucket-loader worker` |
| `-DconfigFilePath=FILE` | `--config FILE` |
| `-Ds3BucketLoaderHome=DIR` | `--home DIR` |

## Properties

*Since*: at the seed commit, or later. *By*: M the master, W each worker, B both. A flag that is crossed out is one that this program
does not have yet: the property is told and does nothing, or is refused where a run without it would be another one.

| Property | Since | By | Flags | What it is here |
|---|---|---|---|---|
";

/// The page.
pub(super) fn page() -> String {
    let mut page =
        format!("# From the program of 2014\n\n{GENERATED}{}", INTRODUCTION.trim_end_matches(' '));
    let root = Cli::command();
    let is_known = |flag: &str| {
        root.get_subcommands()
            .flat_map(clap::Command::get_arguments)
            .any(|it| it.get_long() == Some(flag))
    };
    for property in PROPERTIES {
        let since = match property.since {
            Since::Seed => "seed",
            Since::Later => "later",
        };
        let by = match property.reader {
            Reader::Master => "M",
            Reader::Worker => "W",
            Reader::Both => "B",
        };
        let flags: Vec<String> = property
            .flags
            .iter()
            .map(
                |flag| {
                    if is_known(flag) { format!("`--{flag}`") } else { format!("~~`--{flag}`~~") }
                },
            )
            .collect();
        let (name, flags, becomes) = (property.name, flags.join(" "), property.becomes);
        let _ = writeln!(page, "| `{name}` | {since} | {by} | {flags} | {becomes} |");
    }
    page
}
