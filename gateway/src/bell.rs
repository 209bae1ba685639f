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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_remembers_one_ring_and_rouses_who_waits() {
        let mut runtime = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new().build().unwrap();
        runtime.block_on(async {
            let bell = Bell::new();
            bell.ring();
            bell.ring();
            bell.wait().await;
            let ringer = Rc::clone(&bell);
            let order = Rc::new(RefCell::new(Vec::new()));
            let rung = Rc::clone(&order);
            monoio::spawn(async move {
                rung.borrow_mut().push("rung");
                ringer.ring();
            });
            bell.wait().await;
            order.borrow_mut().push("roused");
            assert_eq!(*order.borrow(), ["rung", "roused"]);
        });
    }
}
