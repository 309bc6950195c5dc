//! The dashboards of `deploy/grafana`, made from descriptions that people can read; `cargo xtask docs` writes them.

mod board;
mod fleet;
mod host;

use serde_json::Value;

pub use board::{Asked, Board, Fill};

/// Their paths in the repository, and what they are made from.
pub fn boards() -> [(&'static str, Board); 2] {
    [
        ("deploy/grafana/host.json", host::board()),
        ("deploy/grafana/fleet.json", fleet::board()),
    ]
}

/// As Grafana imports it.
pub fn text(board: &Board) -> String {
    let json: Value = board.json();
    format!("{json:#}\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_panel_says_what_it_is() {
        for (path, board) in boards() {
            let mut titles = BTreeSet::new();
            for panel in board.panels() {
                assert!(titles.insert(panel.title), "{path}: {} twice", panel.title);
                assert!(panel.says.ends_with('.'), "{path}: {}", panel.title);
                assert!(!panel.queries.is_empty(), "{path}: {}", panel.title);
                if let Some(name) = panel.runbook {
                    let file = format!("docs/runbooks/{name}.md");
                    let file = crate::command::workspace().join(file);
                    assert!(file.is_file(), "{path}: {}", file.display());
                }
            }
        }
    }

    #[test]
    fn labels_are_those_that_a_reader_sees() {
        let asked = |query: &str, legend| {
            let query = query.to_owned();
            board::Asked {
                panel: "",
                legend,
                query,
            }
            .labels()
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
        };
        assert_eq!(asked("sum by (le, a) (x)", "{{b}} mean"), ["a", "b", "le"]);
        assert_eq!(
            asked("histogram_quantile(0.9, sum by (le, a) (x))", ""),
            ["a"]
        );
    }

    #[test]
    fn variables_are_filled_in() {
        let fill = Fill {
            instance: "a",
            rate_interval: "10s",
        };
        for (path, board) in boards() {
            for asked in board.queries(&fill) {
                let query = &asked.query;
                assert!(!query.contains('$'), "{path}: {}: {query}", asked.panel);
            }
        }
    }
}
