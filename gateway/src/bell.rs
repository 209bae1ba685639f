//! Rouses the task that waits for it, on the same thread.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

/// Once rung it stays rung until somebody has waited for it.
#[derive(Default)]
pub(crate) struct Bell {
    is_rung: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Bell {
    /// A silent one.
    pub(crate) fn new() -> Rc<Bell> {
        Rc::default()
    }

    /// Ends the wait, or the next one.
    pub(crate) fn ring(&self) {
        self.is_rung.set(true);
        let waker = self.waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Waits until it is rung. One task waits at a time.
    pub(crate) async fn wait(&self) {
        poll_fn(|context| {
            if self.is_rung.take() {
                return Poll::Ready(());
            }
            *self.waker.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}
