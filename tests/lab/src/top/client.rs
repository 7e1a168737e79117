// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Fetches a daemon's current state.

use std::io;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::address::Address;
use super::seen::Seen;

/// How long a daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// No daemon's answer is longer: 500 ranges, and as many names.
const LONGEST: usize = 16 << 20;

/// The daemon's current state.
pub async fn look(address: &Address) -> Result<Seen> {
    let asked = timeout(PATIENCE, ask(address)).await;
    let text = asked.unwrap_or_else(|_| {
        Err(anyhow!(
            "{address} has not answered in {PATIENCE:?}: is that a daemon's --metrics?"
        ))
    })?;
    Seen::from_json(&text).with_context(|| format!("what {address} says can't be understood"))
}

async fn ask(address: &Address) -> Result<Bytes> {
    let no_daemon = |error: io::Error| {
        anyhow!("no daemon at {address} ({error}): start it with --metrics {address}")
    };
    match address {
        Address::Tcp(at) => get(TcpStream::connect(at).await.map_err(no_daemon)?, at).await,
        Address::Unix(path) => {
            get(
                UnixStream::connect(path).await.map_err(no_daemon)?,
                "daemon",
            )
            .await
        }
    }
}

async fn get<T>(stream: T, host: &str) -> Result<Bytes>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the sender, which also reports the connection's errors.
    tokio::spawn(connection);
    let request = Request::get("/window.json")
        .header(HOST, host)
        .body(Empty::<Bytes>::new())?;
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    ensure!(status == StatusCode::OK, "{host} answers {status}");
    let body = Limited::new(answer.into_body(), LONGEST).collect().await;
    Ok(body.map_err(|error| anyhow!(error))?.to_bytes())
}
