//! Words for what the programs tell in numbers. No address leaves this module but as the name of what lies there.

use std::collections::{BTreeMap, HashMap};

use daxscope_common::{
    holders::{CUT, NO_STACK},
    session::Key,
};

use super::{by::By, by::Value, cgroups::Cgroups, users::Users};
use crate::{
    errno,
    inventory::{
        Range,
        names::{Names, SYSFS},
    },
    kernel::functions::{Functions, UNKNOWN},
    load::Probes,
    probes::{self, geometry::Geometries, gup, session},
    text,
};

/// What does not fit into the table of groups is one group, of which nothing else is known.
pub const OTHER: &str = "[other]";

/// What is known so far.
pub struct Naming {
    geometries: Vec<(u32, String)>,
    devices: Names,
    /// Devices that sysfs was asked for in vain since the last [`refresh`](Self::refresh).
    asked: bool,
    /// `None` where there are none of version 2.
    cgroups: Option<Cgroups>,
    stacks: HashMap<u32, Stack>,
    users: Users,
}

/// A kernel stack.
#[derive(Clone, Debug, Default)]
struct Stack {
    caller: String,
    functions: Vec<String>,
}

impl Naming {
    #[must_use]
    pub fn new() -> Self {
        Self {
            geometries: vec![],
            devices: Names::read(SYSFS.as_ref()),
            asked: false,
            cgroups: Cgroups::new().ok(),
            stacks: HashMap::new(),
            users: Users::default(),
        }
    }

    /// Learns of all at once what is new: the list of the kernel's functions is long, and so may that of cgroups be.
    ///
    /// A stack comes with the number of the point that was called on it.
    pub fn learn(
        &mut self,
        probes: &Probes,
        kstacks: impl Iterator<Item = (u32, u32)>,
        cgroups: impl Iterator<Item = u64>,
    ) {
        self.asked = false;
        if let Some(known) = &mut self.cgroups {
            known.learn(cgroups.filter(|id| *id != 0));
        }
        let new: BTreeMap<u32, u32> = kstacks
            .filter(|(stack, _)| *stack != NO_STACK && !self.stacks.contains_key(stack))
            .collect();
        if new.is_empty() {
            return;
        }
        let new: Vec<(u32, u32, Vec<u64>)> = new
            .into_iter()
            .map(|(stack, point)| (stack, point, session::kernel_stack(probes, stack)))
            .collect();
        let functions = Functions::of(
            &probes.lists,
            new.iter().flat_map(|(.., stack)| stack.iter().copied()),
        );
        for (number, point, stack) in new {
            let function = probes.attached(point).unwrap_or_default();
            let stack = functions.since(&stack, function);
            let caller = functions.caller(stack);
            let names = stack.iter().map(|address| functions.name(*address));
            let mut names: Vec<String> = names.collect();
            // Of a kprobe the innermost frame is what is called; of others a program of ours.
            if number & CUT != 0 && names.first().is_some_and(|first| first != function) {
                names.insert(0, function.into());
            }
            let stack = Stack {
                caller: caller.map_or(UNKNOWN.into(), |caller| functions.name(caller)),
                functions: names,
            };
            self.stacks.insert(number, stack);
        }
    }

    /// The value of a group in a dimension.
    pub fn value(&mut self, probes: &Probes, key: &Key, by: By) -> Value {
        if key.point == Key::REST {
            return Value::Text(OTHER.into());
        }
        match by {
            By::Geometry => Value::Text(self.geometry(probes, key.geometry)),
            By::Entry => Value::Text(entry(key.point).into()),
            By::How => Value::Text(how(key.point).into()),
            By::Device => Value::Text(self.device(key.device)),
            By::Comm => Value::Text(comm(key.comm)),
            By::Pid => Value::Number(key.pid.into()),
            By::Tgid => Value::Number(key.tgid.into()),
            By::Cgroup => Value::Text(self.cgroup(key.cgroup)),
            By::Caller => Value::Text(self.caller(key.kstack)),
            By::Kstack => Value::Stack(self.kstack(key.kstack)),
            By::Ustack => Value::Stack(self.ustack(probes, key.tgid, key.ustack)),
            By::Errno => Value::Text(result(key.errno)),
            By::Longterm => Value::Text(if key.longterm == 0 { "-" } else { "longterm" }.into()),
        }
    }

    /// The geometry of a slot.
    pub fn geometry(&mut self, probes: &Probes, slot: u32) -> String {
        let find = |known: &[(u32, String)]| {
            let found = known.iter().find(|(number, _)| *number == slot);
            found.map(|(_, name)| name.clone())
        };
        if find(&self.geometries).is_none()
            && let Ok(read) = Geometries::read(probes)
        {
            self.geometries = read.slots;
        }
        find(&self.geometries).unwrap_or_else(|| "unknown".into())
    }

    /// The device that a physical address is on.
    pub fn device(&mut self, start: u64) -> String {
        if start == Key::SYSTEM {
            return "system".into();
        }
        if start == Key::UNKNOWN {
            return "unknown".into();
        }
        let range = Range { start, end: start };
        let name = |names: &Names| {
            names
                .of(&range)
                .map(|device| text::foreign(device.device.as_bytes()))
        };
        if let Some(name) = name(&self.devices) {
            return name;
        }
        // It may have come since.
        if !self.asked {
            self.asked = true;
            self.devices = Names::read(SYSFS.as_ref());
        }
        name(&self.devices).unwrap_or_else(|| UNKNOWN.into())
    }

    /// The path of a cgroup.
    pub fn cgroup(&mut self, id: u64) -> String {
        match &mut self.cgroups {
            Some(cgroups) => cgroups.path(id).to_owned(),
            None => UNKNOWN.into(),
        }
    }

    /// Who asked for the pages, of a kernel stack that was learned.
    #[must_use]
    pub fn caller(&self, kstack: u32) -> String {
        let stack = self.stacks.get(&kstack);
        stack.map_or(UNKNOWN.into(), |stack| stack.caller.clone())
    }

    /// The functions of a kernel stack that was learned, the innermost first.
    #[must_use]
    pub fn kstack(&self, kstack: u32) -> Vec<String> {
        let stack = self.stacks.get(&kstack);
        let functions = stack.map(|stack| stack.functions.clone());
        functions
            .filter(|functions| !functions.is_empty())
            .unwrap_or_else(|| vec![UNKNOWN.into()])
    }

    /// The functions of a user stack, which can be told only while its process runs.
    pub fn ustack(&mut self, probes: &Probes, tgid: u32, ustack: u32) -> Vec<String> {
        let stack = session::user_stack(probes, ustack);
        if stack.is_empty() {
            return vec![UNKNOWN.into()];
        }
        self.users.frames(tgid, &stack)
    }
}

impl Default for Naming {
    fn default() -> Self {
        Self::new()
    }
}

/// The function of a point.
#[must_use]
pub fn entry(number: u32) -> &'static str {
    let found = probes::points().find(|(_, point)| point.number == number);
    found.map_or(UNKNOWN, |(_, point)| point.name)
}

/// What a point does with pages.
#[must_use]
pub fn how(number: u32) -> &'static str {
    if gup::FAMILY.has(number) {
        gup::how(number).name()
    } else {
        "-"
    }
}

/// The name of a thread, escaped.
#[must_use]
pub fn comm(words: [u64; 2]) -> String {
    let bytes = words.map(u64::to_ne_bytes).concat();
    let name = bytes.split(|byte| *byte == 0).next();
    text::foreign(name.unwrap_or_default())
}

/// `ok`, or the name of an error.
#[must_use]
pub fn result(errno: u32) -> String {
    match errno {
        0 => "ok".into(),
        errno => errno::name(errno as usize),
    }
}
