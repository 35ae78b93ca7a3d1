//! The terminal as it was, whatever ends the program.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a signal writes before the program ends: mouse off, the ordinary screen, the cursor.
const ORDINARY: &[u8] = b"\x1b[?1006l\x1b[?1015l\x1b[?1003l\x1b[?1002l\x1b[?1000l\x1b[?1049l\x1b[?25h";

/// While this is held, the signals that end a program give the terminal back first.
#[derive(Debug)]
pub struct Guard;

/// How the terminal was, and the last words.
struct Before {
    #[cfg(unix)]
    settings: libc::termios,
    words: String,
}

static BEFORE: OnceLock<Before> = OnceLock::new();
static HELD: AtomicBool = AtomicBool::new(false);

#[cfg(unix)]
const SIGNALS: [libc::c_int; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];

impl Guard {
    /// Remembers the terminal as it is.
    #[cfg(unix)]
    pub fn before(words: String) -> Self {
        if let Some(settings) = settings() {
            BEFORE.get_or_init(|| Before { settings, words });
            HELD.store(true, Ordering::SeqCst);
            for signal in SIGNALS {
                let handler = on_signal as extern "C" fn(libc::c_int) as libc::sighandler_t;
                // SAFETY: the handler calls only what may be called in one: see there.
                unsafe { libc::signal(signal, handler) };
            }
        }
        Self
    }

    /// Elsewhere than on Unix the terminal is the renderer's own affair.
    #[cfg(not(unix))]
    pub fn before(words: String) -> Self {
        BEFORE.get_or_init(|| Before { words });
        Self
    }

    /// In raw mode Ctrl-C is a character like any other, which the renderer passes over: makes it a signal again. The
    /// renderer enters raw mode in a thread of its own, which is waited for.
    pub fn let_signals_through(&self) {
        #[cfg(unix)]
        for _ in 0..200 {
            std::thread::sleep(std::time::Duration::from_millis(5));
            if let Some(mut now) = settings()
                && now.c_lflag & libc::ICANON == 0
            {
                now.c_lflag |= libc::ISIG;
                // SAFETY: `now` is a whole termios that `tcgetattr` filled.
                unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, &now) };
                return;
            }
        }
    }

    /// The terminal is given back: signals end the program as they do everywhere.
    pub fn release(&self) {
        if HELD.swap(false, Ordering::SeqCst) {
            #[cfg(unix)]
            for signal in SIGNALS {
                // SAFETY: the default action is no code of ours.
                unsafe { libc::signal(signal, libc::SIG_DFL) };
            }
        }
    }
}

#[cfg(unix)]
fn settings() -> Option<libc::termios> {
    let mut settings = std::mem::MaybeUninit::uninit();
    // SAFETY: the pointer is good for a termios; it is read only where the call says that it filled it.
    let filled = unsafe { libc::tcgetattr(libc::STDIN_FILENO, settings.as_mut_ptr()) } == 0;
    // SAFETY: filled.
    filled.then(|| unsafe { settings.assume_init() })
}

/// Gives the terminal back and ends the program: a run that is killed at any moment can be gone on with.
#[cfg(unix)]
extern "C" fn on_signal(signal: libc::c_int) {
    if let Some(before) = BEFORE.get() {
        // SAFETY: `write`, `tcsetattr` and `_exit` may be called in a signal handler (POSIX, async-signal-safe), and
        // `BEFORE` was filled before the handler was set, so `get` only loads.
        unsafe {
            libc::write(libc::STDOUT_FILENO, ORDINARY.as_ptr().cast(), ORDINARY.len());
            libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, &before.settings);
            libc::write(libc::STDERR_FILENO, before.words.as_ptr().cast(), before.words.len());
        }
    }
    // SAFETY: as above.
    unsafe { libc::_exit(128 + signal) };
}
