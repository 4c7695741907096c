//! What the system says about this process' memory.

/// The most bytes of main memory that this process has had so far; none where the system does not say.
pub(crate) fn peak() -> Option<u64> {
    high_water(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// The figure in Linux' table of a process.
fn high_water(status: &str) -> Option<u64> {
    let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix("kB")?;
    kib.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_a_process() {
        let status = "Name:\tsepal\nVmPeak:\t  9000 kB\nVmHWM:\t     512 kB\nVmRSS:\t     100 kB\n";
        assert_eq!(high_water(status), Some(512 * 1024));
        assert_eq!((high_water("Name:\tsepal\n"), high_water("VmHWM: much kB")), (None, None));
        if cfg!(target_os = "linux") {
            assert!(peak().unwrap() > 1 << 20);
        }
    }
}
