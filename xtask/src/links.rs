//! Whether what the documents point at is there: relative links, anchors, and files that they name.

use std::collections::{BTreeMap, HashSet};
use std::path::{Component, Path, PathBuf};

use anyhow::{Result, bail};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::command::workspace;
use crate::documents;

/// What the name of one of our files begins with, where a document has it as code: `docs/kernels.md`.
const FOLDERS: [&str; 6] = ["agent/", "common/", "ebpf/", "xtask/", "docs/", "deploy/"];

/// Refuses documents that point at nothing. Addresses of other hosts are not asked for.
pub fn check() -> Result<()> {
    let texts = documents::read()?.into_iter();
    let texts = texts.filter(|(name, _)| documents::is_page(name));
    let pages: Pages = texts.map(|(name, text)| (name, Page::of(&text))).collect();
    let there = |file: &Path| workspace().join(file).exists();
    let told = pages.iter().filter_map(|(name, page)| {
        let dead = page.dead(name, &pages, there).join(", ");
        (!dead.is_empty()).then(|| format!("{} points at {dead}", name.display()))
    });
    let told: Vec<_> = told.collect();
    if !told.is_empty() {
        bail!("{}: not there", told.join("; "));
    }
    Ok(())
}

/// Documents by name, from the top of the repository.
type Pages = BTreeMap<PathBuf, Page>;

/// What a document offers to links, and what it points at.
#[derive(Default)]
struct Page {
    anchors: HashSet<String>,
    links: Vec<String>,
    /// Names of our files that are set as code.
    names: Vec<String>,
}

impl Page {
    fn of(text: &str) -> Self {
        let mut page = Self::default();
        let mut heading: Option<String> = None;
        for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    page.anchor(&heading.take().unwrap_or_default());
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push(dest_url.into_string());
                }
                Event::Code(code) if heading.is_none() && ours(&code) => {
                    page.names.push(code.into_string());
                }
                Event::Text(part) | Event::Code(part) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&part);
                    }
                }
                _ => {}
            }
        }
        page
    }

    /// Takes the anchor that GitHub gives a heading: small letters, no punctuation, `-` for a space; a number if it is taken.
    fn anchor(&mut self, heading: &str) {
        let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        let small = heading.to_lowercase();
        let name: String = small.chars().filter(kept).collect();
        let name = name.replace(' ', "-");
        let taken = (1..).map(|n| format!("{name}-{n}"));
        let free = std::iter::once(name.clone()).chain(taken);
        let free = free.into_iter().find(|one| !self.anchors.contains(one));
        self.anchors.extend(free);
    }

    /// What this document, called `name`, points at in vain.
    fn dead(&self, name: &Path, pages: &Pages, there: impl Fn(&Path) -> bool) -> Vec<String> {
        let folder = name.parent().unwrap_or(Path::new(""));
        let dead_link = |link: &&String| {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let file = match path {
                "" => name.to_owned(),
                path => plain(&folder.join(path)),
            };
            let page = pages.get(&file);
            let found = page.is_some() || there(&file);
            let has = anchor.is_empty() || page.is_some_and(|page| page.anchors.contains(anchor));
            !(link.contains("://") || found && has)
        };
        let dead_name = |name: &&String| {
            // A pattern is no name: `common/src/WORD.rs`, `docs/*.md`.
            let pattern = name.contains("WORD") || name.contains(['*', '<', ' ', '$']);
            !pattern && !each(name).all(|name| there(Path::new(&name)))
        };
        let links = self.links.iter().filter(dead_link);
        links
            .chain(self.names.iter().filter(dead_name))
            .cloned()
            .collect()
    }
}

fn ours(name: &str) -> bool {
    FOLDERS.iter().any(|folder| name.starts_with(folder))
}

/// Without `..`, which names of pages do not have.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

/// `a/{b,c}.rs` is `a/b.rs` and `a/c.rs`.
fn each(name: &str) -> impl Iterator<Item = String> {
    let (before, rest) = name.split_once('{').unwrap_or((name, "}"));
    let (among, after) = rest.split_once('}').unwrap_or((rest, ""));
    among
        .split(',')
        .map(move |one| format!("{before}{one}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What of `text`, which is docs/one.md beside docs/two.md, points at nothing.
    fn dead(text: &str) -> Vec<String> {
        let two = Page::of("# Two\n\n## What `it` may do, or not\n\n## Two\n");
        let pages = Pages::from([("docs/two.md".into(), two)]);
        let there = |file: &Path| {
            file == "agent/src/run.rs" || file == "deploy" || file == "agent/src/run/live.rs"
        };
        Page::of(text).dead(Path::new("docs/one.md"), &pages, there)
    }

    #[test]
    fn what_is_there_is_let_pass() {
        let text = "# One\n[a](two.md) [b](two.md#what-it-may-do-or-not) [c](two.md#two-1) [d](../deploy) ![e](../agent/src/run.rs)
            [f](https://example.org/x.md#y) `agent/src/run.rs` `agent/src/{run,run/live}.rs` `agent/src/WORD.rs` `two.md`";
        assert_eq!(dead(text), [""; 0]);
    }

    #[test]
    fn what_is_not_there_is_found() {
        let text = "[a](three.md) [b](two.md#three) [c](two.md#two-2) ![d](../picture.png) `agent/src/gone.rs`
            `agent/src/{run,gone}.rs` [e](#here)\n\n| a |\n|---|\n| [f](four.md) |\n\n```\n[not a link](five.md)\n```\n";
        let expected = [
            "three.md",
            "two.md#three",
            "two.md#two-2",
            "../picture.png",
            "#here",
            "four.md",
            "agent/src/gone.rs",
            "agent/src/{run,gone}.rs",
        ];
        assert_eq!(dead(text), expected);
    }

    #[test]
    fn a_page_points_into_itself() {
        let page = Page::of("# One\n\n## Here\n\n[a](#here) [b](#there)\n");
        let name = PathBuf::from("docs/one.md");
        let pages = Pages::from([(name.clone(), Page::of("# One\n\n## Here\n"))]);
        assert_eq!(page.dead(&name, &pages, |_| false), ["#there"]);
    }
}
