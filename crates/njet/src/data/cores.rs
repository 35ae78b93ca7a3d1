//! Work on many things at once, and how far it is.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Is told how many of how many things are done, by whichever thread did the last.
pub type Watch<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// What `make` makes of each of the numbers below `count`, in their order, on all cores.
pub(crate) fn on_all_cores<T: Send>(count: usize, watch: Watch<'_>, make: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        let mut made = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return made;
            }
            made.push((number, make(number)));
            watch(done.fetch_add(1, Ordering::Relaxed) + 1, count);
        }
    };
    let mut all: Vec<(usize, T)> = thread::scope(|scope| {
        let workers = thread::available_parallelism().map_or(1, usize::from).min(count);
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("the work does not panic")).collect()
    });
    all.sort_by_key(|(number, _)| *number);
    all.into_iter().map(|(_, made)| made).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn everything_is_made_once_and_in_order() {
        let told = Mutex::new(Vec::new());
        let squares = on_all_cores(100, &|done, all| told.lock().unwrap().push((done, all)), |i| i * i);
        assert_eq!(squares, (0..100).map(|i| i * i).collect::<Vec<_>>());
        let mut told = told.into_inner().unwrap();
        told.sort_unstable();
        assert_eq!(told, (1..=100).map(|done| (done, 100)).collect::<Vec<_>>());
        assert!(on_all_cores(0, &|_, _| panic!("nothing is done"), |i| i).is_empty());
    }
}
