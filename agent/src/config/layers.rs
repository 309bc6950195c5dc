//! Flags over the environment over drop-ins over the file over what is built in.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use super::{
    Config, Error, FILE, RunArgs,
    field::Field,
    file,
    keys::{self, KEYS},
    origin::Origin,
    raw::Raw,
};

/// What is in force, and who said so.
#[derive(Clone, Debug)]
pub struct Effective {
    pub config: Config,
    /// Of each key, in the order of [`KEYS`].
    pub origins: Vec<Origin>,
    /// What was read, in order.
    pub files: Vec<PathBuf>,
}

/// Variables of ours that are not for the daemon's configuration: its log, its build and its tests.
const OTHERS: [&str; 7] = [
    "LOG",
    "CACHE",
    "EBPF_OBJECT",
    "ACCEL",
    "NONCE",
    "REVISION",
    "TEST_CHILD",
];
const PREFIX: &str = "DAXSCOPE_";
const FILE_VARIABLE: &str = "DAXSCOPE_CONFIG";

/// Reads all that a daemon is told. Nothing is bound, attached or changed.
///
/// # Errors
/// When there is something in it that cannot be meant.
pub fn resolve(args: &RunArgs) -> Result<Effective, Error> {
    from(args, std::env::vars_os(), Path::new(FILE))
}

/// As [`resolve`], of a given environment and default file.
///
/// # Errors
/// As there.
pub fn from(
    args: &RunArgs,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    default: &Path,
) -> Result<Effective, Error> {
    let variables = variables(environment)?;
    let mut all = Effective {
        config: Config::default(),
        origins: vec![Origin::Default; KEYS.len()],
        files: vec![],
    };
    all.read(args, &variables, default)?;
    for (name, value) in &variables {
        all.variable(name, value)?;
    }
    for (index, flag, values) in &args.given {
        let set = KEYS[*index].field.set(&mut all.config, &Raw::Words(values));
        set.map_err(|words| Error::new(format!("{flag}: {words}")))?;
        all.origins[*index] = Origin::Flag(flag.clone());
    }
    all.fits()?;
    Ok(all)
}

impl Effective {
    /// Where the value of a key came from.
    #[must_use]
    pub fn origin(&self, name: &str) -> &Origin {
        let index = KEYS.iter().position(|key| key.name == name);
        index.map_or(&Origin::Default, |index| &self.origins[index])
    }

    fn read(
        &mut self,
        args: &RunArgs,
        variables: &[(String, String)],
        default: &Path,
    ) -> Result<(), Error> {
        let variable = variables.iter().find(|(name, _)| name == FILE_VARIABLE);
        let (path, by) = match (&args.file, variable) {
            (Some(path), _) => (path.as_path(), Some("--config")),
            (None, Some((_, value))) => (Path::new(value), Some(FILE_VARIABLE)),
            (None, None) => (default, None),
        };
        match (file::read(path)?, by) {
            (Some(text), _) => self.file(path, &text)?,
            (None, None) => {}
            (None, Some(by)) => {
                return Err(Error::new(format!(
                    "{by}: there is no file {}",
                    path.display()
                )));
            }
        }
        for path in file::beside(path)? {
            let text = file::read(&path)?;
            let text = text
                .ok_or_else(|| Error::new(format!("{}: is a link to no file", path.display())))?;
            self.file(&path, &text)?;
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, text: &str) -> Result<(), Error> {
        file::apply(path, text, &mut self.config, &mut self.origins)?;
        self.files.push(path.to_owned());
        Ok(())
    }

    fn variable(&mut self, name: &str, value: &str) -> Result<(), Error> {
        if name == FILE_VARIABLE {
            return Ok(());
        }
        let wrong = |words: String| Error::new(format!("environment variable {name}{words}"));
        let Some(index) = KEYS.iter().position(|key| key.variable() == name) else {
            let hint = keys::hint(&name[PREFIX.len()..]);
            return Err(wrong(format!(" is of no key{hint}")));
        };
        let values: Vec<String> = if matches!(KEYS[index].field, Field::Places(_)) {
            value.split(',').map(|one| one.trim().to_owned()).collect()
        } else {
            vec![value.to_owned()]
        };
        let set = KEYS[index]
            .field
            .set(&mut self.config, &Raw::Words(&values));
        set.map_err(|words| wrong(format!(": {words}")))?;
        self.origins[index] = Origin::Environment(name.to_owned());
        Ok(())
    }

    /// What each value allows, but not beside another.
    fn fits(&self) -> Result<(), Error> {
        let Config { limits, .. } = &self.config;
        if self.config.track_holders && !self.config.latency {
            return Err(Error::new(format!(
                "track-holders ({}) needs latency, which is turned off ({}): leave one of them out",
                self.origin("track-holders"),
                self.origin("latency"),
            )));
        }
        if limits.header_timeout > limits.connection_timeout {
            return Err(Error::new(format!(
                "header-timeout ({}) is longer than connection-timeout ({}): lower the one or raise the other",
                self.origin("header-timeout"),
                self.origin("connection-timeout"),
            )));
        }
        Ok(())
    }
}

/// Those that are meant for us, by name. One that is empty is not set, as in a unit's `EnvironmentFile`.
fn variables(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Vec<(String, String)>, Error> {
    let mut variables = vec![];
    for (name, value) in environment {
        if !name.as_encoded_bytes().starts_with(PREFIX.as_bytes()) || value.is_empty() {
            continue;
        }
        let shown = name.to_string_lossy().into_owned();
        let other = OTHERS.contains(&&shown[PREFIX.len()..]) || linked(&shown);
        if other {
            continue;
        }
        let Ok(value) = value.into_string() else {
            return Err(Error::new(format!(
                "environment variable {shown}: is not UTF-8"
            )));
        };
        variables.push((shown, value));
    }
    variables.sort();
    Ok(variables)
}

/// What Kubernetes sets in every container beside a service whose name begins with daxscope (`DAXSCOPE_SERVICE_HOST`,
/// `DAXSCOPE_PORT_9954_TCP_ADDR`): pkg/kubelet/envvars/envvars.go.
fn linked(name: &str) -> bool {
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.ends_with("_PORT")
        || name.contains("_PORT_")
}
