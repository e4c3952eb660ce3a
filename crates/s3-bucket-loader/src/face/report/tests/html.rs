use std::collections::BTreeMap;

use s3bl_core::report::Report;
use s3bl_core::task::Class;

use super::super::page;
use super::{clean, counts, failed, failed_lines, line, place};

#[test]
fn the_page_says_what_the_summary_says() {
    let page = page(&failed(), &failed_lines(), &place());
    for part in [
        "<h1>FAILED</h1>",
        "34,982 of 35,000 entries written and validated",
        "toc 35,000 = written 34,982 + skipped 1 + failed 17",
        "s3-bucket-loader retry 20261122-161247-ab2c",
        "<td class=\"name\">2014/a.jpg</td>",
        "The first 7 of 20 such entries",
        "the source could not be opened, listed or read",
    ] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
}

#[test]
fn the_page_stands_alone() {
    let page = page(&failed(), &failed_lines(), &place());
    for foreign in
        ["<script", "<link", "<img", "src=", "href=", "url(", "@import", "http://", "https://"]
    {
        assert!(!page.contains(foreign), "{foreign} is in {page}");
    }
    assert!(page.contains("default-src 'none'"), "{page}");
    assert!(page.contains("prefers-color-scheme: dark"), "{page}");
}

#[test]
fn every_tag_is_closed() {
    for report in [clean(), failed(), super::interrupted(), super::mismatch()] {
        let page = page(&report, &failed_lines(), &place());
        let body = page.split_once("<body>").map_or("", |(_, body)| body);
        let mut open: BTreeMap<&str, i64> = BTreeMap::new();
        for tag in body.split('<').skip(1) {
            let name = tag.split(['>', ' ', '\n']).next().unwrap_or("");
            match name.strip_prefix('/') {
                Some(name) => *open.entry(name).or_default() -= 1,
                None => *open.entry(name).or_default() += 1,
            }
        }
        // `body` and `html` are opened in front of what is looked at.
        ["body", "html"].into_iter().for_each(|name| {
            open.remove(name);
        });
        assert!(open.values().all(|count| *count == 0), "{open:?}");
    }
}

#[test]
fn a_thousand_failures_are_listed_and_the_rest_counted() {
    let lines: Vec<_> =
        (0..1500).map(|number| line(&format!("f{number:04}"), Class::Refused, "403")).collect();
    let report = Report { failures: counts([("refused", 2_000_000)]), ..failed() };
    let page = page(&report, &lines, &place());
    assert!(page.contains("The first 1,000 of 2,000,000 such entries"), "{page}");
    assert!(page.contains("f0999") && !page.contains("f1000"), "{page}");
}

#[test]
fn a_clean_page_has_no_table_of_failures() {
    let page = page(&clean(), &[], &place());
    assert!(
        page.contains("<h1>CLEAN</h1>") && !page.contains("did not come out well, by class"),
        "{page}"
    );
}
