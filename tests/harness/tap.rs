//! A tap between nginx and a node: the node can be made unreachable or silent without touching it, so that
//! one real node serves scenarios that run side by side.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Open,
    /// Connections are taken, bytes are held back.
    Silent,
    /// Connections are refused, those that existed are cut.
    Gone,
    /// The tap itself is over.
    Ended,
}

struct State {
    flow: Flow,
    listening: bool,
    streams: Vec<TcpStream>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    to: SocketAddr,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while(&self, waits: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        self.changed.wait_while(self.lock(), |state| waits(state)).unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running tap; dropping it cuts what goes through it.
pub struct Tap {
    shared: Arc<Shared>,
    address: SocketAddr,
}

impl Tap {
    /// A tap in front of `to`, open.
    pub fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = State { flow: Flow::Open, listening: true, streams: Vec::new() };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new(), to });
        let inner = Arc::clone(&shared);
        thread::spawn(move || listen(listener, address, &inner));
        Self { shared, address }
    }

    /// Where the node seems to be.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets bytes and connections through.
    pub fn open(&self) {
        self.set(Flow::Open);
        drop(self.shared.wait_while(|state| !state.listening));
    }

    /// Takes connections and bytes, and passes nothing on, either way.
    pub fn silence(&self) {
        self.set(Flow::Silent);
    }

    /// Refuses connections and cuts those that exist.
    pub fn cut(&self) {
        self.set(Flow::Gone);
        drop(self.shared.wait_while(|state| state.listening));
    }

    fn set(&self, flow: Flow) {
        let mut state = self.shared.lock();
        state.flow = flow;
        if matches!(flow, Flow::Gone | Flow::Ended) {
            for stream in state.streams.drain(..) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        drop(state);
        self.shared.changed.notify_all();
        // Wakes the thread that waits in accept.
        let _ = TcpStream::connect(self.address);
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.set(Flow::Ended);
    }
}

fn listen(first: TcpListener, address: SocketAddr, shared: &Arc<Shared>) {
    let mut listener = first;
    loop {
        for stream in listener.incoming().flatten() {
            if matches!(shared.lock().flow, Flow::Gone | Flow::Ended) {
                break;
            }
            // Failing to reach the node drops the client: what nginx would see of a node that is gone.
            let _ = join(stream, shared);
        }
        drop(listener);
        shared.lock().listening = false;
        shared.changed.notify_all();
        let flow = shared.wait_while(|state| state.flow == Flow::Gone).flow;
        if flow == Flow::Ended {
            return;
        }
        listener = TcpListener::bind(address).expect("the port of before");
        shared.lock().listening = true;
        shared.changed.notify_all();
    }
}

fn join(client: TcpStream, shared: &Arc<Shared>) -> io::Result<()> {
    let node = TcpStream::connect(shared.to)?;
    let mut state = shared.lock();
    state.streams.extend([client.try_clone()?, node.try_clone()?]);
    drop(state);
    for (from, to) in [(client.try_clone()?, node.try_clone()?), (node, client)] {
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            let _ = copy(&from, &to, &shared);
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
        });
    }
    Ok(())
}

fn copy(mut from: &TcpStream, mut to: &TcpStream, shared: &Shared) -> io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    loop {
        let length = from.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        drop(shared.wait_while(|state| state.flow == Flow::Silent));
        to.write_all(&buffer[..length])?;
    }
}
