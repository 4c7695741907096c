//! Reading from a file or from memory with every length known beforehand.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use crate::error::{FormatError, Result};

/// Bytes converted at a time: small enough for the second-level cache.
const CHUNK: usize = 1 << 16;

/// A file's content with its name and length; lengths read from the content are checked against the latter.
pub(crate) struct Source<R> {
    reader: R,
    pub(crate) name: String,
    pub(crate) len: u64,
    /// Byte offset of the next read.
    pub(crate) at: u64,
}

impl Source<File> {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let fail = |source| FormatError::Read { file: name.clone(), source };
        let file = File::open(path).map_err(fail)?;
        let meta = file.metadata().map_err(fail)?;
        if meta.is_dir() {
            return Err(fail(io::ErrorKind::IsADirectory.into()));
        }
        if !meta.is_file() {
            return Err(fail(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a regular file, so its length is unknown",
            )));
        }
        Ok(Self { reader: file, len: meta.len(), name, at: 0 })
    }
}

impl<'a> Source<&'a [u8]> {
    pub(crate) fn bytes(bytes: &'a [u8], name: &str) -> Self {
        Self { reader: bytes, name: name.to_owned(), len: bytes.len() as u64, at: 0 }
    }
}

impl<R: Read + Seek> Source<R> {
    /// A reader whose length is found by seeking to its end; reading starts at byte 0.
    pub(crate) fn seekable(mut reader: R, name: &str) -> Result<Self> {
        let fail = |source| FormatError::Read { file: name.to_owned(), source };
        let len = reader.seek(SeekFrom::End(0)).map_err(fail)?;
        reader.rewind().map_err(fail)?;
        Ok(Self { reader, name: name.to_owned(), len, at: 0 })
    }

    /// Goes to the byte offset `at`, which the caller has checked against the length.
    pub(crate) fn seek(&mut self, at: u64) -> Result<()> {
        let fail = |source| FormatError::Read { file: self.name.clone(), source };
        self.at = self.reader.seek(SeekFrom::Start(at)).map_err(fail)?;
        Ok(())
    }
}

impl<R: Read> Source<R> {
    pub(crate) fn reader(&mut self) -> &mut R {
        &mut self.reader
    }

    pub(crate) fn left(&self) -> u64 {
        self.len.saturating_sub(self.at)
    }

    pub(crate) fn fill(&mut self, out: &mut [u8]) -> Result<()> {
        self.reader.read_exact(out).map_err(|source| FormatError::Read { file: self.name.clone(), source })?;
        self.at += out.len() as u64;
        Ok(())
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut out = [0; N];
        self.fill(&mut out)?;
        Ok(out)
    }

    /// The next `n` bytes. The caller has checked `n` against [`Source::left`].
    pub(crate) fn take(&mut self, n: usize) -> Result<Vec<u8>> {
        let mut out = self.reserve(n)?;
        out.resize(n, 0);
        self.fill(&mut out)?;
        Ok(out)
    }

    /// The next `n` numbers of `N` bytes each, as f32. The caller has checked `n * N` against [`Source::left`].
    pub(crate) fn numbers<const N: usize>(&mut self, n: usize, widen: impl Fn([u8; N]) -> f32) -> Result<Vec<f32>> {
        let mut out: Vec<f32> = self.reserve(n)?;
        let per_chunk = (CHUNK / N.max(1)).min(n.max(1));
        let mut buffer = vec![0u8; per_chunk * N];
        let mut left = n;
        while left > 0 {
            let now = left.min(per_chunk);
            let bytes = &mut buffer[..now * N];
            self.fill(bytes)?;
            let (numbers, _) = bytes.as_chunks::<N>();
            out.extend(numbers.iter().map(|b| widen(*b)));
            left -= now;
        }
        Ok(out)
    }

    pub(crate) fn reserve<T>(&self, n: usize) -> Result<Vec<T>> {
        let mut out = Vec::new();
        out.try_reserve_exact(n).map_err(|_| FormatError::Memory {
            file: self.name.clone(),
            bytes: (n as u64).saturating_mul(size_of::<T>() as u64),
        })?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_cannot_be_had_is_an_error() {
        let error = Source::bytes(&[0; 8], "m").numbers(usize::MAX / 4, f32::from_le_bytes).unwrap_err();
        assert!(matches!(error, FormatError::Memory { .. }), "{error}");
    }

    #[test]
    fn a_file_that_shrinks_while_read_is_an_error() {
        let mut source = Source::bytes(&[0; 8], "m");
        source.len = 16;
        let error = source.take(16).unwrap_err();
        assert!(matches!(error, FormatError::Read { .. }) && error.to_string().contains("m: "), "{error}");
    }
}
