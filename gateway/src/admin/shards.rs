//! Asks the shards how they are, and never waits for one without limit.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::sync::oneshot::{Receiver, channel, error::TryRecvError};
use tokio::time::{Instant, timeout_at};

use crate::mesh::{Letter, Mesh};
use crate::snapshot::Snapshot;

/// All shards, seen from the admin thread.
pub(crate) struct Shards {
    mesh: Arc<Mesh>,
    /// By shard, the question that it has not answered: a shard that stands still is asked once, not once a scrape.
    open: Mutex<Vec<Option<Receiver<Box<Snapshot>>>>>,
    patience: Duration,
}

impl Shards {
    /// For so many shards; an answer is waited for as long as `patience`, for all of them together.
    pub(crate) fn new(mesh: Arc<Mesh>, shard_count: u16, patience: Duration) -> Shards {
        Shards { mesh, open: Mutex::new((0..shard_count).map(|_| None).collect()), patience }
    }

    /// By shard, its answer; `None` for one that gave none in time. Two who ask at once are answered one after the other.
    pub(crate) async fn ask(&self) -> Vec<Option<Box<Snapshot>>> {
        let mut open = self.open.lock().await;
        let deadline = Instant::now() + self.patience;
        for (shard, question) in (0..).zip(open.iter_mut()) {
            // An answer that came after its asker had gone is old news.
            if question.as_mut().is_none_or(|answer| !matches!(answer.try_recv(), Err(TryRecvError::Empty))) {
                let (reply, answer) = channel();
                self.mesh.send_letter(shard, Letter::Report(reply));
                *question = Some(answer);
            }
        }
        let mut answers = Vec::with_capacity(open.len());
        for question in open.iter_mut() {
            let answer = match question {
                Some(answer) => timeout_at(deadline, answer).await.ok(),
                None => None,
            };
            if answer.is_some() {
                *question = None;
            }
            answers.push(answer.and_then(Result::ok));
        }
        answers
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use crate::mesh::MeshEnd;

    use super::*;

    /// Answers every question that waits at this end; says how many there were.
    fn answer(end: &mut MeshEnd) -> usize {
        let mut count = 0;
        while let Some(letter) = end.next_letter() {
            if let Letter::Report(reply) = letter {
                count += 1;
                // Nobody may be waiting any more.
                let _ = reply.send(Box::new(crate::snapshot::tests::sample()));
            }
        }
        count
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
    }

    #[test]
    fn a_shard_that_stands_still_is_named_and_asked_once() {
        let mesh = Mesh::new(2);
        let (mut quick, mut stuck) = (mesh.end(0), mesh.end(1));
        let shards = Shards::new(Arc::clone(&mesh), 2, Duration::from_millis(50));
        block_on(async {
            for _ in 0..3 {
                let (answers, ()) = tokio::join!(shards.ask(), async { assert_eq!(answer(&mut quick), 1) });
                assert_eq!(answers.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false]);
            }
            assert_eq!(answer(&mut stuck), 1, "asked once");
            // It goes on: what it said too late is not taken for today's answer.
            let (answers, ()) = tokio::join!(shards.ask(), async {
                assert_eq!((answer(&mut quick), answer(&mut stuck)), (1, 1));
            });
            assert!(answers.iter().all(Option::is_some));
        });
    }
}
