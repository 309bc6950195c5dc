//! Names that are none, but nearly.

use daxscope::config::keys::KEYS;

use super::{Case, Chance, in_files};

/// Each key with some small mistakes in its name: the right one is said.
pub fn misspelt() -> Vec<Case> {
    let mut chance = Chance(0x6461_7873);
    let mut cases = vec![];
    for key in &KEYS {
        let mut seen = vec![];
        while seen.len() < 5 {
            let name = mistaken(key.name, &mut chance);
            if seen.contains(&name) || KEYS.iter().any(|key| key.name == name) {
                continue;
            }
            let meant = format!("did you mean {}?", key.name);
            let what = format!("name {name} in a file");
            cases.push(in_files(
                what,
                &[format!("{name} = true\n")],
                0,
                &[&format!(":1: {name} is no key"), &meant],
            ));
            let variable = format!("DAXSCOPE_{}", name.to_uppercase().replace('-', "_"));
            let what = format!("name {variable} in the environment");
            // A hyphen too much is none there.
            if KEYS.iter().all(|key| key.variable() != variable) {
                cases.push(
                    Case::new(what, &[&variable, &meant])
                        .no_file()
                        .variable(&variable, "true"),
                );
            }
            let what = format!("name --{name}");
            cases.push(
                Case::new(what, &[&format!("--{name}")])
                    .no_file()
                    .words([format!("--{name}")]),
            );
            seen.push(name);
        }
    }
    for name in [
        "",
        "what",
        "a.b",
        "listen.a",
        "\"\"",
        "web",
        "ключ",
        "Listen",
        "tls_server_config",
        "log-level",
    ] {
        let what = format!("name {name:?} of nothing near");
        cases.push(in_files(what, &[format!("{name} = 1\n")], 0, &[":1: "]));
    }
    for name in ["DAXSCOPE_", "DAXSCOPE_web_config", "DAXSCOPE_TOKEN"] {
        let what = format!("name {name} of nothing near");
        cases.push(Case::new(what, &[name]).no_file().variable(name, "1"));
    }
    cases
}

/// With one letter left out, doubled, changed, or two that changed places; or with underscores.
fn mistaken(name: &str, chance: &mut Chance) -> String {
    let mut letters: Vec<char> = name.chars().collect();
    let at = chance.below(letters.len() - 1);
    match chance.below(5) {
        0 => drop(letters.remove(at)),
        1 => letters.insert(at, letters[at]),
        2 => letters[at] = char::from(b'a' + u8::try_from(chance.below(26)).unwrap_or(0)),
        3 => letters.swap(at, at + 1),
        _ => letters
            .iter_mut()
            .filter(|letter| **letter == '-')
            .for_each(|letter| *letter = '_'),
    }
    letters.into_iter().collect()
}
