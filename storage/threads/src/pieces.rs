//! What work on a store's threads gives piece by piece.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::Stream;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use tributary_core::Result;

use crate::{Threads, Work};

impl Threads {
    /// What work there gives piece by piece, at most `ahead` of them before they are asked for; its error comes last. Dropped, the
    /// stream stops the work.
    pub fn stream<T, W>(&self, ahead: usize, work: impl FnOnce(Sender<T>) -> W) -> Pieces<T>
    where
        T: Send + 'static,
        W: Future<Output = Result<()>> + Send + 'static,
    {
        let (pieces, receiver) = channel(ahead.max(1));
        Pieces { receiver, work: Some(self.run(work(pieces))) }
    }
}

/// Pieces from work on a store's threads.
pub struct Pieces<T> {
    receiver: Receiver<T>,
    work: Option<Work<()>>,
}

impl<T> Stream for Pieces<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.receiver.poll_recv(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(piece)) => Poll::Ready(Some(Ok(piece))),
            // No sender is left: the work has ended, or is about to.
            Poll::Ready(None) => {
                let Some(work) = self.work.as_mut() else { return Poll::Ready(None) };
                let Poll::Ready(ended) = Pin::new(work).poll(context) else { return Poll::Pending };
                self.work = None;
                Poll::Ready(ended.err().map(Err))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::StreamExt;
    use futures::executor::block_on;

    use tributary_core::Error;

    use super::*;

    #[test]
    fn pieces_come_in_order_and_the_error_last() {
        let threads = Threads::start("test").unwrap();
        let pieces = threads.stream(2, |pieces| async move {
            for piece in 0..5 {
                let _ = pieces.send(piece).await;
            }
            Err(Error::invalid("that was all"))
        });
        let found: Vec<Result<i32>> = block_on(pieces.collect());
        assert_eq!(found.iter().flatten().copied().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        assert!(found.last().unwrap().is_err() && found.len() == 6);
    }

    #[test]
    fn a_stream_that_is_dropped_stops_its_work() {
        let threads = Threads::start("test").unwrap();
        let held = Arc::new(());
        let inside = held.clone();
        let pieces = threads.stream(1, |pieces| async move {
            while pieces.send(()).await.is_ok() {}
            std::future::pending::<()>().await;
            drop(inside);
            Ok(())
        });
        drop(pieces);
        while Arc::strong_count(&held) > 1 {
            std::thread::yield_now();
        }
    }
}
