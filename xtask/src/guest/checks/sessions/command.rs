//! `trace -- COMMAND`: what the command and its descendants do, and nothing that anybody else does meanwhile.

use anyhow::Result;

use super::calls::{self, Groups, Sum, Table};
use crate::guest::pin::By;
use crate::guest::report::Figures;
use crate::guest::session::Session;
use crate::guest::work::{Crew, Order, Source, Task, Worker};

fn worker(comm: &'static [u8], per_call: u64, calls: u64) -> Worker {
    let task = Task {
        by: By::ProcessVmReadv,
        from: Source::System,
        per_call,
        calls,
    };
    Worker {
        comm,
        cgroup: None,
        // Two threads each.
        tasks: vec![task.clone(), task],
    }
}

pub fn tree(figures: &mut Figures) -> Result<()> {
    // A child, a grandchild whose parent ends first, and somebody else. The line lets the others work before.
    let own = std::env::current_exe()?;
    let script = format!(
        "read line; {own} guest work --at-once --comm child process_vm_readv:system:10:3 process_vm_readv:system:10:3; \
         (sh -c '{own} guest work --at-once --comm deeper process_vm_readv:system:20:4 process_vm_readv:system:20:4; echo >$0' \
         /tmp/deeper &) ; while ! [ -e /tmp/deeper ]; do usleep 10000; done",
        own = own.display()
    );
    let mut outside = Crew::start(vec![worker(b"outside", 30, 5)])?;
    let words = [
        "trace", "--json", "--by", "comm,how", "--", "sh", "-c", &script,
    ];
    let mut session = Session::spawn(&words)?;
    session.attached()?;
    outside.work(Order::InTurn)?;
    session.tell()?;
    let table = Table::parse(&session.result(&[0])?)?;
    table.sound(figures, "the tree")?;
    let expected = [("child", 10, 6), ("deeper", 20, 8)].map(|(comm, per_call, calls)| {
        let sum = Sum {
            calls,
            pages: calls * per_call,
            errors: 0,
        };
        (vec![comm.to_owned()], sum)
    });
    // Threads and programs take references when they start and end, which are no pins.
    let pins = table.groups(&["comm"], |group| group["how"] == "pin")?;
    calls::equal(figures, "pins of the tree", &Groups::from(expected), &pins);
    let others = table.each().filter(|group| group["comm"] == "outside");
    figures.equal("groups of somebody else", 0, others.count());
    Ok(())
}
