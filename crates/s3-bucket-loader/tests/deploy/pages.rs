//! Command lines of the pages: each one in a block of shell is put before the parser.

use std::fs;

use crate::commands::{beneath, own_words, refusal, root};

/// The commands of a page, with the numbers of their lines. Lines that end in `\` go on.
fn commands(page: &str) -> Vec<(usize, String)> {
    let (mut found, mut is_shell, mut begun) = (Vec::new(), false, None::<(usize, String)>);
    for (number, line) in (1..).zip(page.lines()) {
        let line = line.trim();
        if line.starts_with("```") {
            is_shell = !is_shell && matches!(line, "```sh" | "```bash" | "```console");
            continue;
        }
        if !is_shell {
            continue;
        }
        let (first, text) = begun.take().unwrap_or_default();
        let first = if first == 0 { number } else { first };
        match line.strip_suffix('\\') {
            Some(part) => begun = Some((first, text + part)),
            None => found.push((first, text + line)),
        }
    }
    found
}

#[test]
fn every_command_of_the_pages_is_one_that_the_program_takes() {
    let mut pages = vec![root().join("README.md"), root().join("SECURITY.md")];
    pages.extend(beneath("docs", ".md"));
    pages.extend(beneath("deploy", ".md"));
    let (mut count, mut refused) = (0, Vec::new());
    for page in pages {
        for (number, line) in commands(&fs::read_to_string(&page).unwrap()) {
            let Some(words) = own_words(&line) else { continue };
            count += 1;
            if let Some(why) = refusal(&words) {
                refused.push(format!("{}:{number}: {line}\n{why}", page.display()));
            }
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    assert!(count > 20, "{count} commands were found");
}
