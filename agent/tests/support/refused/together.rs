//! Values that do not fit together, said in different places.

use super::{Case, in_files};

/// Ways to say something, with what names them in the line.
const WAYS: [&str; 4] = ["file", "drop-in", "variable", "flag"];

/// Each two ways for each two values that do not go together.
pub fn all() -> Vec<Case> {
    let mut cases = vec![];
    for first in WAYS {
        for second in WAYS {
            let holders = ("track-holders", "true", "--track-holders");
            cases.push(case([
                (first, holders),
                (second, ("latency", "false", "--no-latency")),
            ]));
            let header = ("header-timeout", "\"30s\"", "--header-timeout=30s");
            let whole = ("connection-timeout", "\"20s\"", "--connection-timeout=20s");
            cases.push(case([(first, header), (second, whole)]));
        }
    }
    cases
}

fn case(said: [(&str, (&str, &str, &str)); 2]) -> Case {
    let what = said
        .map(|(way, (key, ..))| format!("{key} by {way}"))
        .join(" beside ");
    let by = |wanted: &str| -> String {
        let all = said.iter().filter(|(way, _)| *way == wanted);
        let lines: Vec<_> = all
            .map(|(_, (key, value, _))| format!("{key} = {value}"))
            .collect();
        lines.join(
            "
",
        )
    };
    let mut case = in_files(what, &[by("file"), by("drop-in")], 0, &[]);
    // Which of the files is named is told below.
    let file = case.names.pop().unwrap_or_default();
    let file = file.trim_end_matches(':');
    for (way, (key, value, flag)) in said {
        let name = format!("DAXSCOPE_{}", key.to_uppercase().replace('-', "_"));
        case.names.push(match way {
            "file" => format!("{file}:"),
            "drop-in" => format!("{file}.d/10.toml:"),
            "variable" => name.clone(),
            _ => flag.split('=').next().unwrap_or_default().to_owned(),
        });
        case.names.push(key.to_owned());
        case = match way {
            "variable" => case.variable(name, value.trim_matches('"')),
            "flag" => case.words([flag]),
            _ => case,
        };
    }
    case
}
