//! What a dashboard is, and how Grafana wants it written down (schema version 39: Grafana 10.4 and later).

use std::collections::BTreeSet;

use serde_json::{Value, json};

const SCHEMA: u32 = 39;
const DOCS: &str = "https://github.com/daxscope/daxscope/blob/main/docs";
const WIDTH: u32 = 24;

/// Stand for the selectors in queries: of a host's series, and of those of its devices.
const HOST: &str = "{HOST}";
const DEVICE: &str = "{DEVICE}";
const OF_HOST: &str = r#"job="daxscope", cluster=~"$cluster", instance=~"$instance""#;
const OF_DEVICE: &str =
    r#"job="daxscope", cluster=~"$cluster", instance=~"$instance", device=~"$device""#;

pub struct Board {
    /// Stays the same over all versions: links and bookmarks hold it.
    pub uid: &'static str,
    pub title: &'static str,
    pub says: &'static str,
    /// Whether one host is looked at, or all.
    pub one_host: bool,
    pub rows: Vec<Row>,
}

pub struct Row {
    pub title: &'static str,
    pub panels: Vec<Panel>,
}

pub struct Panel {
    pub title: &'static str,
    /// What it shows and how to read it, in whole sentences.
    pub says: &'static str,
    pub kind: Kind,
    pub unit: &'static str,
    /// Of 24, and in lines.
    pub size: (u32, u32),
    pub queries: Vec<Query>,
    /// Where it turns yellow, then red.
    pub limits: Option<(f64, f64)>,
    /// Name of the page in `docs/runbooks` that says what to do.
    pub runbook: Option<&'static str>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Stat,
    Lines,
    /// Lines on top of each other: what adds up.
    Stack,
    /// Time by duration; of `sum by (le)`.
    Heat,
    /// Of this moment, columns joined by the labels that all queries share.
    Table,
    /// Of 0 and 1.
    States,
}

pub struct Query {
    pub expr: String,
    /// `{{label}}` is filled in; in a table the name of the column.
    pub legend: &'static str,
}

/// A query of a panel, or of a variable.
pub struct Asked {
    pub panel: &'static str,
    pub legend: &'static str,
    pub query: String,
}

impl Asked {
    /// Labels that its series must have: those that it groups by or names in the legend. A quantile's `le` is used up.
    pub fn labels(&self) -> BTreeSet<&str> {
        fn between<'a>(text: &'a str, begin: &str, end: &str) -> Vec<&'a str> {
            let parts = text.split(begin).skip(1);
            parts
                .filter_map(|part| Some(part.split_once(end)?.0))
                .collect()
        }
        let grouped = between(&self.query, "by (", ")");
        let grouped = grouped.iter().flat_map(|all| all.split(", "));
        let named = between(self.legend, "{{", "}}");
        let used_up = |label: &&str| *label == "le" && self.query.contains("histogram_quantile");
        grouped
            .chain(named)
            .filter(|label| !used_up(label))
            .collect()
    }
}

/// What stands for the variables when a query is tried out.
pub struct Fill<'a> {
    pub instance: &'a str,
    pub rate_interval: &'a str,
}

impl Query {
    fn new((legend, expr): (&'static str, &str)) -> Self {
        let expr = expr.replace(HOST, OF_HOST).replace(DEVICE, OF_DEVICE);
        Self { expr, legend }
    }

    fn filled(&self, fill: &Fill) -> String {
        self.expr
            .replace("$__rate_interval", fill.rate_interval)
            .replace("$instance", fill.instance)
            .replace("$cluster", ".*")
            .replace("$device", ".*")
    }
}

impl Panel {
    pub fn new(
        kind: Kind,
        title: &'static str,
        unit: &'static str,
        says: &'static str,
        queries: &[(&'static str, &str)],
    ) -> Self {
        let size = match kind {
            Kind::Stat => (4, 4),
            Kind::Table => (24, 9),
            _ => (12, 8),
        };
        Self {
            title,
            says,
            kind,
            unit,
            size,
            queries: queries.iter().copied().map(Query::new).collect(),
            limits: None,
            runbook: None,
        }
    }

    /// Yellow from the first value on, red from the second.
    pub fn limits(mut self, yellow: f64, red: f64) -> Self {
        self.limits = Some((yellow, red));
        self
    }

    pub fn runbook(mut self, name: &'static str) -> Self {
        self.runbook = Some(name);
        self
    }

    pub fn width(mut self, width: u32) -> Self {
        self.size.0 = width;
        self
    }

    fn json(&self, id: usize, (x, y): (u32, u32)) -> Value {
        let links = self.runbook.map(|name| {
            json!({"title": format!("What to do: {name}"), "url": format!("{DOCS}/runbooks/{name}.md"), "targetBlank": true})
        });
        let links: Vec<Value> = links.into_iter().collect();
        let targets = self.queries.iter().enumerate().map(|(at, query)| {
            let table = matches!(self.kind, Kind::Table);
            let instant = table || matches!(self.kind, Kind::Stat);
            let format = match self.kind {
                Kind::Table => "table",
                Kind::Heat => "heatmap",
                _ => "time_series",
            };
            json!({
                "refId": reference(at),
                "datasource": source(),
                "expr": query.expr,
                "legendFormat": if self.kind == Kind::Heat { "{{le}}" } else { query.legend },
                "format": format,
                "instant": instant,
                "range": !instant,
            })
        });
        let (kind, options, custom) = self.look();
        let mut panel = json!({
            "id": id,
            "type": kind,
            "title": self.title,
            "description": self.says,
            "datasource": source(),
            "gridPos": {"x": x, "y": y, "w": self.size.0, "h": self.size.1},
            "links": links,
            "targets": targets.collect::<Vec<_>>(),
            "options": options,
            "fieldConfig": {
                "defaults": {"unit": self.unit, "min": Value::Null, "custom": custom, "thresholds": self.thresholds()},
                "overrides": [],
            },
        });
        if self.kind == Kind::Table {
            panel["transformations"] = self.columns();
        }
        panel
    }

    /// Grafana's name of the panel, its options, and those of its fields.
    fn look(&self) -> (&'static str, Value, Value) {
        let legend =
            json!({"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"]});
        let tooltip = json!({"mode": "multi", "sort": "desc"});
        let lines = json!({"legend": legend, "tooltip": tooltip});
        let limits = if self.limits.is_some() { "line" } else { "off" };
        let line = |fill: u32, stacking: &str| {
            json!({
                "lineWidth": 1, "fillOpacity": fill, "showPoints": "never",
                "stacking": {"mode": stacking}, "thresholdsStyle": {"mode": limits},
            })
        };
        match self.kind {
            Kind::Stat => {
                let color = if self.limits.is_some() {
                    "value"
                } else {
                    "none"
                };
                let reduce = json!({"calcs": ["lastNotNull"], "fields": "", "values": false});
                let options =
                    json!({"reduceOptions": reduce, "colorMode": color, "graphMode": "area"});
                ("stat", options, json!({}))
            }
            Kind::Lines => ("timeseries", lines, line(0, "none")),
            Kind::Stack => ("timeseries", lines, line(30, "normal")),
            Kind::Heat => {
                let options = json!({
                    "calculate": false,
                    "yAxis": {"unit": self.unit, "axisPlacement": "left"},
                    "rowsFrame": {"layout": "le"},
                    "color": {"mode": "scheme", "scheme": "Oranges", "scale": "exponential", "exponent": 0.5, "steps": 64},
                    "cellGap": 1,
                    "filterValues": {"le": 1e-9},
                    "tooltip": {"mode": "single", "yHistogram": true},
                    "legend": {"show": true},
                });
                ("heatmap", options, json!({}))
            }
            Kind::Table => {
                let options = json!({"showHeader": true, "cellHeight": "sm"});
                ("table", options, json!({"filterable": true}))
            }
            Kind::States => {
                let options = json!({"mergeValues": true, "showValue": "never", "rowHeight": 0.8, "legend": {"showLegend": false}});
                ("state-timeline", options, json!({"fillOpacity": 70}))
            }
        }
    }

    fn thresholds(&self) -> Value {
        let mut steps = vec![json!({"color": "green", "value": Value::Null})];
        if let Some((yellow, red)) = self.limits {
            steps.push(json!({"color": "yellow", "value": yellow}));
            steps.push(json!({"color": "red", "value": red}));
        }
        if self.kind == Kind::States {
            // 0 and 1: what should not be, and what should.
            steps = vec![
                json!({"color": "orange", "value": Value::Null}),
                json!({"color": "green", "value": 1}),
            ];
        }
        json!({"mode": "absolute", "steps": steps})
    }

    /// One table out of all queries, a column each.
    fn columns(&self) -> Value {
        let name = |(at, query): (usize, &Query)| {
            (format!("Value #{}", reference(at)), json!(query.legend))
        };
        let names: serde_json::Map<_, _> = self.queries.iter().enumerate().map(name).collect();
        json!([
            {"id": "merge", "options": {}},
            {"id": "organize", "options": {"excludeByName": {"Time": true}, "renameByName": names}},
        ])
    }
}

/// `A` for the first.
fn reference(at: usize) -> String {
    let letter = u8::try_from(at).map_or(b'Z', |at| b'A' + at);
    char::from(letter).to_string()
}

fn source() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

impl Board {
    pub fn panels(&self) -> impl Iterator<Item = &Panel> {
        self.rows.iter().flat_map(|row| &row.panels)
    }

    /// Every query as Prometheus gets it, always in the same order; those of the variables too.
    pub fn queries(&self, fill: &Fill) -> Vec<Asked> {
        let of = |panel: &Panel| {
            let asked = |query: &Query| Asked {
                panel: panel.title,
                legend: query.legend,
                query: query.filled(fill),
            };
            panel.queries.iter().map(asked).collect::<Vec<_>>()
        };
        let variables = VARIABLES.map(|(name, label, series)| {
            let series = Query::new(("", series)).filled(fill);
            Asked {
                panel: name,
                legend: "",
                query: format!("count by ({label}) ({series})"),
            }
        });
        let panels = self.panels().flat_map(of);
        variables.into_iter().chain(panels).collect()
    }

    pub fn json(&self) -> Value {
        let mut panels = Vec::new();
        let mut y = 0;
        for row in &self.rows {
            let id = panels.len() + 1;
            panels.push(json!({
                "id": id, "type": "row", "title": row.title, "collapsed": false,
                "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1}, "panels": [],
            }));
            y += 1;
            let (mut x, mut height) = (0, 0);
            for panel in &row.panels {
                let (w, h) = panel.size;
                if x + w > WIDTH {
                    (x, y, height) = (0, y + height, 0);
                }
                panels.push(panel.json(panels.len() + 1, (x, y)));
                (x, height) = (x + w, height.max(h));
            }
            y += height;
        }
        json!({
            "uid": self.uid,
            "title": self.title,
            "description": self.says,
            "tags": ["daxscope", "memory", "dax"],
            "schemaVersion": SCHEMA,
            "version": 1,
            "editable": true,
            "graphTooltip": 1,
            "refresh": "1m",
            "time": {"from": "now-6h", "to": "now"},
            "timezone": "browser",
            "links": [
                {"type": "dashboards", "title": "daxscope", "tags": ["daxscope"], "asDropdown": false, "includeVars": true, "keepTime": true},
                {"type": "link", "title": "Every metric", "url": format!("{DOCS}/metrics.md"), "targetBlank": true},
            ],
            "templating": {"list": self.variables()},
            "annotations": {"list": []},
            "panels": panels,
        })
    }

    fn variables(&self) -> Vec<Value> {
        let mut list = vec![json!({
            "name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus",
        })];
        list.extend(VARIABLES.map(|(name, label, series)| {
            let series = Query::new(("", series)).expr;
            // One host is looked at by choosing it; where there is no such label, all is everything.
            let all = !(self.one_host && name == "instance");
            json!({
                "name": name, "label": name, "type": "query", "datasource": source(),
                "query": {"query": format!("label_values({series}, {label})"), "refId": name},
                "definition": format!("label_values({series}, {label})"),
                "refresh": 2, "sort": 1, "multi": all, "includeAll": all,
                "allValue": if all { json!(".*") } else { Value::Null },
                "current": if all { json!({"text": ["All"], "value": ["$__all"]}) } else { json!({}) },
            })
        }));
        list
    }
}

/// Name of a variable, the label that it is of, and the series that have it.
const VARIABLES: [(&str, &str, &str); 3] = [
    ("cluster", "cluster", r#"up{job="daxscope"}"#),
    (
        "instance",
        "instance",
        r#"up{job="daxscope", cluster=~"$cluster"}"#,
    ),
    ("device", "device", "daxscope_pagemap_info{{HOST}}"),
];
