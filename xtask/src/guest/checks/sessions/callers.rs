//! Who asked for the pages: the function that the kernel's own tracer names.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};

use super::calls::{Table, word};
use super::workload::{Ground, name_of};
use crate::guest::oracle::{GUP, Stacks};
use crate::guest::report::Figures;
use crate::guest::session::Session;
use crate::guest::work::Order;

/// By the name of whose thread it was.
type Named = BTreeMap<String, BTreeSet<String>>;

pub fn all(figures: &mut Figures, ground: &Ground) -> Result<()> {
    let mut crew = ground.crew()?;
    // Alone first: a probe of somebody else's on the return would stand on the stack.
    let stacks = Stacks::watch(GUP.iter().map(|(symbol, ..)| *symbol))?;
    crew.work(Order::InTurn)?;
    let taken = stacks.read()?;
    drop(stacks);
    // One after the other: up to 5.14 a stack ends where the kretprobe of another has put its trampoline.
    let mut watched = |by| -> Result<Table> {
        let mut sessions = Session::start(&[vec!["trace", "--json", "--by", by]])?;
        crew.work(Order::InTurn)?;
        Table::parse(&sessions.remove(0).end()?)
    };
    let (callers, kstacks) = (watched("comm,caller")?, watched("comm,kstack")?);

    let (mut by_caller, mut by_stack) = (Named::new(), Named::new());
    for member in &crew.members {
        let name = name_of(member);
        let of = |pid: &u32| member.threads.contains(pid);
        for taken in taken.iter().filter(|taken| of(&taken.pid)) {
            // Made by another entry point up to 6.2 (mm/gup.c): part of a call that has been taken.
            if taken
                .functions
                .get(1)
                .is_some_and(|caller| is_means(caller) && caller.contains("user_pages"))
            {
                continue;
            }
            let mut functions = taken.functions.iter();
            let caller = functions.find(|function| !is_means(function));
            let caller = caller.context("a stack of GUP alone")?;
            by_caller
                .entry(name.clone())
                .or_default()
                .insert(caller.clone());
            let stack = taken.functions.join(";");
            by_stack.entry(name.clone()).or_default().insert(stack);
        }
        let own = |table: &Table, by: &str| -> Result<BTreeSet<String>> {
            let own = table.each().filter(|group| group["comm"] == *name);
            own.map(|group| plain(&word(&group[by])?)).collect()
        };
        figures.equal(
            &format!("who asked for {name}"),
            joined(by_caller.get(&name)),
            joined(Some(&own(&callers, "caller")?)),
        );
        figures.equal(
            &format!("stacks of {name}"),
            joined(by_stack.get(&name)),
            joined(Some(&own(&kstacks, "kstack")?)),
        );
    }
    Ok(())
}

/// GUP itself, and what all sorts of drivers reach it through (`lib/iov_iter.c`).
fn is_means(function: &str) -> bool {
    let function = function.trim_start_matches('_');
    function.contains("user_pages") || function.starts_with("iov_iter")
}

/// Without the offsets into the functions.
fn plain(stack: &str) -> Result<String> {
    let name = |function: &str| {
        let name = function.split('+').next();
        name.map(str::to_owned).context("a function without a name")
    };
    let names: Vec<_> = stack.split(';').map(name).collect::<Result<_>>()?;
    Ok(names.join(";"))
}

fn joined(names: Option<&BTreeSet<String>>) -> String {
    let names = names.into_iter().flatten().map(String::as_str);
    names.collect::<Vec<_>>().join(" or ")
}
