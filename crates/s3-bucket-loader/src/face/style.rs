//! Colour or none.

use std::io::IsTerminal as _;

use console::Style;

/// Whether text is coloured. No meaning rests on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextStyle {
    /// Letters alone.
    Plain,
    /// With ANSI colours.
    Color,
}

impl TextStyle {
    /// Chooses for stdout: colour on a terminal that has it, unless `NO_COLOR` is set.
    pub fn detect() -> Self {
        Self::choose(std::io::stdout().is_terminal())
    }

    /// Chooses for stderr in the same way.
    pub fn detect_stderr() -> Self {
        Self::choose(std::io::stderr().is_terminal())
    }

    fn choose(is_terminal: bool) -> Self {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        if is_terminal && !is_dumb && !is_set("NO_COLOR") { Self::Color } else { Self::Plain }
    }

    /// The headline, and what is in work.
    pub fn strong(self, text: &str) -> String {
        self.apply(text, Style::new().bold())
    }

    /// All is well.
    pub fn good(self, text: &str) -> String {
        self.apply(text, Style::new().bold().green())
    }

    /// Somebody should look.
    pub fn warning(self, text: &str) -> String {
        self.apply(text, Style::new().bold().yellow())
    }

    /// Something is wrong.
    pub fn bad(self, text: &str) -> String {
        self.apply(text, Style::new().bold().red())
    }

    /// What can be overlooked.
    pub fn faint(self, text: &str) -> String {
        self.apply(text, Style::new().dim())
    }

    fn apply(self, text: &str, style: Style) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Color => style.force_styling(true).apply_to(text).to_string(),
        }
    }
}
