//! Settings of a thread while something runs on it.

use std::cell::Cell;
use std::thread::LocalKey;

/// Runs `what` with `value` in the place of what the thread had, which it has again afterwards, also after a panic.
pub(super) fn with<T: Copy + 'static, R>(key: &'static LocalKey<Cell<T>>, value: T, what: impl FnOnce() -> R) -> R {
    struct Before<T: Copy + 'static>(&'static LocalKey<Cell<T>>, T);
    impl<T: Copy> Drop for Before<T> {
        fn drop(&mut self) {
            self.0.set(self.1);
        }
    }
    let _before = Before(key, key.replace(value));
    what()
}
