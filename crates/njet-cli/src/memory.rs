//! The highest memory of this process, in all or during a piece of work, where the system tells it (Linux).

use std::fs;

/// Watches the memory from its creation on.
#[derive(Debug)]
pub struct Watch {
    before: u64,
}

impl Watch {
    /// Begins, with what the process holds now. `None` where the system does not tell.
    pub fn start() -> Option<Self> {
        // Linux takes a 5 as "forget the highest value" (proc_pid_clear_refs(5)).
        fs::write("/proc/self/clear_refs", "5").ok()?;
        Some(Self { before: status("VmRSS:")? })
    }

    /// Bytes by which the highest since then is above what was held at the start.
    pub fn peak(&self) -> Option<u64> {
        Some(peak()?.saturating_sub(self.before))
    }
}

/// Bytes that this process held at most so far.
pub fn peak() -> Option<u64> {
    status("VmHWM:")
}

/// A size in `/proc/self/status`, in bytes.
fn status(name: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is allocated and freed again still counts.
    #[test]
    #[cfg(target_os = "linux")]
    fn sees_what_was_held() {
        let Some(watch) = Watch::start() else {
            println!("skipped: this system does not let the highest value be reset");
            return;
        };
        drop(std::hint::black_box(vec![1u8; 64 << 20]));
        let peak = watch.peak().unwrap();
        // Other tests run beside this one, hence no tight bound.
        assert!(peak >= 48 << 20, "{peak} bytes");
    }
}
