use std::path::PathBuf;
use anyhow::Result;
pub fn made() -> Result<Vec<PathBuf>> { Ok(vec![]) }
