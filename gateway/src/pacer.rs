//! How a task that always has something to do lets its runtime look at its own ring, once each time.
//!
//! A monoio task that wakes itself is run again, several times, before the runtime submits and takes completions; its main future
//! is polled only when no task is left to run, and after that the runtime always does both. So the busy task pauses, the main
//! future wakes it.

use std::cell::RefCell;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

/// Between the busy task and the main future of one runtime.
#[derive(Default)]
pub(crate) struct Pacer {
    main: RefCell<Option<Waker>>,
    task: RefCell<Option<Waker>>,
}

impl Pacer {
    /// The busy task: lets all others run, and the runtime submit and take completions.
    pub(crate) async fn pause(&self) {
        let mut has_paused = false;
        poll_fn(|context| {
            if has_paused {
                return Poll::Ready(());
            }
            has_paused = true;
            *self.task.borrow_mut() = Some(context.waker().clone());
            let main = self.main.borrow();
            main.as_ref().expect("the main future is polled before any task runs").wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    /// The main future: to be called whenever it is polled.
    pub(crate) fn go_on(&self, context: &Context<'_>) {
        let mut main = self.main.borrow_mut();
        if !main.as_ref().is_some_and(|main| main.will_wake(context.waker())) {
            *main = Some(context.waker().clone());
        }
        let task = self.task.take();
        if let Some(task) = task {
            task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::pin::pin;
    use std::rc::Rc;

    use super::*;

    #[test]
    fn a_busy_task_does_not_keep_completions_from_others() {
        let mut runtime = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new().build().unwrap();
        let pacer = Rc::new(Pacer::default());
        let turns = runtime.block_on(async {
            let is_done = Rc::new(Cell::new(false));
            let done = Rc::clone(&is_done);
            let file = monoio::fs::File::from_std(std::fs::File::open("/proc/self/exe").unwrap()).unwrap();
            monoio::spawn(async move {
                file.read_at(vec![0; 1], 0).await.0.unwrap();
                done.set(true);
            });
            let busy_pacer = Rc::clone(&pacer);
            let mut busy = pin!(monoio::spawn(async move {
                let mut turns = 0u64;
                while !is_done.get() {
                    turns += 1;
                    assert!(turns < 1_000_000_000, "the read was never completed");
                    busy_pacer.pause().await;
                }
                turns
            }));
            poll_fn(|context| {
                pacer.go_on(context);
                std::future::Future::poll(busy.as_mut(), context)
            })
            .await
        });
        assert!(turns > 0);
    }
}
