//! A bench for people.

use std::fmt;

use super::{
    Report, Row, Side,
    reported::{self, GEOMETRIES, Reported},
    way::Way,
};
use crate::text::{self, Column, Flush};

const COLUMNS: [Column; 11] = [
    ("REGION", Flush::Right),
    ("GEOMETRY", Flush::Left),
    ("ALTMAP", Flush::Left),
    ("BY", Flush::Left),
    ("ENTRY", Flush::Left),
    ("PAGES/CALL", Flush::Right),
    ("PIN ms", Flush::Right),
    ("GB/s", Flush::Right),
    ("UNPIN ms", Flush::Right),
    ("GB/s", Flush::Right),
    ("", Flush::Left),
];

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let measured = self.rows.iter();
        let measured: Vec<_> = measured
            .filter_map(|(way, row)| Some(self.cells(*way, row.as_ref().ok()?)))
            .collect();
        writeln!(
            f,
            "{} on {}, inside the kernel:",
            self.device.device, self.kernel
        )?;
        write!(f, "{}", text::table(COLUMNS, &measured))?;
        for (way, row) in &self.rows {
            match row {
                Err(reason) => writeln!(f, "not by {}: {reason}", way.name())?,
                Ok(row) if !row.lost.is_empty() => {
                    writeln!(f, "by {}: lost {}", way.name(), row.lost.join(", "))?;
                }
                Ok(_) => {}
            }
        }
        writeln!(
            f,
            "\nms are for the region once. References by get_user_pages are given back one by one, at no place that can be \
             watched.\n\nWhat the patch series reported of struct pages in the same place, on another machine with NVDIMMs:"
        )?;
        let like = |reported: &&Reported| reported.altmap == self.altmap();
        let theirs: Vec<_> = reported::ALL.iter().filter(like).flat_map(rows).collect();
        write!(f, "{}", text::table(COLUMNS, &theirs))
    }
}

impl Report {
    fn cells(&self, way: Way, row: &Row) -> [String; COLUMNS.len()] {
        let ms = |side: &Side| side.ns_for(self.bytes, self.page_bytes).map(|ns| ns / 1e6);
        let rate = |side: &Side| side.gb_per_second(self.page_bytes);
        let per_call = row.taken.pages / row.taken.calls.max(1);
        let given = row.given.as_ref();
        [
            text::bytes(self.bytes),
            row.geometry.clone(),
            yes(self.altmap()),
            way.name().into(),
            row.taken.entry.clone(),
            per_call.to_string(),
            figure(ms(&row.taken)),
            figure(rate(&row.taken)),
            figure(given.and_then(ms)),
            figure(given.and_then(rate)),
            String::new(),
        ]
    }
}

/// Before, and after.
fn rows(reported: &Reported) -> [[String; COLUMNS.len()]; 2] {
    let bytes = reported.mebibytes << 20;
    [0, 1].map(|at| {
        let (pin, unpin) = (
            reported.pin_ms.map(|ms| ms[at]),
            reported.unpin_ms.map(|ms| ms[at]),
        );
        let rate = |ms: Option<f64>| figure(ms.map(|ms| rate(bytes, ms)));
        [
            text::bytes(bytes),
            GEOMETRIES[at].into(),
            yes(reported.altmap),
            "gup_test".into(),
            reported.entry.into(),
            "512".into(),
            figure(pin),
            rate(pin),
            figure(unpin),
            rate(unpin),
            reported.source.into(),
        ]
    })
}

/// GB for each second.
#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn rate(bytes: u64, ms: f64) -> f64 {
    bytes as f64 / ms / 1e6
}

fn yes(altmap: bool) -> String {
    if altmap { "yes" } else { "no" }.into()
}

/// To three digits; `-` if there is none.
fn figure(figure: Option<f64>) -> String {
    match figure {
        None => "-".into(),
        Some(figure) if figure < 10.0 => format!("{figure:.2}"),
        Some(figure) if figure < 100.0 => format!("{figure:.1}"),
        Some(figure) => format!("{figure:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Why;
    use crate::inventory::names::{Device, Map};

    #[test]
    fn a_bench_is_a_table_beside_what_was_reported() {
        let side = |entry: &str, how: &str, ns| Side {
            entry: entry.into(),
            how: how.into(),
            calls: 512,
            pages: 262_144,
            ns,
        };
        let report = Report {
            device: Device {
                device: "dax0.0".into(),
                namespace: Some("namespace0.0".into()),
                region: None,
                node: None,
                driver: Some("device_dax".into()),
                mode: "devdax".into(),
                align: Some(2 << 20),
                map: Some(Map::Dev),
                ranges: Err("not read".into()),
            },
            kernel: "6.12.117".into(),
            bytes: 1 << 30,
            page_bytes: 4096,
            rows: vec![
                (
                    Way::IoUring,
                    Err(Why::NotAsked("it pins only what is writable")),
                ),
                (
                    Way::ProcessVmReadv,
                    Ok(Row {
                        geometry: "2M".into(),
                        taken: side("pin_user_pages_remote", "pin", 53_687_091),
                        given: Some(side("unpin_user_pages_dirty_lock", "unpin", 5_368_709)),
                        lost: vec!["call: 3".into()],
                    }),
                ),
                (
                    Way::Vmsplice,
                    Ok(Row {
                        geometry: "2M".into(),
                        taken: side("get_user_pages_fast", "get", 1_073_741_824),
                        given: None,
                        lost: vec![],
                    }),
                ),
            ],
        };
        let text = report.to_string();
        for line in [
            "1.0 GiB  2M        yes     process_vm_readv  pin_user_pages_remote         512    53.7  20.0      5.37   200",
            "1.0 GiB  2M        yes     vmsplice          get_user_pages_fast           512    1074  1.00         -     -",
            "not by io_uring: it pins only what is writable",
            "by process_vm_readv: lost call: 3",
            " 16.0 GiB  2M        yes     gup_test  pin_user_pages_fast         512    10.0  1718         -     -  v4 08/14 (2021-08-27), not merged so",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert_eq!(report.json()["rows"][0]["unpin"]["pages"], 262_144);
        assert_eq!(report.json()["not_done"][0]["by"], "io_uring");
        assert_eq!(report.status(), crate::cli::DEGRADED);
    }
}
