//! Servers on threads of their own, so that their processor time can be told apart.

use std::net::SocketAddr;
use std::sync::mpsc;

use anyhow::{Context as _, Result};
use tokio::net::TcpListener;
use tokio::runtime::Builder;

use crate::cpu::CpuClock;

/// Runs a server on a free port of the loopback interface until the process ends.
pub(crate) fn serve<F>(
    name: &str,
    server: impl FnOnce(TcpListener) -> F + Send + 'static,
) -> Result<(SocketAddr, CpuClock)>
where
    F: Future<Output = ()>,
{
    let (started, has_started) = mpsc::channel();
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        let bound = || -> Result<_> {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
            let address = listener.local_addr()?;
            Ok((runtime, listener, address))
        };
        match bound() {
            Ok((runtime, listener, address)) => {
                // The other side is gone only if the program is ending.
                let _ = started.send(CpuClock::of_this_thread().map(|clock| (address, clock)));
                runtime.block_on(server(listener));
            }
            Err(error) => {
                let _ = started.send(Err(error));
            }
        }
    })?;
    has_started.recv().with_context(|| format!("the {name} has ended before it had begun"))?
}
