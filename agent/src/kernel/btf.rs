//! The kernel's own description of its types and functions (BTF; Documentation/bpf/btf.rst, include/uapi/linux/btf.h).
//!
//! It has some hundred thousand types, of which we ask for fifty. So it is read once into an index of names and left as it
//! is: 8 bytes of index for each type, and all of it goes with the file's bytes when the agent begins to serve.

mod types;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use self::types::{Kind, Type, Types};

/// Where the running kernel describes itself (`CONFIG_DEBUG_INFO_BTF`).
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// BTF of one kernel.
pub struct Btf {
    pub path: PathBuf,
    types: Types,
}

/// The signature of a function.
#[derive(Debug, PartialEq, Eq)]
pub struct Signature {
    /// Names of the parameters, in order.
    pub parameters: Vec<String>,
}

impl Btf {
    /// Reads a BTF file.
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
        let types = Types::of(bytes).with_context(|| format!("{} is not BTF", path.display()))?;
        Ok(Self {
            path: path.into(),
            types,
        })
    }

    /// Offset in bytes of a member of a struct, found through anonymous structs and unions too.
    #[must_use]
    pub fn offset(&self, of: &str, member: &str) -> Option<u32> {
        let found = self.member(self.structure(of)?, member);
        found.map(|(bits, _)| bits / 8)
    }

    /// Whether a struct has a member of a member.
    #[must_use]
    pub fn has(&self, of: &str, path: &[&str]) -> bool {
        let mut inside = self.structure(of);
        path.iter().all(|name| {
            let found = inside.and_then(|of| self.member(of, name));
            inside = found.and_then(|(_, id)| self.types.get(id).filter(Type::has_members));
            found.is_some()
        })
    }

    /// `sizeof` of a struct, in bytes.
    #[must_use]
    pub fn size(&self, of: &str) -> Option<u32> {
        Some(self.structure(of)?.size_or_id)
    }

    /// Number of elements of an array that is a member of a struct.
    #[must_use]
    pub fn array_len(&self, of: &str, member: &str) -> Option<u32> {
        let (_, id) = self.member(self.structure(of)?, member)?;
        let array = self.types.get(id).filter(|of| of.kind == Kind::ARRAY)?;
        // struct btf_array: the element's type, the index's type, the number of elements.
        array.words::<3>().next().map(|[_, _, len]| len)
    }

    /// Names and values of a named enum, in the order of the source.
    #[must_use]
    pub fn enumerators(&self, of: &str) -> Vec<(String, u32)> {
        let found = self.types.named(of).find(|of| of.kind == Kind::ENUM);
        let values = found.into_iter().flat_map(|of| self.values(of));
        values
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    /// Value of an enumerator of an enum without a name.
    #[must_use]
    pub fn anonymous_enumerator(&self, name: &str) -> Option<u32> {
        let all = self.types.all();
        let anonymous = all.filter(|of| of.kind == Kind::ENUM && of.name == 0);
        anonymous
            .flat_map(|of| self.values(of))
            .find_map(|(found, value)| (found == name).then_some(value))
    }

    /// The signature of a function; `None` if the BTF does not describe it.
    #[must_use]
    pub fn function(&self, name: &str) -> Option<Signature> {
        let function = self.types.named(name).find(|of| of.kind == Kind::FUNC)?;
        let prototype = self.types.get(function.size_or_id)?;
        if prototype.kind != Kind::FUNC_PROTO {
            return None;
        }
        // struct btf_param: name, type.
        let parameters = prototype.words::<2>();
        let parameters = parameters.map(|[name, _]| self.types.name(name).to_owned());
        Some(Signature {
            parameters: parameters.collect(),
        })
    }

    /// The number of a function, by which fentry programs are attached to it.
    #[must_use]
    pub fn function_id(&self, name: &str) -> Option<u32> {
        let found = self.types.named(name).find(|of| of.kind == Kind::FUNC);
        found.map(|of| of.id)
    }

    /// The number of a struct or union.
    #[must_use]
    pub fn structure_id(&self, name: &str) -> Option<u32> {
        Some(self.structure(name)?.id)
    }

    fn structure(&self, name: &str) -> Option<Type<'_>> {
        self.types.named(name).find(Type::has_members)
    }

    /// Offset in bits and type of a member.
    fn member(&self, of: Type, name: &str) -> Option<(u32, u32)> {
        // struct btf_member: name, type, offset.
        of.words::<3>().find_map(|[called, id, offset]| {
            // With kind_flag the upper byte is the width of a bit field.
            let bits = if of.flag { offset & 0xff_ffff } else { offset };
            match self.types.name(called) {
                found if found == name => Some((bits, id)),
                "" => {
                    let inner = self.types.get(id).filter(Type::has_members)?;
                    let (inside, id) = self.member(inner, name)?;
                    Some((bits + inside, id))
                }
                _ => None,
            }
        })
    }

    fn values<'a>(&'a self, of: Type<'a>) -> impl Iterator<Item = (&'a str, u32)> {
        // struct btf_enum: name, value.
        of.words::<2>()
            .map(|[name, value]| (self.types.name(name), value))
    }
}
