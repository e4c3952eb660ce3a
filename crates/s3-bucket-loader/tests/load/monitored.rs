//! `load SRC DIR --destination-monitor yas3fs`: through the real one, and with a log that a test writes.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use s3bl_testkit::{Kind, Tree, Yas3fs};
use tempfile::TempDir;

use crate::readers::skip;
use crate::restore::is_root;
use crate::stage::{Ended, Stage, sum};

const CALM: u64 = 0;

/// What yas3fs says every 5 s.
fn status(queued: u64) -> String {
    format!(
        "CacheStatus 2026-11-23T06:00:00+00:00 INFO entries, mem_size, disk_size, download_queue, prefetch_queue, \
         s3_queue: 1, 0, 0, 0, 0, {queued}\n\
         CacheStatus 2026-11-23T06:00:00+00:00 INFO multipart_uploads_in_progress = 0\n"
    )
}

/// A directory, and a log that says what yas3fs would say.
struct Scene {
    stage: Stage,
    tree: Tree,
    place: TempDir,
}

impl Scene {
    fn new() -> Self {
        let tree = (0..5)
            .fold(Tree::new(), |tree, number| tree.file(format!("file-{number}"), b"content"));
        let scene = Self {
            stage: Stage::new(Kind::Moto, "monitored"),
            tree,
            place: TempDir::new().unwrap(),
        };
        fs::create_dir(scene.target()).unwrap();
        File::create(scene.log()).unwrap();
        scene
    }

    fn target(&self) -> PathBuf {
        self.place.path().join("target")
    }

    fn log(&self) -> PathBuf {
        self.place.path().join("yas3fs.log")
    }

    fn say(&self, words: &str) {
        let mut log = File::options().append(true).open(self.log()).unwrap();
        log.write_all(words.as_bytes()).unwrap();
    }

    fn files(&self) -> usize {
        fs::read_dir(self.target()).unwrap().count()
    }

    fn load(&self, more: &[&str]) -> Ended {
        let mut command = self.stage.program();
        command.arg("load").arg(self.tree.root()).arg(self.target());
        command.args(["--destination-monitor", "yas3fs", "--monitor-log"]).arg(self.log());
        Ended::from(command.args(more).output().unwrap())
    }

    /// A load, and beside it this again and again.
    fn load_beside(&self, work: impl FnMut() + Send) -> Ended {
        beside(work, || self.load(&[]))
    }
}

/// Does one thing while another thread does the other again and again, a moment apart.
fn beside<T>(mut work: impl FnMut() + Send, main: impl FnOnce() -> T) -> T {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                work();
                // As yas3fs waits between two reports; nothing depends on how long.
                thread::park_timeout(Duration::from_millis(50));
            }
        });
        let done = main();
        is_over.store(true, Ordering::Relaxed);
        done
    })
}

#[test]
fn nothing_is_written_while_the_queue_is_long() {
    let scene = Scene::new();
    scene.say(&status(10));
    let mut reports = 0;

    let ended = scene.load_beside(|| {
        reports += 1;
        if reports < 40 {
            assert_eq!(scene.files(), 0, "written in spite of the queue");
            scene.say(&status(10));
        } else {
            scene.say(&status(CALM));
        }
    });

    ended.expect(0);
    assert!(reports > 40, "it did not wait for the queue: {reports}");
    assert_eq!(scene.files(), 5);
}

#[test]
fn a_batch_is_written_when_nothing_is_queued_any_more() {
    let scene = Scene::new();
    scene.say(&status(CALM));
    let mut after_all = 0;

    let ended = scene.load_beside(|| {
        // Below the limit: all is written, and the last upload takes its time.
        let is_there = scene.files() == 5;
        after_all += u64::from(is_there);
        let is_waiting = after_all < 20;
        if is_there && is_waiting {
            assert!(!scene.stage.run_folder().join("report.json").exists(), "it did not wait");
        }
        scene.say(&status(u64::from(is_waiting)));
    });

    ended.expect(0);
    assert!(after_all >= 22, "it did not wait for three calm reports: {after_all}");
    assert_eq!(sum(&scene.stage.report(), "validate", &["validated"]), 6);
}

#[test]
fn an_upload_that_failed_behind_the_directory_ends_the_run_and_an_older_one_does_not() {
    let scene = Scene::new();
    let failed = |key: &str| {
        format!(
            "Thread-9 2026-11-23T06:00:00+00:00 ERROR do_cmd_on_s3_now_w_retries FAILED \
             'set_contents_from_file' key '<Key: b,{key}>'\n"
        )
    };
    scene.say(&failed("older"));
    scene.say(&status(CALM));
    let mut is_said = false;

    let ended = scene.load_beside(|| {
        if !is_said && scene.files() > 0 {
            scene.say(&failed("file-3"));
            is_said = true;
        }
        scene.say(&status(1));
    });

    assert!(ended.stderr.contains("<Key: b,file-3>"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("older"), "{}", ended.stderr);
    ended.expect(1);
    let run = scene.stage.run_folder();
    let mut resume = scene.stage.program();
    resume.arg("resume").arg(run.file_name().unwrap());

    beside(|| scene.say(&status(CALM)), || Ended::from(resume.output().unwrap())).expect(0);

    assert_eq!(sum(&scene.stage.report(), "validate", &["validated"]), 6);
}

#[test]
fn a_log_that_stands_still_ends_the_run() {
    let scene = Scene::new();
    scene.say(&status(CALM));

    let ended = scene.load(&["--monitor-silence", "300ms"]);

    assert!(ended.stderr.contains("its log has stood still"), "{}", ended.stderr);
    ended.expect(1);
}

#[test]
fn a_log_that_is_not_there_and_flags_without_sense_are_told_before_anything_is_written() {
    let scene = Scene::new();
    let run = |to: &Path, flags: &[&str]| {
        let mut command = scene.stage.program();
        command.arg("load").arg(scene.tree.root()).arg(to).args(flags);
        Ended::from(command.output().unwrap())
    };
    let (monitor, target) = ("--destination-monitor=yas3fs", scene.target());
    let log = scene.log();
    let log = log.to_str().unwrap();

    run(&target, &[monitor]).expect(2);
    run(&target, &["--monitor-log", log]).expect(2);
    let bucket = scene.stage.destination();
    let ended = run(Path::new(&bucket), &[monitor, "--monitor-log", log]);
    assert!(ended.stderr.contains("for directories"), "{}", ended.stderr);
    ended.expect(2);
    let ended = run(&target, &[monitor, "--monitor-log", "/nowhere/log"]);
    assert!(ended.stderr.contains("start yas3fs with --log"), "{}", ended.stderr);
    ended.expect(1);
    assert_eq!(scene.files(), 0);
}

/// yas3fs translated to Python 3 shows a bucket, but loses what is written through it; so only its log is its own here.
#[test]
fn the_log_of_the_real_one_is_understood() {
    if let Some(reason) = Yas3fs::unavailable() {
        skip(&reason);
        return;
    }
    if !is_root() {
        return;
    }
    let scene = Scene::new();
    let mount = Yas3fs::mount(&scene.stage.server, &scene.stage.bucket).unwrap();
    fs::remove_file(scene.log()).unwrap();
    std::os::unix::fs::symlink(mount.log(), scene.log()).unwrap();

    scene.load(&[]).expect(0);

    assert_eq!(scene.files(), 5);
    let reports = fs::read_to_string(mount.log()).unwrap().matches("s3_queue: ").count();
    assert!(reports >= 4, "it did not wait for three reports: {reports}");
}
