//! The live block on a terminal, and a way to write above it.

use std::fs::File;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::block::{Canvas, block};
use super::meter::Sight;
use crate::face::style::TextStyle;

/// The block that stands on the terminal of this process, if there is one: a process has one terminal.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Writes to the terminal without tearing the live block: it makes room, and comes back below.
pub fn above<R>(write: impl FnOnce() -> R) -> R {
    let shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match shown {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// A file that gets whatever is said on stderr, too, if one was asked for.
static COPY: Mutex<Option<File>> = Mutex::new(None);

/// Copies what is said on stderr from now on; the live block is not said.
pub fn copy_to(file: File) {
    *COPY.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
}

fn copy(bytes: &[u8]) {
    if let Some(file) = COPY.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
        // Who reads stderr hears it all the same, and there is nowhere else to tell.
        let _ = file.write_all(bytes);
    }
}

/// Makes a writer to stderr that respects the live block, for logs.
pub fn stderr() -> Stderr {
    Stderr(())
}

/// A writer to stderr that respects the live block. Give it whole lines.
#[derive(Debug)]
pub struct Stderr(());

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = above(|| io::stderr().lock().write(bytes));
        copy(&bytes[..*written.as_ref().unwrap_or(&bytes.len())]);
        written
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        copy(bytes);
        above(|| io::stderr().lock().write_all(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}

/// A terminal with a block that is redrawn in place.
pub(super) struct Screen {
    bar: ProgressBar,
    width: Box<dyn Fn() -> u16 + Send>,
    style: TextStyle,
    is_unicode: bool,
    is_registered: bool,
}

impl Screen {
    /// Takes the terminal at stderr.
    pub(super) fn stderr() -> Self {
        let bar = painter(ProgressDrawTarget::stderr());
        *SHOWN.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.clone());
        Self {
            bar,
            width: Box::new(|| Term::stderr().size().1),
            style: TextStyle::detect_stderr(),
            is_unicode: is_locale_unicode(),
            is_registered: true,
        }
    }

    /// Takes any terminal.
    #[cfg(test)]
    pub(super) fn on<T: indicatif::TermLike + Clone + 'static>(term: T) -> Self {
        let target = ProgressDrawTarget::term_like(Box::new(term.clone()));
        Self {
            bar: painter(target),
            width: Box::new(move || term.width()),
            style: TextStyle::Plain,
            is_unicode: true,
            is_registered: false,
        }
    }

    /// Writes above the block.
    #[cfg(test)]
    pub(super) fn above<R>(&self, write: impl FnOnce() -> R) -> R {
        self.bar.suspend(write)
    }

    /// Shows a sight in place of the last one.
    pub(super) fn show(&self, sight: &Sight) {
        let width = usize::from((self.width)()).max(1);
        let canvas = Canvas { width, style: self.style, is_unicode: self.is_unicode };
        self.bar.set_message(block(sight, canvas).join("\n"));
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.is_registered {
            *SHOWN.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        self.bar.finish_and_clear();
    }
}

fn painter(target: ProgressDrawTarget) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg}").expect("the template has one known key");
    ProgressBar::with_draw_target(None, target).with_style(style)
}

/// Whether the locale says that the terminal shows UTF-8, by the variables' usual precedence.
fn is_locale_unicode() -> bool {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
    locale.is_some_and(|locale| {
        let locale = locale.to_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}
