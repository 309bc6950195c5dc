//! The page for people, opened in a headless Chromium: on a phone and on a desk, light and dark, with and without JavaScript.

mod browser;
mod using;
mod visit;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use self::browser::Browser;
pub use self::browser::PROGRAMS;
use self::visit::{Visit, Visitor};
use crate::command::{on_path, run, workspace};
use crate::made_host::{self, MadeHost};
use crate::target_dir;

/// Prove the page for people in a headless Chromium
#[derive(clap::Args)]
pub struct Args {
    /// Put its pictures into docs/, a third as large where this machine has pngquant
    #[arg(long)]
    keep: bool,
}

/// Every way to look at it. Heights are those of a telephone and of a laptop.
const VISITS: [Visit; 8] = {
    let phone = Visit {
        name: "phone",
        width: 390,
        height: 844,
        dark: false,
        script: true,
    };
    let desk = Visit {
        name: "desk",
        width: 1280,
        height: 800,
        ..phone
    };
    [
        desk,
        Visit { dark: true, ..desk },
        phone,
        Visit {
            dark: true,
            ..phone
        },
        Visit {
            script: false,
            ..desk
        },
        Visit {
            script: false,
            dark: true,
            ..desk
        },
        Visit {
            script: false,
            ..phone
        },
        Visit {
            script: false,
            dark: true,
            ..phone
        },
    ]
};

pub fn main(args: &Args) -> Result<()> {
    println!("{}", prove(args.keep)?);
    Ok(())
}

/// Looks at it in every way. Faults are an error, all of them in one.
pub fn prove(keep: bool) -> Result<String> {
    let pictures = if keep {
        workspace().join("docs")
    } else {
        target_dir()?.join("page")
    };
    fs::create_dir_all(&pictures)
        .with_context(|| format!("cannot create {}", pictures.display()))?;
    made_host::build()?;
    let mut browser = Browser::start(&target_dir()?.join("page-profile"))?;
    let mut faults = Vec::new();
    let mut looked = 0;
    for ill in [false, true] {
        let words: &[&str] = if ill { &["--ill"] } else { &[] };
        let host = MadeHost::start(words)?;
        let mut visitor = Visitor {
            browser: &mut browser,
            address: host.address.clone(),
            ill,
            faults: &mut faults,
        };
        for visit in VISITS {
            // Of one that is ill, the half is enough.
            if ill && (visit.dark != (visit.width < 500) || !visit.script) {
                continue;
            }
            let picture = visitor.look(&visit)?;
            looked += 1;
            if visit.script {
                let picture = save(&pictures, &visit, ill, &picture)?;
                if keep && on_path("pngquant").is_some() {
                    shrink(&picture)?;
                }
            }
        }
        if !ill {
            visitor.stays_up_to_date()?;
            visitor.by_keyboard()?;
            visitor.without_script()?;
            visitor.obeys_its_policy()?;
            drop(host);
            visitor.says_that_nobody_answers()?;
        }
    }
    ensure!(
        faults.is_empty(),
        "{} faults of the page:\n{}",
        faults.len(),
        faults.join("\n")
    );
    Ok(format!(
        "looked at in {looked} ways, pictures in {}",
        pictures.display()
    ))
}

fn save(dir: &Path, visit: &Visit, ill: bool, picture: &[u8]) -> Result<PathBuf> {
    let light = if visit.dark { "dark" } else { "light" };
    let state = if ill { "-ill" } else { "" };
    let path = dir.join(format!("page-{}-{light}{state}.png", visit.name));
    fs::write(&path, picture).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// To a palette: what is committed stays with the project for good.
fn shrink(picture: &Path) -> Result<()> {
    let mut command = Command::new("pngquant");
    command.args([
        "--force",
        "--strip",
        "--speed",
        "1",
        "--quality",
        "70-95",
        "--output",
    ]);
    run(command.arg(picture).arg(picture))
}
