//! Batches made ahead of time, on threads of their own, and handed over in their order.
//!
//! Worker k of W makes batches k, k + W, k + 2W … and puts them into a bounded channel of its own; the receiver takes
//! from the channels in turn. So the order is that of the numbers whatever the threads do, and no more than
//! [`AHEAD`] finished batches wait for each worker.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::{Batch, DataError, Samples};

/// Finished batches that wait in a worker's channel: one to take, one in reserve.
const AHEAD: usize = 2;

/// Batches in their order, and the time spent waiting for them.
#[derive(Debug)]
pub struct Feed<T = Batch> {
    workers: Vec<Receiver<Result<T, DataError>>>,
    next: usize,
    count: usize,
    waited: Duration,
}

impl<T: Send> Feed<T> {
    /// Makes batches 0 … `count` − 1 by `make` on `workers` threads while `consume` takes them. `make` must be a function
    /// of the number alone; what has been made when `consume` is done is dropped.
    pub fn run<R>(
        count: usize,
        workers: usize,
        make: impl Fn(usize) -> Result<T, DataError> + Sync,
        consume: impl FnOnce(&mut Self) -> R,
    ) -> R {
        let workers = workers.clamp(1, count.max(1));
        thread::scope(|scope| {
            let start = |worker| {
                let (send, receive) = sync_channel(AHEAD);
                let make = &make;
                scope.spawn(move || {
                    // Sending fails when nobody takes batches any more.
                    (worker..count).step_by(workers).map(make).try_for_each(|batch| send.send(batch)).ok()
                });
                receive
            };
            let mut feed = Self { workers: (0..workers).map(start).collect(), next: 0, count, waited: Duration::ZERO };
            consume(&mut feed)
        })
    }

    /// How long [`next`](Iterator::next) has waited so far.
    pub fn waited(&self) -> Duration {
        self.waited
    }
}

impl<T> Iterator for Feed<T> {
    type Item = Result<T, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.count {
            return None;
        }
        let start = Instant::now();
        // A worker that panicked brings its panic here when the threads are joined.
        let batch = self.workers[self.next % self.workers.len()].recv().ok();
        self.waited += start.elapsed();
        self.next += 1;
        batch
    }
}

/// Threads that keep up with a model: one where pixels are only copied, all cores where files are decoded.
pub fn workers(samples: &Samples) -> usize {
    match samples {
        Samples::Memory(_) => 1,
        Samples::Files(_) => thread::available_parallelism().map_or(1, usize::from).min(8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn batch(number: usize) -> Batch {
        Batch { pixels: vec![number as f32], shape: [1; 4], labels: vec![0] }
    }

    #[test]
    fn batches_come_in_order_from_any_number_of_threads() {
        for (count, workers) in [(0, 3), (1, 3), (7, 1), (50, 3), (50, 8)] {
            // The later ones are quicker.
            let make = |number| {
                thread::sleep(Duration::from_micros((count - number) as u64 * 10));
                Ok(batch(number))
            };
            let taken = Feed::run(count, workers, make, |feed| feed.map(Result::unwrap).collect::<Vec<_>>());
            assert_eq!(taken, (0..count).map(batch).collect::<Vec<_>>());
        }
    }

    #[test]
    fn no_more_is_made_than_has_room() {
        let made = AtomicUsize::new(0);
        let make = |number| {
            made.fetch_add(1, Ordering::SeqCst);
            Ok(batch(number))
        };
        Feed::run(1000, 2, make, |feed| {
            assert_eq!(feed.next().unwrap().unwrap(), batch(0));
            thread::sleep(Duration::from_millis(20));
        });
        // For each worker: those in the channel, the one that does not fit, and one taken.
        let made = made.into_inner();
        assert!((3..=2 * (AHEAD + 1) + 1).contains(&made), "{made}");
    }

    #[test]
    fn an_error_arrives_at_its_place() {
        let make = |number| match number {
            3 => Err(DataError::UnknownDirectory { directory: "here".into() }),
            _ => Ok(batch(number)),
        };
        let taken: Vec<bool> = Feed::run(6, 2, make, |feed| feed.map(|batch| batch.is_ok()).collect());
        assert_eq!(taken, [true, true, true, false, true, true]);
    }

    #[test]
    fn waiting_is_measured() {
        let make = |number| {
            thread::sleep(Duration::from_millis(5));
            Ok(batch(number))
        };
        let waited = Feed::run(4, 1, make, |feed| {
            feed.by_ref().for_each(drop);
            feed.waited()
        });
        assert!(waited >= Duration::from_millis(15), "{waited:?}");
    }

    #[test]
    #[should_panic(expected = "a scoped thread panicked")]
    fn a_panic_is_passed_on() {
        Feed::<Batch>::run(2, 1, |_| panic!("in a worker"), |feed| feed.for_each(drop));
    }
}
