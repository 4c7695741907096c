//! What tests with damaged files share.

/// A peak of the process's memory in KiB, by its name in `/proc/self/status`: `VmHWM` is memory that was used, `VmPeak`
/// what was asked for even if never touched.
pub(crate) fn peak_kib(name: &str) -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    value.split_whitespace().next()?.parse().ok()
}

/// How many times as many files as usual: `SEPAL_MUTATIONS`, for a long run.
pub(crate) fn times() -> usize {
    std::env::var("SEPAL_MUTATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(1)
}
