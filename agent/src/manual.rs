//! The verbs `man` and `completions`: what is generated from the table of the command line, which is also that of `--help`.

use std::{
    fs,
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use clap::{Command, CommandFactory as _};
use clap_complete::{Shell, generate};
use clap_mangen::{
    Man,
    roff::{Roff, roman},
};

use crate::cli::Cli;

/// Writes a page for daxscope and one for each verb into a directory, which is made if it is not there.
///
/// # Errors
/// When it cannot be written.
pub fn man(directory: &Path) -> Result<ExitCode> {
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    for (name, page) in pages()? {
        let file = directory.join(format!("{name}.1"));
        fs::write(&file, page).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes what a shell completes words by.
///
/// # Errors
/// When nothing can be written.
pub fn completions(shell: Shell) -> Result<ExitCode> {
    let mut text = vec![];
    generate(shell, &mut Cli::command(), "daxscope", &mut text);
    io::stdout().write_all(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Names and pages, in roff.
///
/// # Errors
/// None that is known of: pages are written into memory.
pub fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut all = Cli::command().disable_help_subcommand(true);
    all.build();
    let verbs = all.get_subcommands().filter(|verb| !verb.is_hide_set());
    let pages = verbs.map(|verb| {
        let name = format!("{}-{}", all.get_name(), verb.get_name());
        Ok((name, page(verb)?))
    });
    let first = page(&all).map(|page| (all.get_name().to_owned(), page));
    std::iter::once(first).chain(pages).collect()
}

fn page(command: &Command) -> io::Result<Vec<u8>> {
    let man = Man::new(command.clone())
        // An empty date would be left out, and what follows shown in its place.
        .date(" ")
        .source(format!("daxscope {}", crate::VERSION))
        .manual("User Commands");
    let mut page = vec![];
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    if let Some(help) = command.get_after_help() {
        page.write_all(sections(&help.to_string()).render().as_bytes())?;
    }
    page.write_all(elsewhere().render().as_bytes())?;
    Ok(page)
}

/// Where there is more: a host with the package has these pages and no others.
fn elsewhere() -> Roff {
    let docs = concat!(
        "daxscope(1), and the documents in ",
        env!("CARGO_PKG_REPOSITORY")
    );
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]).text([roman(docs)]);
    roff
}

/// What stands below the options in `--help`: examples as they are typed, and paragraphs.
fn sections(help: &str) -> Roff {
    let mut roff = Roff::new();
    let mut notes = false;
    for paragraph in help.split("\n\n") {
        if let Some(examples) = paragraph.strip_prefix("Examples:\n") {
            roff.control("SH", ["EXAMPLES"]).control("nf", []);
            for line in examples.lines() {
                roff.text([roman(line)]);
            }
            roff.control("fi", []);
        } else if let Some(status) = paragraph.strip_prefix("Exit status: ") {
            roff.control("SH", ["EXIT STATUS"]).text([roman(status)]);
        } else {
            let heading = if notes {
                ("PP", None)
            } else {
                ("SH", Some("NOTES"))
            };
            notes = true;
            roff.control(heading.0, heading.1).text([roman(paragraph)]);
        }
    }
    roff
}
