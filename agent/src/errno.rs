//! Names of error numbers.

/// `EFAULT` for 14; `E` and the number for one that has no name.
#[must_use]
pub fn name(errno: usize) -> String {
    use nix::errno::Errno;
    match i32::try_from(errno).map(Errno::from_raw) {
        Ok(Errno::UnknownErrno) | Err(_) => format!("E{errno}"),
        Ok(known) => format!("{known:?}"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn names() {
        assert_eq!(super::name(14), "EFAULT");
        assert_eq!(super::name(95), "EOPNOTSUPP");
        assert_eq!(super::name(4095), "E4095");
    }
}
