//! An artifact on its way to a reader, whatever store it comes from: how large it is, by what it is known again, and its
//! bytes piece by piece.

use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;

use bytes::Bytes;
use futures_util::stream::{self, Stream};

use super::directory::{ArtifactKey, Artifacts};

/// How much is read at once, in bytes.
const PIECE: usize = 128 * 1024;

/// An artifact, open. What it holds does not change while it is read: artifacts are replaced and never written to.
#[derive(Debug)]
pub struct Content {
    /// Its size in bytes.
    pub bytes: u64,
    /// Another one when the artifact is another one: plain letters, digits and `-`.
    pub tag: String,
    file: fs_err::File,
}

impl Artifacts {
    /// Opens the artifact for a reader. Blocks, as files do.
    ///
    /// # Errors
    /// `NotFound` when there is none; otherwise as the file system says.
    pub fn content(&self, key: &ArtifactKey) -> io::Result<Content> {
        let file = self.reader(key)?;
        let found = file.metadata()?;
        let tag = format!("{:x}-{:x}-{:x}-{:x}", found.len(), found.ino(), found.mtime(), found.mtime_nsec());
        Ok(Content { bytes: found.len(), tag, file })
    }
}

impl Content {
    /// The `length` bytes from `offset` on, piece by piece. What is not there any more ends with an error, so that nobody
    /// takes a part for the whole.
    pub fn pieces(self, offset: u64, length: u64) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync + 'static {
        stream::unfold(Some(Rest { file: self.file, offset, length }), |rest| async move {
            let rest = rest.filter(|rest| rest.length > 0)?;
            let read = tokio::task::spawn_blocking(move || rest.read()).await;
            match read.map_err(io::Error::other).and_then(|read| read) {
                Ok((piece, rest)) => Some((Ok(piece), Some(rest))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }
}

/// What is still to be read.
struct Rest {
    file: fs_err::File,
    offset: u64,
    length: u64,
}

impl Rest {
    fn read(mut self) -> io::Result<(Bytes, Self)> {
        let mut piece = vec![0; usize::try_from(self.length).unwrap_or(PIECE).min(PIECE)];
        self.file.seek(SeekFrom::Start(self.offset))?;
        let count = self.file.read(&mut piece)?;
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the artifact became shorter"));
        }
        piece.truncate(count);
        self.offset += count as u64;
        self.length -= count as u64;
        Ok((Bytes::from(piece), self))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;

    async fn read(content: Content, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        let mut pieces = Box::pin(content.pieces(offset, length));
        let mut bytes = Vec::new();
        while let Some(piece) = pieces.next().await {
            bytes.extend_from_slice(&piece?);
        }
        Ok(bytes)
    }

    #[tokio::test]
    async fn a_reader_gets_every_byte_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let store = Artifacts::open(dir.path()).unwrap();
        let key = ArtifactKey::parse("sweeps/s/analysis.csv").unwrap();
        assert_eq!(store.content(&key).unwrap_err().kind(), io::ErrorKind::NotFound);
        let text: Vec<u8> = (0..3 * PIECE + 5).map(|at| (at % 251) as u8).collect();
        store.write(&key, &text).unwrap();
        let whole = store.content(&key).unwrap();
        let (bytes, tag) = (whole.bytes, whole.tag.clone());
        assert_eq!(bytes, text.len() as u64);
        assert!(read(whole, 0, bytes).await.unwrap() == text);
        let part = read(store.content(&key).unwrap(), PIECE as u64 - 1, 3).await.unwrap();
        assert_eq!(part, text[PIECE - 1..PIECE + 2]);
        assert_eq!(store.content(&key).unwrap().tag, tag, "the same as long as it is the same");

        let cut = read(store.content(&key).unwrap(), 0, bytes + 1).await.unwrap_err();
        assert_eq!(cut.kind(), io::ErrorKind::UnexpectedEof);
        store.write(&key, &text).unwrap();
        assert_ne!(store.content(&key).unwrap().tag, tag, "written anew");
    }
}
