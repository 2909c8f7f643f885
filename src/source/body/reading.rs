use std::{sync::Arc, thread::available_parallelism};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
};

/// Reading so much holds up whoever else is served by the same thread.
const LARGE: usize = 256 * 1024;

/// Reads bodies: small ones on the spot, large and compressed ones elsewhere than on the threads
/// that serve connections, and only a few at once. So what compressed bodies
/// become is bounded however many come at once.
#[derive(Debug)]
pub(in crate::source) struct Reading {
    turns: Arc<Semaphore>,
}

/// Held while what was read of a large body is in memory.
pub(in crate::source) type Turn = Option<OwnedSemaphorePermit>;

impl Default for Reading {
    fn default() -> Self {
        let cores = available_parallelism().map_or(2, |cores| cores.get().clamp(2, 8));
        Self { turns: Arc::new(Semaphore::new(cores)) }
    }
}

impl Reading {
    /// Calls `read`, which returns what it read and its size after decompression. `sent` is the
    /// size of the body as it came. The outer error says why `read` did not come to its end.
    pub(in crate::source) async fn read<T, E>(
        &self,
        sent: usize,
        compressed: bool,
        read: impl FnOnce() -> Result<(T, usize), E> + Send + 'static,
    ) -> Result<Result<(T, usize, Turn), E>, String>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        if !compressed && sent < LARGE {
            return Ok(read().map(|(read, size)| (read, size, None)));
        }
        let turn = self.turns.clone().acquire_owned().await.ok();
        let read = spawn_blocking(read).await;
        let read = read.map_err(|error| format!("the body cannot be read now: {error}"))?;
        Ok(read.map(|(read, size)| (read, size, turn.filter(|_| size >= LARGE))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(reading: &Reading, sent: usize, compressed: bool, size: usize) -> Turn {
        let read = reading.read(sent, compressed, move || Ok::<_, ()>(((), size))).await;
        read.unwrap().unwrap().2
    }

    #[tokio::test]
    async fn only_so_many_large_bodies_are_in_memory_however_small_they_came() {
        let reading = Reading { turns: Arc::new(Semaphore::new(1)) };
        assert!(read(&reading, 10, false, 10).await.is_none());
        assert!(read(&reading, 10, true, 10).await.is_none(), "it became nothing large");
        let turn = read(&reading, 10, true, LARGE).await;
        assert!(turn.is_some());
        let mut next = std::pin::pin!(read(&reading, LARGE, false, LARGE));
        let waits = futures_util::future::select(&mut next, std::future::ready(())).await;
        assert!(matches!(waits, futures_util::future::Either::Right(_)));
        drop(turn);
        assert!(next.await.is_some());
    }
}
