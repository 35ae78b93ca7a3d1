//! IDX, the file format of MNIST: a big-endian header of u32s (magic number, number of items, extents), then bytes.
//!
//! Files may be gzipped; their first bytes say so, not their name. A header is never trusted: nothing is allocated from
//! it beyond what the file can hold, and no more is unpacked than it promises.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::{DataError, ImageSet};

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Deflate codes at best 258 bytes in two bits, so a gzipped file unpacks to at most this many times its size.
const DEFLATE_MOST: u64 = 4 * 258;

/// Data are read in pieces of this many bytes, so that memory grows with what a file really unpacks to.
const PIECE: usize = 1 << 20;

/// Images as an IDX file holds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdxImages {
    /// `[count, height, width]`, row-major, one byte a pixel.
    pub pixels: Vec<u8>,
    /// The number of images.
    pub count: usize,
    /// Pixels.
    pub height: usize,
    /// Pixels.
    pub width: usize,
}

/// Reads a file of grey images (magic number 0x00000803), gzipped or not.
///
/// ```no_run
/// # fn main() -> Result<(), njet::data::DataError> {
/// let images = njet::data::read_idx_images("mnist/train-images-idx3-ubyte.gz")?;
/// println!("{} images of {}×{} pixels", images.count, images.height, images.width);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// A [`DataError`] that names the file, if it is missing, damaged, of another kind, or holds no images or pixels.
pub fn read_idx_images(path: impl AsRef<Path>) -> Result<IdxImages, DataError> {
    open(path.as_ref(), Kind::Images).and_then(|idx| idx.into_images(path.as_ref()))
}

/// Reads a file of labels (magic number 0x00000801), gzipped or not: `[count]`.
///
/// # Errors
///
/// A [`DataError`] that names the file, if it is missing, damaged, of another kind, or holds no labels.
pub fn read_idx_labels(path: impl AsRef<Path>) -> Result<Vec<u8>, DataError> {
    open(path.as_ref(), Kind::Labels).map(|idx| idx.data)
}

/// [`read_idx_images`] from memory; `name` stands for the path in messages.
///
/// ```
/// let file = [0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2, 10, 20, 30, 40];
/// let images = njet::data::parse_idx_images("four pixels", &file)?;
/// assert_eq!(images.pixels, [10, 20, 30, 40]);
/// # Ok::<(), njet::data::DataError>(())
/// ```
///
/// # Errors
///
/// As [`read_idx_images`].
pub fn parse_idx_images(name: impl AsRef<Path>, bytes: &[u8]) -> Result<IdxImages, DataError> {
    let name = name.as_ref();
    Idx::read(name, bytes, bytes.len() as u64, Kind::Images).and_then(|idx| idx.into_images(name))
}

/// [`read_idx_labels`] from memory; `name` stands for the path in messages.
///
/// # Errors
///
/// As [`read_idx_labels`].
pub fn parse_idx_labels(name: impl AsRef<Path>, bytes: &[u8]) -> Result<Vec<u8>, DataError> {
    Idx::read(name.as_ref(), bytes, bytes.len() as u64, Kind::Labels).map(|idx| idx.data)
}

/// Reads a file of images and the file of their labels.
///
/// # Errors
///
/// As [`read_idx_images`] and [`read_idx_labels`], and [`DataError::CountMismatch`] if their numbers differ.
pub fn read_idx_set(images: impl AsRef<Path>, labels: impl AsRef<Path>) -> Result<ImageSet, DataError> {
    let (images, labels) = (images.as_ref(), labels.as_ref());
    pair(images, read_idx_images(images)?, labels, read_idx_labels(labels)?)
}

/// Puts images and labels together.
pub(super) fn pair(
    images_path: &Path,
    images: IdxImages,
    labels_path: &Path,
    labels: Vec<u8>,
) -> Result<ImageSet, DataError> {
    if images.count != labels.len() {
        return Err(DataError::CountMismatch {
            images_path: images_path.to_path_buf(),
            images: images.count,
            labels_path: labels_path.to_path_buf(),
            labels: labels.len(),
        });
    }
    ImageSet::new(images.pixels, labels, 1, images.height, images.width)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Images,
    Labels,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Images => "images",
            Self::Labels => "labels",
        }
    }

    /// 0x08 for bytes, then the number of dimensions.
    fn magic(self) -> u32 {
        match self {
            Self::Images => 0x0803,
            Self::Labels => 0x0801,
        }
    }

    fn dimensions(self) -> usize {
        (self.magic() & 0xff) as usize
    }
}

/// What a file that begins with `magic` holds.
fn describe(magic: u32) -> &'static str {
    match magic {
        0x0801 => "labels",
        0x0803 => "images",
        0x0800..=0x08ff => "IDX bytes of another number of dimensions",
        0x0900..=0x09ff | 0x0b00..=0x0eff => "IDX data other than unsigned bytes",
        _ => "not an IDX file",
    }
}

fn open(path: &Path, kind: Kind) -> Result<Idx, DataError> {
    let failed = |error| DataError::from_io(path, error);
    // Before opening: opening a pipe would wait for its writer.
    let metadata = fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(DataError::NotAFile { path: path.to_path_buf() });
    }
    let file = File::open(path).map_err(failed)?;
    Idx::read(path, BufReader::new(file), metadata.len(), kind)
}

/// A file that has been read and checked as far as its kind does not matter.
struct Idx {
    extents: Vec<u32>,
    data: Vec<u8>,
}

impl Idx {
    fn read(path: &Path, mut stored: impl BufRead, stored_len: u64, kind: Kind) -> Result<Self, DataError> {
        let start = stored.fill_buf().map_err(|error| DataError::from_io(path, error))?;
        if start.starts_with(&GZIP_MAGIC) {
            let most = stored_len.saturating_mul(DEFLATE_MOST);
            Input { path, reader: MultiGzDecoder::new(stored), most, gzip: true }.read(kind)
        } else {
            Input { path, reader: stored, most: stored_len, gzip: false }.read(kind)
        }
    }

    fn into_images(self, path: &Path) -> Result<IdxImages, DataError> {
        let [count, height, width] = [0, 1, 2].map(|i| self.extents.get(i).map_or(0, |&n| n as usize));
        if height == 0 || width == 0 {
            return Err(DataError::ZeroSized { path: path.to_path_buf(), height, width });
        }
        Ok(IdxImages { pixels: self.data, count, height, width })
    }
}

struct Input<'a, R> {
    path: &'a Path,
    /// The unpacked bytes.
    reader: R,
    /// No more than this many bytes can come.
    most: u64,
    gzip: bool,
}

impl<R: Read> Input<'_, R> {
    fn read(mut self, kind: Kind) -> Result<Idx, DataError> {
        let mut header = Vec::new();
        self.fill(&mut header, 4)?;
        if header.is_empty() {
            return Err(DataError::Empty { path: self.path.to_path_buf() });
        }
        let found = self.words(&header, 1)?[0];
        if found != kind.magic() {
            return Err(DataError::WrongMagic {
                path: self.path.to_path_buf(),
                found,
                found_kind: describe(found),
                expected: kind.magic(),
                expected_kind: kind.name(),
            });
        }
        self.fill(&mut header, 4 * kind.dimensions())?;
        let extents = self.words(&header, 1 + kind.dimensions())?.split_off(1);
        if extents.first() == Some(&0) {
            return Err(DataError::NoItems { path: self.path.to_path_buf(), kind: kind.name() });
        }
        let data = self.data(&extents, header.len() as u64)?;
        Ok(Idx { extents, data })
    }

    /// The big-endian words of a header of `count` words.
    fn words(&self, header: &[u8], count: usize) -> Result<Vec<u32>, DataError> {
        let (words, _) = header.as_chunks::<4>();
        if words.len() < count {
            let path = self.path.to_path_buf();
            return Err(DataError::TruncatedHeader { path, expected: 4 * count, found: header.len() });
        }
        Ok(words.iter().map(|&word| u32::from_be_bytes(word)).collect())
    }

    /// The bytes after the header: exactly as many as it promises.
    fn data(&mut self, extents: &[u32], header: u64) -> Result<Vec<u8>, DataError> {
        let path = self.path;
        let dimensions = extents.iter().map(u32::to_string).collect::<Vec<_>>().join(" × ");
        let too_large = |reason: &str| DataError::TooLarge {
            path: path.to_path_buf(),
            dimensions: dimensions.clone(),
            reason: reason.to_string(),
        };
        let promised = extents
            .iter()
            .try_fold(1u64, |product, &n| product.checked_mul(u64::from(n)))
            .filter(|&n| n <= isize::MAX as u64)
            .ok_or_else(|| too_large("more than any memory holds"))?;
        let truncated = |found| DataError::TruncatedData {
            path: path.to_path_buf(),
            dimensions: dimensions.clone(),
            promised,
            found,
        };
        if promised + header > self.most {
            return Err(if self.gzip {
                let stored = self.most / DEFLATE_MOST;
                too_large(&format!("more than a gzipped file of {stored} bytes can unpack to"))
            } else {
                truncated(self.most.saturating_sub(header))
            });
        }

        let wanted = promised as usize;
        let mut data = Vec::new();
        while data.len() < wanted {
            let piece = PIECE.min(wanted - data.len());
            data.try_reserve(piece).map_err(|_| too_large("more than this machine has memory for"))?;
            if self.fill(&mut data, piece)? < piece {
                return Err(truncated(data.len() as u64));
            }
        }
        // For gzip, reading on is also what checks the sum at the end of the stream.
        if self.fill(&mut Vec::new(), 1)? > 0 {
            return Err(DataError::TrailingBytes { path: path.to_path_buf(), expected: header + promised });
        }
        data.shrink_to_fit();
        Ok(data)
    }

    /// Appends up to `count` bytes, fewer only at the end of the input; returns how many.
    fn fill(&mut self, into: &mut Vec<u8>, count: usize) -> Result<usize, DataError> {
        self.reader.by_ref().take(count as u64).read_to_end(into).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof if self.gzip => {
                DataError::CorruptGzip { path: self.path.to_path_buf(), reason: error.to_string() }
            }
            _ => DataError::from_io(self.path, error),
        })
    }
}
