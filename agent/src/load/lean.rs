//! aya without all types of the kernel. It needs their number of each function that an fentry program sits on; reading them all
//! for that took it 20 MB each time, three times a start.

use std::{collections::BTreeMap, path::Path};

use aya::{Btf, EbpfLoader};
use aya_obj::btf::{BtfType, Func, FuncLinkage};

use crate::kernel::{Kernel, btf};

/// Types in which each of these functions has the number that it has in the running kernel, and all others are holes. A
/// function that the kernel does not describe is not there; `None` if it describes nothing.
pub(super) fn functions<'a>(
    kernel: &Kernel,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<Btf> {
    let opened;
    let vmlinux = match &kernel.btf {
        Ok(btf) if btf.path == Path::new(btf::VMLINUX) => btf,
        // Numbers are those of the running kernel, whatever was given to read structures from.
        _ => {
            opened = btf::Btf::open(Path::new(btf::VMLINUX)).ok()?;
            &opened
        }
    };
    let number = |name| Some((vmlinux.function_id(name)?, name));
    let numbers: BTreeMap<u32, &str> = names.into_iter().filter_map(number).collect();
    let mut types = Btf::new();
    let mut next = 1;
    for (number, name) in numbers {
        while next < number {
            next = types.add_type(BtfType::Unknown) + 1;
        }
        let name = types.add_string(name);
        let function = Func::new(name, 0, FuncLinkage::Static);
        next = types.add_type(BtfType::Func(function)) + 1;
    }
    Some(types)
}

/// A loader of our object. A new one of aya's reads all types of the kernel before it can be told that it need not (our object
/// has no relocations against them). It does without where it may not open a file, so for that moment it may not.
pub(crate) fn loader<'a>() -> EbpfLoader<'a> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the kernel writes to `limit`, which outlives the call.
    let known = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } == 0;
    let none = libc::rlimit {
        rlim_cur: 0,
        ..limit
    };
    if known {
        // SAFETY: the kernel only reads `none`. It cannot fail: the soft limit may always be lowered.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const none) };
    }
    let mut loader = EbpfLoader::new();
    if known {
        // SAFETY: the kernel only reads `limit`. It cannot fail: the soft limit may be raised up to the hard one.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    }
    loader.btf(None);
    loader
}
