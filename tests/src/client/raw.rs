//! A client that writes bytes: what no HTTP library would send.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// An answer that is awaited must come within this time.
const PATIENCE: Duration = Duration::from_secs(5);
/// With no byte for so long nothing more is coming.
const SILENCE: Duration = Duration::from_millis(400);

/// Writes each part once what has come back contains its text, and gives all that comes back until the connection
/// closes or falls silent.
pub async fn send(address: SocketAddr, parts: &[(&str, &[u8])]) -> Result<Vec<u8>> {
    let mut connection = TcpStream::connect(address).await.context("cannot connect to the gateway")?;
    connection.set_nodelay(true)?;
    let mut received = Vec::new();
    for (awaited, bytes) in parts {
        while !contains(&received, awaited.as_bytes()) {
            let count = timeout(PATIENCE, connection.read_buf(&mut received)).await;
            let count = count.with_context(|| format!("{awaited:?} never came"))??;
            ensure!(count > 0, "closed before {awaited:?} came: {}", received.escape_ascii());
        }
        // A gateway that refuses may close before all is written.
        if connection.write_all(bytes).await.is_err() {
            break;
        }
    }
    // The first byte may take its time, or the gateway closes without any.
    let mut silence = PATIENCE;
    while let Ok(Ok(count)) = timeout(silence, connection.read_buf(&mut received)).await {
        if count == 0 {
            break;
        }
        silence = SILENCE;
    }
    Ok(received)
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    part.is_empty() || text.windows(part.len()).any(|window| window == part)
}
