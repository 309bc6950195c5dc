//! More than 500 ways to tell a daemon what cannot be meant, by files, variables, flags, web configurations and certificates.
//! Each ends it with status 2 and one line that names what is wrong, before anything is bound or attached: all of these name a
//! BTF file that is none, so that a daemon that was content would end with status 1, as the last test shows.

#[path = "support/daemon.rs"]
mod daemon;
#[path = "support/refused/mod.rs"]
mod refused;

use std::{collections::BTreeSet, ffi::OsString, thread};

use daemon::{Folder, good, run};
use daxscope::config::keys::KEYS;
use refused::Case;

/// What is wrong with what a daemon said; `None`: nothing.
fn wrong(case: &Case) -> Option<String> {
    let said = run(&case.words, &case.variables);
    let line = said.error.strip_suffix('\n').unwrap_or_default();
    let named = case.names.iter().all(|name| line.contains(name.as_str()));
    let plain = line.starts_with("daxscope: ") && !line.contains(char::is_control);
    let right = said.status == Some(2) && plain && named && said.out.is_empty();
    (!right).then(|| format!("{}: names {:?}: {said:?}", case.what, case.names))
}

#[test]
fn what_cannot_be_meant_is_2_and_one_line_that_names_it() {
    let cases = refused::all();
    let different: BTreeSet<_> = cases.iter().map(|case| &case.what).collect();
    assert_eq!(different.len(), cases.len(), "each is another");
    assert!(cases.len() >= 500, "{}", cases.len());
    let half = cases.len() / 2;
    let (one, other) = cases.split_at(half);
    let judge = |cases: &[Case]| cases.iter().filter_map(wrong).collect::<Vec<_>>();
    let all = thread::scope(|scope| {
        let one = scope.spawn(|| judge(one));
        [judge(other), one.join().expect("no panic")].concat()
    });
    assert!(
        all.is_empty(),
        "{} of {}:\n{}",
        all.len(),
        cases.len(),
        all.join("\n")
    );
    println!("{} refused", cases.len());
}

#[test]
fn what_can_be_meant_gets_as_far_as_the_kernel() {
    let folder = Folder::new("content");
    for key in &KEYS {
        let (toml, word) = good(key);
        let file = folder.configuration(&[format!("{} = {toml}\n", key.name)]);
        let flag = match (key.value, word.as_str()) {
            ("", "false") => vec![format!("--{}", key.no)],
            ("", _) => vec![format!("--{}", key.name)],
            _ => vec![format!("--{}", key.name), word.clone()],
        };
        let flag: Vec<OsString> = flag.into_iter().map(Into::into).collect();
        let empty = ["run", "--config", "/dev/null"].map(OsString::from);
        let by_file = ["run".into(), "--config".into(), file.into_os_string()];
        let by_flag = [&empty[..], &flag].concat();
        let btf = ("DAXSCOPE_BTF".into(), "/dev/null".into());
        let listen = ("DAXSCOPE_LISTEN".into(), "127.0.0.1:0".into());
        let variable = (key.variable().into(), word.into());
        let mut variables = vec![btf, listen];
        for (words, more) in [
            (&by_file[..], None),
            (&by_flag, None),
            (&empty, Some(variable)),
        ] {
            variables.extend(more);
            let said = run(words, &variables);
            let content = said.status == Some(1) && said.error.contains("/dev/null is not BTF");
            assert!(content, "{} {words:?}: {said:?}", key.name);
        }
    }
}
