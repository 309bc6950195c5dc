//! The verbs, and what their help says.

use std::path::PathBuf;

use clap::Subcommand;

use crate::{
    advise::AdviseArgs,
    bench::BenchArgs,
    check::CheckArgs,
    config::{ConfigArgs, RunArgs},
    diff::DiffArgs,
    events::EventsArgs,
    holders::HoldersArgs,
    inventory::InventoryArgs,
    list::ListArgs,
    record::RecordArgs,
    report::ReportArgs,
    top::TopArgs,
    trace::TraceArgs,
};

#[derive(Subcommand)]
pub enum Command {
    /// Attach the probes and serve what they measure
    #[command(after_help = "Examples:
  daxscope run
  daxscope run --listen '[::1]:9954'
  daxscope run --mechanism kprobe --bpf-log
  daxscope run --self-cost

Serves /metrics for Prometheus (text or OpenMetrics), /readyz and /healthz, and a page for people at /. \
SIGHUP reads the configuration again; SIGTERM or SIGINT ends it, and nothing stays in the kernel.

Each option but --config is also a key of the file, and a variable: DAXSCOPE_MAX_CONNECTIONS. Options win over variables, \
variables over FILE.d/*.toml, those over FILE. Each switch has its opposite, with `no-` in front or without it.

Exit status: 0 stopped, 1 cannot listen or nothing can be attached, 2 bad usage or configuration.")]
    Run(RunArgs),
    /// Check the configuration of `run`, or show each key's value and where it came from
    #[command(after_help = "Examples:
  daxscope config check
  daxscope config check --config /tmp/new.toml
  daxscope config show
  daxscope config show --json | jq '.keys[] | select(.from.kind != \"default\")'
  daxscope config show --max-connections 256

Reads what `daxscope run` with the same options would read, and the same environment; binds and attaches nothing. What show \
prints is itself a file that can be read.

Exit status: 0 it can be used, 1 cannot print, 2 it cannot be used (what, where and why is on one line), or bad usage.")]
    Config(ConfigArgs),
    /// Say what this kernel can do: attach every probe, report each verdict, detach
    #[command(after_help = "Examples:
  daxscope check
  daxscope check --json | jq '.probes[] | select(.attached | not)'

Exit status: 0 all can be seen, 3 some required probes do not attach or pagemaps cannot be read and measured, 1 nothing can \
work, 2 bad usage.")]
    Check(CheckArgs),
    /// List every live pagemap: what its struct pages cost, what is saved, and why not more
    #[command(after_help = "Examples:
  daxscope list
  daxscope list --json | jq '.pagemaps[] | {device, geometry, saved_bytes}'

Measured in the kernel's page tables, beside a running agent or without one; nothing is attached. A figure with * is by \
formula, one with ~ from a sample. SAVED is against base pages in the same place. Addresses are physical.

Exit status: 0 all told, 3 something could not be told (what, and why, is printed), 1 nothing can be, 2 bad usage.")]
    List(ListArgs),
    /// Say what other layouts would cost, and the command for each; run none
    #[command(after_help = "Examples:
  daxscope advise
  daxscope advise dax0.0
  daxscope advise --json | jq -r '.devices[].options[] | select(.least_ram_of_map_mem) | .command'

Figures are by formula, of this kernel; those of the present layout are measured where they can be. Geometry is of devdax \
only: fsdax has 4K whatever its alignment. With map=dev struct pages are on the device and are never deduplicated. \
Every command that is printed destroys all data on its device.

Exit status: 0 advice for all, 3 for some there is none (why is printed), 1 no such device, 2 bad usage.")]
    Advise(AdviseArgs),
    /// Say who holds pins on device memory now; to be asked before a device is destroyed or unbound
    #[command(after_help = "Examples:
  daxscope holders
  daxscope holders dax0.0
  daxscope holders --json | jq '.devices[].holds[] | {process, pid, caller, pages}'

Asks a daemon that runs with `run --track-holders`. Of pins that nobody watched it says how many there are, by the pages' \
own counts, and which processes map or have open what they are on; of a DEVICE that is named, always. PAGES are base \
pages, >= where not all could be looked at. CALLER is the function in the kernel that asked for the pins. Kernels up to \
5.17 do not let go of a device while it is pinned; later ones do, and crash when its pins are given back.

Exit status: 0 all told, 3 not all (what, and why, is printed), 1 no such device or nothing can be told, 2 bad usage.")]
    Holders(HoldersArgs),
    /// Watch calls for a while, or as long as a command runs, and sum them up
    #[command(after_help = "Examples:
  daxscope trace                                 who pins and gets what, until Ctrl-C
  daxscope trace --for 10s --by comm,caller      which processes, from where in the kernel
  daxscope trace --how pin --geometry 2M --hist  how long pins of 2M geometry take
  daxscope trace memremap vmemmap --by entry,device --for 1min
  daxscope trace --by kstack --svg pins.svg -- fio job.fio

Filters work in the kernel. Percentiles are of the time inside a call. A request that spans several pagemaps counts for that \
of its first page, its pages each for their own. When it ends, however it ends, nothing stays in the kernel.

Exit status: that of the command if it failed; else 0 all told, 3 something got lost (what is printed), 1 nothing can be \
watched, 2 bad usage.")]
    Trace(TraceArgs),
    /// Print each call as it happens
    #[command(after_help = "Examples:
  daxscope events
  daxscope events --min-latency 1ms --stack      what takes long, and how the kernel got there
  daxscope events --json --for 10s | jq 'select(.errno != \"ok\")'
  daxscope events -- dd if=/dev/pmem0 of=/dev/null iflag=direct bs=2M count=8

A line is written when a call ends. What the ring between kernel and daxscope has no room for is counted and said.

Exit status: as of trace.")]
    Events(EventsArgs),
    /// Watch calls on the whole screen: rates now, latencies, the hottest processes and callers
    #[command(after_help = "Examples:
  daxscope top
  daxscope top gup --device dax0.0
  daxscope top --by geometry,cgroup,entry --min-latency 10us
  daxscope top --replay session.dax

Space pauses, / looks for a text, s sorts, g groups by something else, ? tells more, q quits. Rates are of the last reading; \
t shows totals. A recording is stepped through with the arrows, or played with space. NO_COLOR=1 leaves colours out.

Exit status: 0 quit, 1 no terminal, nothing can be attached or the file is none, 2 bad usage, 128 and its number after a \
signal.")]
    Top(Box<TopArgs>),
    /// Keep a session in a file, to be looked at later and elsewhere
    #[command(after_help = "Examples:
  daxscope record -o session.dax                      all pins and gets, until Ctrl-C
  daxscope record -o before.dax --for 1min --device dax0.0
  daxscope record -o job.dax -- fio job.fio
  daxscope report job.dax --by comm,caller            what trace can show, of what was recorded

The file has its name only when it is whole; it holds no addresses. The format is described in docs/recording.md.

Exit status: as of trace; 1 also if the file is there already, or cannot be written.")]
    Record(RecordArgs),
    /// Show a recorded session as trace shows a live one; on any machine, without privileges
    #[command(after_help = "Examples:
  daxscope report session.dax
  daxscope report session.dax --by comm,device --hist
  daxscope report session.dax --by kstack --svg stacks.svg
  daxscope report session.dax --device dax0.0 --json | jq .total

Dimensions and filters are of what was recorded; those of single calls are for record. The format is described in \
docs/recording.md.

Exit status: 0 all told, 3 something was lost while it was recorded (what is printed), 1 the file is no whole recording or has \
not what is asked for, 2 bad usage.")]
    Report(ReportArgs),
    /// Set two recorded sessions side by side, with ratios: before and after a namespace was reconfigured
    #[command(after_help = "Examples:
  daxscope diff before.dax after.dax
  daxscope diff before.dax after.dax --by entry --device dax0.0
  daxscope diff before.dax after.dax --json | jq '.groups[] | {geometry, p50: .ratio.p50_ns}'

Groups are matched by their dimensions: leave out of --by what was changed, or each group is in one session only. B/A is above \
1 where the second is slower, or has more. What else was different (kernel, devices, filters, probes) is said first.

Exit status: 0 all told, 3 something was lost in one of them (what is printed), 1 a file is no whole recording or has not what \
is asked for, 2 bad usage.")]
    Diff(DiffArgs),
    /// Pin a device-dax device in batches, by several ways, and say how long the kernel took for it
    #[command(after_help = "Examples:
  daxscope bench dax0.0
  daxscope bench dax0.0 --writable               io_uring's fixed buffers too: its pins are long-term
  daxscope bench dax0.0 --sink /dev/nullb0       O_DIRECT too, to a null block device
  daxscope bench namespace1.0 --size 1G --passes 3 --json

Maps the device and reads a byte of each unit that it maps; writes nothing. Refuses a device that somebody has open, mapped or \
mounted. Pins are given back at once. Times are inside the kernel's functions, of which the table names each; beside them \
stands what the patch series reported that gave pagemaps their geometry.

Exit status: 0 all measured that was allowed, 3 not all (why is printed), 1 nothing, 2 bad usage.")]
    Bench(BenchArgs),
    /// Write manual pages into a directory, one for each verb
    #[command(after_help = "Examples:
  daxscope man /usr/local/share/man/man1
  daxscope man pages && man -l pages/daxscope-trace.1

Exit status: 0 written, 1 cannot be written, 2 bad usage.")]
    Man {
        /// Where to; it is made if it is not there
        #[arg(value_name = "DIRECTORY")]
        directory: PathBuf,
    },
    /// Print what a shell completes words by
    #[command(after_help = "Examples:
  daxscope completions bash > /etc/bash_completion.d/daxscope
  daxscope completions fish > ~/.config/fish/completions/daxscope.fish
  daxscope completions zsh > /usr/local/share/zsh/site-functions/_daxscope

Exit status: 0 printed, 1 cannot be printed, 2 bad usage.")]
    Completions {
        #[arg(value_enum, value_name = "SHELL")]
        shell: clap_complete::Shell,
    },
    /// Print the list of all metrics in Markdown
    #[command(hide = true)]
    MetricsDoc,
    /// Print what the kernel's own structures say of each pagemap (for debugging)
    #[command(hide = true)]
    Inventory(InventoryArgs),
}
