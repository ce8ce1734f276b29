//! lightningd's socket: JSON-RPC 2.0, any number of calls at once on each connection.

use std::fs;
use std::io;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use super::{Cln, RpcError};
use crate::call::ConnectionId;
use crate::listener::{Mode, ModeChange};

/// Serves `cln` at `path` until the sender of `modes` is gone.
pub(crate) async fn serve(
    listener: UnixListener,
    path: PathBuf,
    cln: Arc<Cln>,
    mut modes: mpsc::UnboundedReceiver<ModeChange>,
) {
    let (mut listener, mut mode) = (Some(listener), Mode::Open);
    // Connections that came while the port was silent; they end with the silence.
    let mut ignored = Vec::new();
    loop {
        tokio::select! {
            biased;
            change = modes.recv() => {
                let Some((next, done)) = change else { return };
                mode = next;
                ignored.clear();
                // Nobody may be waiting any more; then the outcome is of no interest.
                let _ = done.send(set(&mut listener, mode, &path));
            }
            accepted = accept(listener.as_ref()) => match (accepted, mode) {
                (Ok(stream), Mode::Silent) => ignored.push(stream),
                (Ok(stream), _) => {
                    tokio::spawn(connection(stream, cln.clone()));
                }
                (Err(error), _) => tracing::warn!(%error, "a connection could not be accepted"),
            },
        }
    }
}

/// While it is closed, the file stays and nobody listens.
fn set(listener: &mut Option<UnixListener>, mode: Mode, path: &Path) -> io::Result<()> {
    match mode {
        Mode::Closed => *listener = None,
        Mode::Open | Mode::Silent if listener.is_none() => {
            let rights = fs::metadata(path)?.permissions();
            fs::remove_file(path)?;
            *listener = Some(UnixListener::bind(path)?);
            fs::set_permissions(path, rights)?;
        }
        Mode::Open | Mode::Silent => {}
    }
    Ok(())
}

async fn accept(listener: Option<&UnixListener>) -> io::Result<UnixStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}

async fn connection(stream: UnixStream, cln: Arc<Cln>) {
    let registered = register(stream, &cln);
    let Ok((stream, id)) = registered else { return };
    serve_connection(stream, ConnectionId(id), &cln).await;
    cln.world.connections.remove(id);
}

/// Enters the connection into the list of those that can be cut. To the list a socket is a socket, whatever its family.
fn register(stream: UnixStream, cln: &Cln) -> io::Result<(UnixStream, u64)> {
    let stream = stream.into_std()?;
    let id = cln.world.connections.add(TcpStream::from(OwnedFd::from(stream.try_clone()?)));
    Ok((UnixStream::from_std(stream)?, id))
}

async fn serve_connection(stream: UnixStream, id: ConnectionId, cln: &Arc<Cln>) {
    let (mut from, to) = stream.into_split();
    let to = Arc::new(Mutex::new(to));
    // They end with their connection.
    let mut calls = JoinSet::new();
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        match from.read(&mut chunk).await {
            Ok(0) | Err(_) => return,
            Ok(count) => bytes.extend_from_slice(&chunk[..count]),
        }
        let mut values = serde_json::Deserializer::from_slice(&bytes).into_iter::<Value>();
        let mut taken = 0;
        while let Some(Ok(request)) = values.next() {
            taken = values.byte_offset();
            let (cln, to) = (cln.clone(), to.clone());
            calls.spawn(async move {
                let reply = answer(&cln, id, &request).await;
                let _ = to.lock().await.write_all(format!("{reply:#}\n\n").as_bytes()).await;
            });
        }
        bytes.drain(..taken);
    }
}

async fn answer(cln: &Cln, connection: ConnectionId, request: &Value) -> Value {
    let method = request["method"].as_str().unwrap_or_default();
    let mut reply = json!({ "jsonrpc": "2.0", "id": request["id"] });
    match cln.call(Some(connection), method, &request["params"]).await {
        Ok(result) => reply["result"] = result,
        Err(RpcError { code, message }) => reply["error"] = json!({ "code": code, "message": message }),
    }
    reply
}
