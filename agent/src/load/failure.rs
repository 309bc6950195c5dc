//! Why something could not be loaded or attached, in words.

use std::{error::Error, fmt, io};

/// `ENOTSUPP` of the kernel (include/linux/errno.h), which user space has no name for.
const ENOTSUPP: i32 = 524;

/// Why something failed, in one line, and what can be done about it.
pub struct Failure {
    pub words: String,
    pub remedy: Option<&'static str>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.words)?;
        self.remedy
            .map_or(Ok(()), |remedy| write!(f, " ({remedy})"))
    }
}

impl Failure {
    pub fn new(words: String) -> Self {
        Self {
            words,
            remedy: None,
        }
    }

    /// From an error of aya, with what its errno means in this place.
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        let mut words: Vec<String> = vec![];
        let mut errno = None;
        let mut next = Some(error);
        while let Some(error) = next {
            let io = error.downcast_ref::<io::Error>();
            errno = errno.or(io.and_then(io::Error::raw_os_error));
            let text = first_and_last(&error.to_string());
            if !words.iter().any(|seen| seen.contains(&text)) {
                words.push(text);
            }
            next = error.source();
        }
        // The verifier says EACCES too, but has more to say than that.
        let rejected = words.first().is_some_and(|words| words.contains(ELLIPSIS));
        let remedy = match errno {
            Some(libc::EPERM | libc::EACCES) if !rejected => Some(
                "the kernel refused: probes need CAP_BPF and CAP_PERFMON, kprobes also kernel.perf_event_paranoid at \
                 most 2 or CAP_SYS_ADMIN, and neither works against lockdown=confidentiality, a container's seccomp profile \
                 or a local policy that forbids tracing programs",
            ),
            Some(libc::ENOENT) => Some(
                "this kernel was built without kprobes (CONFIG_KPROBE_EVENTS): nothing but another kernel helps",
            ),
            _ => None,
        };
        if errno == Some(ENOTSUPP) {
            words.push(
                "its trampoline cannot; on older kernels not for more than 6 parameters".into(),
            );
        }
        Self {
            words: words.join(": "),
            remedy,
        }
    }
}

/// Stands for the middle of the verifier's log.
const ELLIPSIS: char = '…';

/// Of a long text such as the verifier's log the first line, and the last that is not statistics.
fn first_and_last(text: &str) -> String {
    const STATISTICS: [&str; 4] = [
        "processed ",
        "stack depth ",
        "subprog ",
        "verification time ",
    ];
    let mut lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !STATISTICS.iter().any(|start| line.starts_with(start)));
    let first = lines
        .next()
        .unwrap_or_default()
        .trim_end_matches("Verifier output:")
        .trim_end_matches([' ', '.']);
    match lines.next_back() {
        Some(last) => format!("{first} {ELLIPSIS} {last}"),
        None => first.into(),
    }
}
