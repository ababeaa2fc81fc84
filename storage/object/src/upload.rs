//! An upload: one request for what is small, else pieces that go up while the next is made.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use object_store::multipart::PartId;
use object_store::{PutPayload, path::Path};

use tributary_core::bytestore::Upload;
use tributary_core::{Error, Result};
use tributary_threads::Work;

use crate::error::failed;
use crate::notes;
use crate::store::Server;

/// Size of the first pieces. All services take 5 MiB; the contract promises 8 in each call but the last.
const PIECE_BYTES: u64 = 8 << 20;
/// Pieces of one size. After each such run, pieces double, so that the most that a service takes (10 000) hold any part.
const RUN: usize = 1000;
/// Pieces on their way at once: enough to keep a line busy while one waits for its answer.
const AT_ONCE: usize = 4;

/// See the module. Dropped before its end, it aborts what the server has of it.
pub(crate) struct ObjectUpload {
    server: Arc<Server>,
    path: String,
    target: Path,
    waiting: Vec<Bytes>,
    waiting_bytes: u64,
    pieces: Option<Pieces>,
}

/// An upload that the server has begun.
struct Pieces {
    id: String,
    note: String,
    /// Writes the note again and again, so that clean-up never takes it for that of a writer that is gone.
    renewing: Option<Work<()>>,
    begun: usize,
    on_their_way: VecDeque<Work<PartId>>,
    there: Vec<PartId>,
}

impl ObjectUpload {
    pub(crate) fn new(server: Arc<Server>, path: &str) -> Result<Self> {
        let target = server.name(path)?;
        let (waiting, waiting_bytes, pieces) = (Vec::new(), 0, None);
        Ok(Self { server, path: path.to_owned(), target, waiting, waiting_bytes, pieces })
    }

    fn take(&mut self) -> PutPayload {
        self.waiting_bytes = 0;
        std::mem::take(&mut self.waiting).into_iter().collect()
    }

    /// Begins at the server, once, and notes that.
    async fn begin(&mut self) -> Result<()> {
        if self.pieces.is_some() {
            return Ok(());
        }
        let (server, target) = (self.server.clone(), self.target.clone());
        let begun = async move {
            let id = server.multipart.create_multipart(&target).await;
            id.map_err(|why| failed("begin to write", &server.address_of(&target), why))
        };
        let id = self.server.threads.run(begun).await?;
        let note = notes::beside(&self.path)?;
        let text = notes::write(&self.target, &id);
        self.pieces = Some(Pieces {
            id,
            note: note.clone(),
            renewing: None,
            begun: 0,
            on_their_way: VecDeque::new(),
            there: Vec::new(),
        });
        self.server.put(&note, text.clone().into()).await?;
        if let Some(pieces) = &mut self.pieces {
            pieces.renewing = Some(self.server.renew(note, text));
        }
        Ok(())
    }

    /// Sends all that waits as one piece; waits for an earlier one if too many are on their way.
    async fn send(&mut self) -> Result<()> {
        self.begin().await?;
        let payload = self.take();
        let (server, target) = (self.server.clone(), self.target.clone());
        let pieces =
            self.pieces.as_mut().ok_or_else(|| Error::bug("pieces of an upload that has not begun"))?;
        let (id, number) = (pieces.id.clone(), pieces.begun);
        let sent = async move {
            let sent = server.multipart.put_part(&target, &id, number, payload).await;
            sent.map_err(|why| failed("write a piece of", &server.address_of(&target), why))
        };
        pieces.begun += 1;
        pieces.on_their_way.push_back(self.server.threads.run(sent));
        pieces.settle(AT_ONCE).await
    }

    async fn complete(&mut self) -> Result<()> {
        if self.pieces.is_none() {
            let payload = self.take();
            return self.server.put(&self.path, payload).await;
        }
        if self.waiting_bytes > 0 {
            self.send().await?;
        }
        let Some(pieces) = self.pieces.as_mut() else { return Ok(()) };
        pieces.settle(0).await?;
        // before the end, so that no note appears after it
        pieces.renewing = None;
        let (server, target) = (self.server.clone(), self.target.clone());
        let (id, there) = (pieces.id.clone(), std::mem::take(&mut pieces.there));
        let completed = async move {
            let completed = server.multipart.complete_multipart(&target, &id, there).await;
            completed.map(drop).map_err(|why| failed("finish", &server.address_of(&target), why))
        };
        self.server.threads.run(completed).await
    }
}

impl Pieces {
    /// Waits until no more than so many are on their way.
    async fn settle(&mut self, most: usize) -> Result<()> {
        while self.on_their_way.len() > most {
            if let Some(first) = self.on_their_way.front_mut() {
                let part = first.await;
                self.on_their_way.pop_front();
                self.there.push(part?);
            }
        }
        Ok(())
    }

    fn piece_bytes(begun: usize) -> u64 {
        PIECE_BYTES << (begun / RUN).min(8)
    }
}

#[async_trait]
impl Upload for ObjectUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.waiting_bytes += bytes.len() as u64;
        self.waiting.push(bytes);
        let begun = self.pieces.as_ref().map_or(0, |pieces| pieces.begun);
        // A first piece may be all there is: it waits for a second one.
        let enough = if begun == 0 { PIECE_BYTES + 1 } else { Pieces::piece_bytes(begun) };
        match self.waiting_bytes >= enough {
            true => self.send().await,
            false => Ok(()),
        }
    }

    async fn finish(mut self: Box<Self>) -> Result<()> {
        self.complete().await?;
        let Some(pieces) = self.pieces.take() else { return Ok(()) };
        // Clean-up finds a note that stays, of an upload that is no more.
        drop(self.server.forget(&pieces.note).await);
        Ok(())
    }

    async fn abort(mut self: Box<Self>) {
        if let Some(Pieces { note, renewing, on_their_way, .. }) = self.pieces.take() {
            drop((renewing, on_their_way));
            let server = self.server.clone();
            drop(self.server.threads.run(async move { server.delete(&[note]).await }).await);
        }
    }
}

impl Drop for ObjectUpload {
    fn drop(&mut self) {
        let Some(Pieces { note, renewing, on_their_way, .. }) = self.pieces.take() else { return };
        drop((renewing, on_their_way));
        let server = self.server.clone();
        self.server.threads.leave(async move { drop(server.delete(&[note]).await) });
    }
}
