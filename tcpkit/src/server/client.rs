//! One connection: whoever says nothing is told everything, whoever asks gets an answer.

use std::{convert::Infallible, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::{State, deadline::WriteDeadline, routes};
use crate::stats::established;

/// Who said nothing for so long waits to be told.
const SILENCE: Duration = Duration::from_millis(200);

/// How long a request's head may take, and how long a connection may wait for the next one.
const HEAD_TIME: Duration = Duration::from_secs(5);

/// The longest head of a request, in bytes; the least that hyper can be told.
const MAX_HEAD: usize = 8192;

/// How long a client may take to take what it is sent.
const WRITE_TIME: Duration = Duration::from_secs(10);

/// How long to wait for the other end to close, so that what it sent late does not destroy what it was
/// told, and how much of that is read.
const CLOSE_TIME: Duration = Duration::from_millis(500);
const MAX_LATE: u64 = 64 * 1024;

pub(super) async fn serve(stream: TcpStream, state: Arc<State>) {
    // Each answer is written at once. Where it cannot be set, it is only slower.
    let _ = stream.set_nodelay(true);
    // Whatever goes wrong from here on is the client's affair.
    match timeout(SILENCE, stream.peek(&mut [0])).await {
        Ok(Ok(1..)) => answer(stream, state).await,
        Ok(Ok(0)) | Err(_) => tell(stream, &state).await,
        Ok(Err(_)) => {}
    }
}

/// The established form, then close.
async fn tell(mut stream: TcpStream, state: &State) {
    let text = established::json(&state.sources.statistics.collected());
    let write = async {
        stream.write_all(text.as_bytes()).await?;
        stream.shutdown().await
    };
    if let Ok(Ok(())) = timeout(WRITE_TIME, write).await {
        let rest = &mut stream.take(MAX_LATE);
        let _ = timeout(CLOSE_TIME, tokio::io::copy(rest, &mut tokio::io::sink())).await;
    }
}

/// HTTP/1.1 (RFC 9112).
async fn answer(stream: TcpStream, state: Arc<State>) {
    let service = service_fn(move |request| {
        let state = Arc::clone(&state);
        async move { Ok::<_, Infallible>(routes::answer(&request, &state).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(MAX_HEAD)
        // `nc -N` closes its side when it has asked.
        .half_close(true)
        .serve_connection(TokioIo::new(WriteDeadline::new(stream, WRITE_TIME)), service);
    if let Err(error) = connection.await {
        log::debug!("a client of the statistics: {error}");
    }
}
