//! The page for people, opened in a headless Chromium: on a phone and on a desk, light and dark, with and without JavaScript.

mod browser;
mod using;
mod visit;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

use self::browser::Browser;
pub use self::browser::PROGRAMS;
use self::visit::{Visit, Visitor};
use crate::command::{cargo, on_path, run, workspace};
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
    run(cargo().args([
        "build",
        "--quiet",
        "--package",
        "daxscope",
        "--example",
        "made_host",
    ]))?;
    let mut browser = Browser::start(&target_dir()?.join("page-profile"))?;
    let mut faults = Vec::new();
    let mut looked = 0;
    for ill in [false, true] {
        let host = MadeHost::start(ill)?;
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

/// The server of a made-up host; it ends with this.
struct MadeHost {
    child: Child,
    address: String,
}

impl MadeHost {
    fn start(ill: bool) -> Result<Self> {
        let program: PathBuf = target_dir()?.join("debug/examples/made_host");
        let mut command = Command::new(&program);
        if ill {
            command.arg("--ill");
        }
        // Its standard input ends with us, and it with that, however we end.
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let mut address = String::new();
        let output = child.stdout.take().context("no standard output")?;
        BufReader::new(output).read_line(&mut address)?;
        let host = Self {
            child,
            address: address.trim().to_owned(),
        };
        ensure!(
            !host.address.is_empty(),
            "the made-up host does not serve: {}",
            program.display()
        );
        Ok(host)
    }
}

impl Drop for MadeHost {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
