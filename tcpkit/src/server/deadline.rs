//! A stream whose other end has to take what it is sent within a time.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// A stream that breaks when something it is to write was not taken within a time.
///
/// The time begins when the stream takes no more, and ends when everything was taken: reading a byte now
/// and then does not make it longer.
pub(super) struct WriteDeadline<S> {
    stream: S,
    time: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> WriteDeadline<S> {
    pub(super) fn new(stream: S, time: Duration) -> Self {
        Self { stream, time, waiting: None }
    }

    fn or_late<T>(
        &mut self,
        cx: &mut Context<'_>,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        // As long as something waits, each try counts.
        if result.is_pending() || self.waiting.is_some() {
            let time = self.time;
            let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(time)));
            if waiting.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        result
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteDeadline<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteDeadline<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.or_late(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.or_late(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(cx);
        ready!(self.or_late(cx, result))?;
        self.waiting = None;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.or_late(cx, result)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        time::Instant,
    };

    use super::*;

    fn run(work: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.expect("a runtime").block_on(work);
    }

    #[test]
    fn a_reader_that_takes_a_byte_now_and_then_is_not_waited_for() {
        run(async {
            let (near, mut far) = tokio::io::duplex(64);
            let mut near = WriteDeadline::new(near, Duration::from_millis(100));
            let begin = Instant::now();
            let reader = async {
                while begin.elapsed() < Duration::from_secs(10) {
                    sleep(Duration::from_millis(20)).await;
                    if far.read_u8().await.is_err() {
                        break;
                    }
                }
            };
            tokio::select! {
                result = near.write_all(&[0; 10_000]) => {
                    assert_eq!(result.expect_err("a deadline").kind(), io::ErrorKind::TimedOut);
                    assert!(begin.elapsed() >= Duration::from_millis(100));
                }
                () = reader => panic!("it waited for ever"),
            }
        });
    }

    #[test]
    fn a_reader_that_takes_all_has_its_time_anew() {
        run(async {
            let (near, mut far) = tokio::io::duplex(64);
            let mut near = WriteDeadline::new(near, Duration::from_millis(500));
            for _ in 0..3 {
                let begin = Instant::now();
                let write = async {
                    near.write_all(&[0; 65]).await.expect("it is taken in time");
                    near.flush().await.expect("it is taken in time");
                };
                let read = async {
                    sleep(Duration::from_millis(250)).await;
                    far.read_exact(&mut [0; 65]).await.expect("all of it");
                };
                tokio::join!(write, read);
                assert!(begin.elapsed() >= Duration::from_millis(250));
            }
        });
    }
}
