//! The kernel's own description of its types and functions (BTF).

use std::{
    fs,
    io::Write as _,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use btf_rs::{Backend, BtfType, Struct, Type};

/// Where the running kernel describes itself (`CONFIG_DEBUG_INFO_BTF`).
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// BTF of one kernel.
pub struct Btf {
    pub path: PathBuf,
    types: btf_rs::Btf,
}

/// The signature of a function.
#[derive(Debug, PartialEq, Eq)]
pub struct Signature {
    /// Names of the parameters, in order.
    pub parameters: Vec<String>,
}

impl Btf {
    /// Reads a BTF file. It is copied into memory that can be mapped, which sysfs cannot be before 6.16, since the
    /// mapped reader is a hundred times faster and ten times smaller than the one that parses it all.
    ///
    /// # Errors
    /// When the file cannot be read or is not BTF.
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| {
            format!(
                "cannot read BTF from {}; a kernel built with CONFIG_DEBUG_INFO_BTF has it in {VMLINUX}, \
                 for another one give a file with --btf",
                path.display()
            )
        })?;
        let copy = memory_file(&bytes).context("cannot copy the BTF into memory")?;
        let mapped = format!("/proc/self/fd/{}", copy.as_raw_fd());
        let types = btf_rs::Btf::from_file_with_backend(mapped, Backend::Mmap)
            .with_context(|| format!("{} is not BTF", path.display()))?;
        Ok(Self {
            path: path.into(),
            types,
        })
    }

    /// Offset in bytes of a member of a struct, found through anonymous structs and unions too.
    #[must_use]
    pub fn offset(&self, of: &str, member: &str) -> Option<u32> {
        self.member(&self.structure(of)?, member)
            .map(|(bits, _)| bits / 8)
    }

    /// Whether a struct has a member of a member.
    #[must_use]
    pub fn has(&self, of: &str, path: &[&str]) -> bool {
        let mut inside = self.structure(of);
        path.iter().all(|name| {
            let found = inside.as_ref().and_then(|of| self.member(of, name));
            inside = found.and_then(|(_, id)| match self.types.resolve_type_by_id(id).ok()? {
                Type::Struct(of) | Type::Union(of) => Some(of),
                _ => None,
            });
            found.is_some()
        })
    }

    /// `sizeof` of a struct, in bytes.
    #[must_use]
    pub fn size(&self, of: &str) -> Option<u32> {
        self.structure(of)
            .and_then(|found| found.size().try_into().ok())
    }

    /// Number of elements of an array that is a member of a struct.
    #[must_use]
    pub fn array_len(&self, of: &str, member: &str) -> Option<u32> {
        let (_, id) = self.member(&self.structure(of)?, member)?;
        match self.types.resolve_type_by_id(id).ok()? {
            Type::Array(array) => array.len().try_into().ok(),
            _ => None,
        }
    }

    /// Names and values of a named enum, in the order of the source.
    #[must_use]
    pub fn enumerators(&self, of: &str) -> Vec<(String, u32)> {
        let found = self.types.resolve_types_by_name(of).unwrap_or_default();
        found
            .into_iter()
            .find_map(|found| self.values(&found))
            .unwrap_or_default()
    }

    /// Value of an enumerator of an enum without a name.
    #[must_use]
    pub fn anonymous_enumerator(&self, name: &str) -> Option<u32> {
        let found = self.types.resolve_types_by_name("").ok()?;
        found
            .iter()
            .filter_map(|found| self.values(found))
            .flatten()
            .find_map(|(found, value)| (found == name).then_some(value))
    }

    /// The signature of a function; `None` if the BTF does not describe it.
    #[must_use]
    pub fn function(&self, name: &str) -> Option<Signature> {
        let found = self.types.resolve_types_by_name(name).ok()?;
        let prototype = found.iter().find_map(|found| match found {
            Type::Func(function) => self.types.resolve_chained_type(function).ok(),
            _ => None,
        })?;
        let Type::FuncProto(prototype) = prototype else {
            return None;
        };
        let parameters = prototype
            .parameters
            .iter()
            .map(|parameter| self.types.resolve_name(parameter).unwrap_or_default())
            .collect();
        Some(Signature { parameters })
    }

    fn structure(&self, name: &str) -> Option<Struct> {
        let found = self.types.resolve_types_by_name(name).ok()?;
        found.into_iter().find_map(|found| match found {
            Type::Struct(found) | Type::Union(found) => Some(found),
            _ => None,
        })
    }

    /// Offset in bits and type of a member.
    fn member(&self, of: &Struct, name: &str) -> Option<(u32, u32)> {
        of.members.iter().find_map(|member| {
            let found = self.types.resolve_name(member).unwrap_or_default();
            if found == name {
                return Some((member.bit_offset(), member.get_type_id()?));
            }
            if !found.is_empty() {
                return None;
            }
            match self.types.resolve_chained_type(member).ok()? {
                Type::Struct(inner) | Type::Union(inner) => self
                    .member(&inner, name)
                    .map(|(bits, id)| (bits + member.bit_offset(), id)),
                _ => None,
            }
        })
    }

    fn values(&self, of: &Type) -> Option<Vec<(String, u32)>> {
        let Type::Enum(of) = of else {
            return None;
        };
        let name = |member| self.types.resolve_name(member).unwrap_or_default();
        Some(of.members.iter().map(|m| (name(m), m.val())).collect())
    }
}

/// A file that exists only in memory.
fn memory_file(bytes: &[u8]) -> Result<OwnedFd> {
    // SAFETY: the name is a C string; no other argument is a pointer.
    let fd = unsafe { libc::memfd_create(c"btf".as_ptr(), libc::MFD_CLOEXEC) };
    ensure!(fd >= 0, std::io::Error::last_os_error());
    // SAFETY: just opened, and nobody else's.
    let mut file = fs::File::from(unsafe { OwnedFd::from_raw_fd(fd) });
    file.write_all(bytes)?;
    Ok(file.into())
}
