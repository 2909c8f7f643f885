use std::{io, time::Duration};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::Trouble;
use crate::{listen::Stream, source::msgpack::Extent};

/// How long the rest of a message may stop coming.
const STALL: Duration = Duration::from_mins(1);

/// How long a sender may leave its acknowledgements unread.
const UNREAD: Duration = Duration::from_secs(30);

/// How much is read at once: little while a connection is idle, so that very many cost little.
const APPETITE: (usize, usize) = (1024, 256 * 1024);

/// A connection from which messages are read whole, and to which answers are written.
#[derive(Debug)]
pub(super) struct Inbox {
    stream: Stream,
    buffer: BytesMut,
    /// Up to where the buffer holds messages that are whole.
    whole: usize,
    /// Where the message after those ends.
    extent: Extent,
    appetite: usize,
    stop: CancellationToken,
}

impl Inbox {
    /// Nothing is read once `stop` is cancelled.
    pub(super) fn new(stream: Stream, stop: CancellationToken) -> Self {
        Self {
            stream,
            buffer: BytesMut::new(),
            whole: 0,
            extent: Extent::default(),
            appetite: APPETITE.0,
            stop,
        }
    }

    /// The next messages that are whole, at least one and at most `most`; `None` once the sender
    /// has said all, or the source stops. Each message is of at most `limit` bytes.
    pub(super) async fn messages(
        &mut self,
        most: usize,
        limit: usize,
    ) -> Result<Option<Bytes>, Trouble> {
        loop {
            let looked = self.look(most, limit);
            if self.whole > 0 {
                return Ok(Some(self.take_whole()));
            }
            looked?;
            if !self.read().await? {
                return Ok(None);
            }
        }
    }

    /// Writes in one piece: senders take an acknowledgement that comes in two for a broken one.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        let written = timeout(UNREAD, async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        });
        match written.await {
            Ok(written) => Ok(written?),
            Err(_) => Err(Trouble::Unread(UNREAD.as_secs())),
        }
    }

    /// Ends the connection in good order.
    pub(super) async fn close(&mut self) {
        // It makes no difference to what was taken.
        let _ = timeout(Duration::from_secs(1), self.stream.shutdown()).await;
    }

    /// Looks for the ends of messages in what has come.
    fn look(&mut self, most: usize, limit: usize) -> Result<(), Trouble> {
        for _ in 0..most {
            let rest = &self.buffer[self.whole..];
            if rest.first().is_some_and(|first| !begins_a_message(*first)) {
                return Err(Trouble::foreign(rest)
                    .unwrap_or(Trouble::shape("a message is no array of a tag and what follows")));
            }
            let end = self.extent.find(rest)?;
            if self.extent.least() > limit as u64 {
                return Err(Trouble::TooLong(limit));
            }
            let Some(length) = end else { break };
            self.whole += length;
            self.extent = Extent::default();
        }
        Ok(())
    }

    fn take_whole(&mut self) -> Bytes {
        let messages = self.buffer.split_to(std::mem::take(&mut self.whole));
        if self.buffer.len() < messages.len() {
            // What has come of the next message does not hold on to the memory of these.
            self.buffer = BytesMut::from(&self.buffer[..]);
        }
        messages.freeze()
    }

    /// Reads on; `false` where nothing more will come.
    async fn read(&mut self) -> Result<bool, Trouble> {
        let begun = !self.buffer.is_empty();
        self.buffer.reserve(self.appetite);
        let room = self.buffer.capacity() - self.buffer.len();
        let read = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Ok(false),
            read = self.stream.read_buf(&mut self.buffer) => read?,
            () = tokio::time::sleep(STALL), if begun => {
                return Err(Trouble::Stalled(STALL.as_secs()));
            }
        };
        if read == 0 && begun {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        self.appetite = match read {
            _ if read == room => self.appetite * 2,
            _ if read < room / 4 => self.appetite / 2,
            _ => self.appetite,
        }
        .clamp(APPETITE.0, APPETITE.1);
        Ok(read > 0)
    }
}

/// Messages are arrays; nil is a heartbeat.
fn begins_a_message(first: u8) -> bool {
    matches!(first, 0x90..=0x9f | 0xc0 | 0xdc | 0xdd)
}
