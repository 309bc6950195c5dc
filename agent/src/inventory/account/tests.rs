use std::collections::BTreeMap;

use super::*;
use crate::inventory::{Backing, Range, Source};

const RULES: Formula = Ok(Rules {
    struct_page: 64,
    geometries: true,
    deduplicates: true,
});
const GIB: u64 = 1 << 30;
const PAGE: u64 = 4096;

/// A gibibyte at that gibibyte, of 2M geometry.
fn pagemap(at: u64) -> Pagemap {
    Pagemap {
        pgmap: 0,
        ranges: vec![Range {
            start: at * GIB,
            end: (at + 1) * GIB - 1,
        }],
        kind: "generic".into(),
        kind_value: 4,
        shift: Ok(9),
        altmap: None,
        backing: Err("not looked at".into()),
        pins: Err("not looked at".into()),
    }
}

fn measured(pages: u64, tables: u64) -> Backing {
    Backing {
        ram: BTreeMap::from([(0, pages * PAGE)]),
        device: 0,
        tables: tables * PAGE,
        pieces: 8,
        looked: 8,
    }
}

fn account(pagemap: &Pagemap, formula: &Formula) -> Account<'static> {
    let pagemap = Box::leak(Box::new(pagemap.clone()));
    Account::new(pagemap, None, "x".into(), formula)
}

fn word(account: &Account) -> &'static str {
    account
        .deduplicated
        .as_ref()
        .err()
        .map_or("", |why| why.word)
}

#[test]
fn the_nameless_are_numbered_by_type_and_address() {
    let private = |at| Pagemap {
        kind: "private".into(),
        ..pagemap(at)
    };
    let inventory = Inventory {
        source: Source::PgmapArray,
        pagemaps: vec![private(9), pagemap(7), private(2)],
        skipped: vec![],
    };
    let names = Names::default();
    let accounts = accounts(&inventory, &names, &RULES);
    let labels: Vec<_> = accounts.iter().map(|a| a.label.as_str()).collect();
    assert_eq!(labels, ["private#0", "generic#0", "private#1"]);
}

#[test]
fn by_formula_where_not_measured() {
    let account = account(&pagemap(4), &RULES);
    let formula = Cost {
        ram: 1024 * PAGE,
        device: 0,
        tables: 8 * PAGE,
    };
    assert_eq!(account.used(), Ok(formula));
    assert_eq!(account.saved(), Ok((4096 - 1032) * 4096));
    assert_eq!((account.disagreement(), word(&account)), (None, ""));
    assert!(!account.sampled());
}

#[test]
fn measured_goes_before_the_formula() {
    // As if one tail page were shared by all compounds.
    let shared = Pagemap {
        backing: Ok(measured(513, 8)),
        ..pagemap(4)
    };
    let shared = account(&shared, &RULES);
    assert_eq!(shared.used().map(|cost| cost.ram), Ok(513 * PAGE));
    assert_eq!(shared.disagreement(), Some(-511 * 4096));
    assert_eq!(word(&shared), "");
    // As if the kernel had not done what it could.
    let not = Pagemap {
        backing: Ok(measured(4096, 0)),
        ..pagemap(4)
    };
    let not = account(&not, &RULES);
    assert_eq!((not.saved(), word(&not)), (Ok(0), "measured"));
}

#[test]
fn no_formula_leaves_what_is_measured() {
    let none = Err(Why::new("architecture", "no formula"));
    let unmeasured = account(&pagemap(4), &none);
    assert_eq!(
        unmeasured.used(),
        Err("not looked at; architecture: no formula".into())
    );
    assert_eq!(word(&unmeasured), "architecture");
    let measured = Pagemap {
        backing: Ok(measured(1024, 8)),
        ..pagemap(4)
    };
    let measured = account(&measured, &none);
    assert_eq!(measured.used().map(|cost| cost.total()), Ok(1032 * PAGE));
    assert!(measured.saved().is_err() && measured.disagreement().is_none());
}

#[test]
fn an_unknown_geometry_has_a_base_but_no_formula() {
    let unknown = Pagemap {
        shift: Err("hidden".into()),
        ..pagemap(4)
    };
    let account = account(&unknown, &RULES);
    assert_eq!(account.base.map(|cost| cost.ram), Ok(4096 * PAGE));
    assert_eq!(account.formula, Err("hidden".into()));
}
