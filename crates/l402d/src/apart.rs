//! Threads apart from the one that serves: for work whose computing would hold up every other answer.

use std::{future::Future, io};

use tokio::{
    runtime::{Builder, Handle, Runtime},
    task::{AbortHandle, JoinError},
};

/// As many as are of use beside nginx on a small machine.
const THREADS: usize = 2;

/// Ends when it is dropped, and what works there with it.
pub struct Apart {
    handle: Handle,
    /// There until the end.
    runtime: Option<Runtime>,
}

impl Apart {
    /// Starts the threads.
    ///
    /// # Errors
    /// The system's.
    pub fn start() -> io::Result<Self> {
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(THREADS).thread_name("l402d-apart").enable_all().build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    /// Does it there, and what it starts. Dropping the future gives it up.
    ///
    /// # Errors
    /// It panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, JoinError> {
        let task = self.handle.spawn(work);
        let _given_up = GiveUp(task.abort_handle());
        task.await
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        // Waiting for the threads here would hold up the one that serves.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

struct GiveUp(AbortHandle);

impl Drop for GiveUp {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn works_elsewhere_and_may_be_given_up() {
        let apart = Apart::start().unwrap();
        assert_ne!(apart.run(async { thread::current().id() }).await.unwrap(), thread::current().id());
        assert!(apart.run(async { panic!("a fault") }).await.unwrap_err().is_panic());
        let (held, mut dropped) = oneshot::channel::<()>();
        let (began, begun) = oneshot::channel();
        let work = apart.run(async move {
            began.send(()).unwrap();
            std::future::pending::<()>().await;
            drop(held);
        });
        tokio::select! {
            _ = work => unreachable!("it waits for ever"),
            begun = begun => begun.unwrap(),
        }
        (&mut dropped).await.unwrap_err();
    }
}
