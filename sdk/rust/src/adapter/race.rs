//! Two things to wait for.

use std::future::poll_fn;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::Poll;

/// Whichever is ready first; the first if both are.
pub(super) async fn race<A, B>(
    mut first: Pin<&mut impl Future<Output = A>>,
    mut second: Pin<&mut impl Future<Output = B>>,
) -> ControlFlow<A, B> {
    poll_fn(|context| {
        if let Poll::Ready(output) = first.as_mut().poll(context) {
            return Poll::Ready(ControlFlow::Break(output));
        }
        second.as_mut().poll(context).map(ControlFlow::Continue)
    })
    .await
}
