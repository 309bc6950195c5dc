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

/// The label value of every errno that has none of its own.
pub const OTHER: &str = "other";

/// Counts by errno as label values: the named ones each, all others together; those of 0 are left out. Index 0, success, is
/// not looked at.
pub fn grouped<'a>(
    by_errno: &'a [u64],
    named: &'a [nix::errno::Errno],
) -> impl Iterator<Item = (String, u64)> + 'a {
    let of = |errno: &nix::errno::Errno| by_errno.get(*errno as usize).copied().unwrap_or(0);
    let all: u64 = by_errno.iter().skip(1).sum();
    let known: u64 = named.iter().map(of).sum();
    let each = named
        .iter()
        .map(move |errno| (format!("{errno:?}"), of(errno)));
    each.chain([(OTHER.to_owned(), all - known)])
        .filter(|(_, n)| *n > 0)
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    #[test]
    fn counts_are_grouped_and_none_is_lost() {
        let mut counts = [0; 100];
        counts[0] = 7;
        for (errno, n) in [(14, 3), (1, 1), (5, 1)] {
            counts[errno] = n;
        }
        let named = [Errno::EFAULT, Errno::ENOMEM];
        let grouped: Vec<_> = super::grouped(&counts, &named).collect();
        assert_eq!(grouped, [("EFAULT".into(), 3), ("other".into(), 2)]);
    }

    #[test]
    fn names() {
        assert_eq!(super::name(14), "EFAULT");
        assert_eq!(super::name(95), "EOPNOTSUPP");
        assert_eq!(super::name(4095), "E4095");
    }
}
