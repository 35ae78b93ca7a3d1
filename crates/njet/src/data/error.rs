//! What can be wrong with data on disk, each with the file, the finding and the remedy.

use std::io;
use std::path::{Path, PathBuf};

use super::Unusable;

/// An error in reading a data set. Every message names the file or the directory, says what was found there and what
/// to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The file does not exist.
    #[error("{path}: no such file; check the path")]
    Missing {
        /// The file asked for.
        path: PathBuf,
    },
    /// The path is a directory, a device, a pipe …
    #[error("{path}: not a regular file; give the file itself")]
    NotAFile {
        /// The path asked for.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("{path}: cannot be read: {source}; check its permissions and the disk")]
    Io {
        /// The file asked for.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file, or what it unpacks to, has no bytes.
    #[error("{path}: the file is empty; download or copy it again")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The file ends inside the header.
    #[error("{path}: the header is cut off: {expected} bytes expected, {found} found; download or copy the file again")]
    TruncatedHeader {
        /// The file.
        path: PathBuf,
        /// Bytes of header needed so far.
        expected: usize,
        /// Bytes of header found.
        found: usize,
    },
    /// The first four bytes are not those of the expected kind of file.
    #[error(
        "{path}: the magic number is {found:#010x} ({found_kind}), expected {expected:#010x} ({expected_kind}); \
         give the file of {expected_kind} here"
    )]
    WrongMagic {
        /// The file.
        path: PathBuf,
        /// The first four bytes, big-endian.
        found: u32,
        /// What a file with that number holds.
        found_kind: &'static str,
        /// The number this kind of file begins with.
        expected: u32,
        /// What was to be read.
        expected_kind: &'static str,
    },
    /// The header promises more data than the file holds.
    #[error(
        "{path}: the data are cut off: the header promises {promised} bytes of data ({dimensions}), the file holds \
         {found}; download or copy it again"
    )]
    TruncatedData {
        /// The file.
        path: PathBuf,
        /// The header's dimensions, as in `60000 × 28 × 28`.
        dimensions: String,
        /// Bytes the header promises.
        promised: u64,
        /// Bytes that follow the header.
        found: u64,
    },
    /// The header promises more than can be held at all.
    #[error(
        "{path}: the header promises {dimensions} bytes, {reason}; the file is damaged or not what its name says: \
         download or copy it again"
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The header's dimensions, as in `60000 × 28 × 28`.
        dimensions: String,
        /// Which bound that breaks.
        reason: String,
    },
    /// Bytes follow the last item.
    #[error(
        "{path}: bytes follow the {expected} that the header accounts for; the header or the file is wrong: \
         download or copy it again"
    )]
    TrailingBytes {
        /// The file.
        path: PathBuf,
        /// Bytes of header and data together.
        expected: u64,
    },
    /// The gzip stream does not unpack.
    #[error("{path}: the gzip stream is damaged ({reason}); download or copy it again")]
    CorruptGzip {
        /// The file.
        path: PathBuf,
        /// What the decoder said.
        reason: String,
    },
    /// The header says zero items.
    #[error("{path}: the file holds no {kind} (its header says 0); give a file with at least one")]
    NoItems {
        /// The file.
        path: PathBuf,
        /// `images` or `labels`.
        kind: &'static str,
    },
    /// The header says images without pixels.
    #[error("{path}: the images have no pixels ({height}×{width}); give a file of images of at least 1×1")]
    ZeroSized {
        /// The file.
        path: PathBuf,
        /// Pixels, from the header.
        height: usize,
        /// Pixels, from the header.
        width: usize,
    },
    /// As many labels as images are needed.
    #[error(
        "{images_path} holds {images} images but {labels_path} holds {labels} labels; they belong to different sets \
         or one was cut: give a matching pair"
    )]
    CountMismatch {
        /// The file of images.
        images_path: PathBuf,
        /// How many it holds.
        images: usize,
        /// The file of labels.
        labels_path: PathBuf,
        /// How many it holds.
        labels: usize,
    },
    /// A label is not the number of a class.
    #[error(
        "{path}: label {label} at position {index} is out of range: there are {classes} classes, so labels run from 0 \
         to {}; give the labels of this data set", classes.saturating_sub(1)
    )]
    LabelOutOfRange {
        /// The file of labels.
        path: PathBuf,
        /// Position in the file, from 0.
        index: usize,
        /// The label found there.
        label: u8,
        /// The number of classes.
        classes: usize,
    },
    /// Training and test images differ in size.
    #[error(
        "{path}: the training images are {train} but the test images {test} (channels×height×width); they belong to \
         different sets: give files of one set"
    )]
    ShapeMismatch {
        /// The directory.
        path: PathBuf,
        /// Shape of the training images.
        train: String,
        /// Shape of the test images.
        test: String,
    },
    /// Images, labels and shape handed to [`ImageSet::new`](super::ImageSet::new) do not fit together.
    #[error(
        "{pixels} pixel bytes and {labels} labels do not make images of {shape} (channels×height×width): as many bytes \
         as labels × channels × height × width are needed, and no extent may be 0"
    )]
    InconsistentSet {
        /// Bytes handed over.
        pixels: usize,
        /// Labels handed over.
        labels: usize,
        /// Shape handed over.
        shape: String,
    },
    /// A file of CIFAR is no whole number of records.
    #[error(
        "{path}: {length} bytes are no whole number of records of {record} bytes; the file is cut off or not of CIFAR's \
         binary version: download or copy it again"
    )]
    OddLength {
        /// The file.
        path: PathBuf,
        /// Its bytes.
        length: u64,
        /// Bytes of a record.
        record: usize,
    },
    /// A file of class names has too few or too many.
    #[error("{path}: {found} names of classes where {expected} belong, one a line; download or copy the file again")]
    ClassNames {
        /// The file.
        path: PathBuf,
        /// Lines with a name.
        found: usize,
        /// Classes of the set.
        expected: usize,
    },
    /// A file cannot be used as an image.
    #[error("{path}: {reason}; mend or remove the file")]
    UnusableImage {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: Unusable,
    },
    /// An image file is not the one that was read when the set was loaded.
    #[error(
        "{path}: the image is another one than when the set was loaded; leave the files as they are while they are used"
    )]
    ChangedImage {
        /// The file.
        path: PathBuf,
    },
    /// A folder of images has no classes.
    #[error(
        "{path}: no directory in it; put the images of each class into a directory of its own there, named like the class"
    )]
    NoClasses {
        /// The directory of the training images.
        path: PathBuf,
    },
    /// A folder of images has more classes than there are labels.
    #[error("{path}: {found} classes, at most {most} are supported; use a part of them")]
    TooManyClasses {
        /// The directory of the training images.
        path: PathBuf,
        /// Directories in it.
        found: usize,
        /// The limit.
        most: usize,
    },
    /// The name of a class is not text.
    #[error("{path}: the name of the class is not UTF-8; rename the directory")]
    ClassNotUtf8 {
        /// The directory of the class.
        path: PathBuf,
    },
    /// There are test images of a class that has no training images.
    #[error(
        "{path}: no class of this name in {train}; the classes are the directories there: rename or remove this one"
    )]
    UnknownClass {
        /// The directory of the class.
        path: PathBuf,
        /// The directory of the training images.
        train: PathBuf,
    },
    /// A directory that should hold images holds none that can be used.
    #[error(
        "{path}: no image that can be used, {skipped} skipped{example}; put PNG, JPEG, BMP, GIF, WebP or TIFF files there"
    )]
    NoImages {
        /// The directory.
        path: PathBuf,
        /// Files there that cannot be used.
        skipped: usize,
        /// The first of them, with the reason.
        example: String,
    },
    /// Images of several sizes where one is needed.
    #[error(
        "{path}: {found} pixels (height×width) where the images before have {expected}; choose a sizing that takes mixed sizes"
    )]
    MixedSizes {
        /// The image's file, or its number.
        path: PathBuf,
        /// Its size.
        found: String,
        /// The size of the others.
        expected: String,
    },
    /// A multi-size set cannot be made as it is asked for.
    #[error("{source_text}: {reason}")]
    MultiSize {
        /// The source.
        source_text: String,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// A directory holds no data set of a form that is known.
    #[error(
        "{directory}: no data set found; looked for: IDX files (train-images-idx3-ubyte, train-labels-idx1-ubyte, \
         t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte, each with or without .gz); CIFAR-10 (data_batch_1.bin … \
         test_batch.bin, here or in cifar-10-batches-bin); CIFAR-100 (train.bin, test.bin, here or in \
         cifar-100-binary); a folder of images (train/CLASS/…, with test/CLASS/… or val/CLASS/…)"
    )]
    UnknownDirectory {
        /// The directory.
        directory: PathBuf,
    },
    /// A directory lacks one of the four IDX files.
    #[error(
        "{directory}: no file {name} (looked for {}); put the four IDX files train-images, train-labels, t10k-images \
         and t10k-labels there", tried.join(", ")
    )]
    MissingInDirectory {
        /// Where it was looked for.
        directory: PathBuf,
        /// The file's usual name.
        name: String,
        /// All the names tried.
        tried: Vec<String>,
    },
    /// A known data set is not on this machine.
    #[error(
        "{name}: not found: looked in {directory}; install it with `apt-get install {package}`, or set {variable} to \
         the directory that holds its four IDX files"
    )]
    NotInstalled {
        /// The source's name.
        name: &'static str,
        /// Where it was looked for.
        directory: PathBuf,
        /// The Debian package that installs it.
        package: &'static str,
        /// The environment variable that overrides the directory.
        variable: &'static str,
    },
    /// A file cannot be used as a mask.
    #[error("{path}: {reason}; a mask is a PNG or TIFF of class indices, in 8 or 16 bits of grey or as a palette")]
    UnusableMask {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: Unusable,
    },
    /// An image has no mask.
    #[error("{image}: no mask of the name {name} in {masks}; add the mask or remove the image")]
    MissingMask {
        /// The image.
        image: PathBuf,
        /// The name without its ending, which the mask must have.
        name: String,
        /// Where masks are looked for.
        masks: PathBuf,
    },
    /// A mask has no image.
    #[error("{mask}: no image of the name {name} in {images}; add the image or remove the mask")]
    MaskWithoutImage {
        /// The mask.
        mask: PathBuf,
        /// The name without its ending, which the image must have.
        name: String,
        /// Where images are looked for.
        images: PathBuf,
    },
    /// Two files of a directory differ in their ending alone, so neither can be told to belong to a name.
    #[error("{first} and {second} have one name: masks are found by the name without its ending; rename or remove one")]
    SameName {
        /// The first file.
        first: PathBuf,
        /// The second file.
        second: PathBuf,
    },
    /// An image and its mask have different sizes.
    #[error("{mask}: {mask_size} pixels (height×width), but its image {image} has {image_size}; give both one size")]
    MaskSize {
        /// The image.
        image: PathBuf,
        /// The size of the image.
        image_size: String,
        /// The mask.
        mask: PathBuf,
        /// The size of the mask.
        mask_size: String,
    },
    /// A mask holds a number that is no class.
    #[error(
        "{path}: class {class} at row {row}, column {column}, but {known}; mend the mask (255 marks pixels to ignore)"
    )]
    ClassOutOfRange {
        /// The mask.
        path: PathBuf,
        /// The number found.
        class: u16,
        /// Its row from 0.
        row: usize,
        /// Its column from 0.
        column: usize,
        /// Which classes there are, and why.
        known: String,
    },
    /// A directory that should hold images and masks holds none.
    #[error("{path}: no images; put PNG, JPEG, BMP, GIF, WebP or TIFF files there, and their masks into {masks}")]
    NoScenes {
        /// The directory.
        path: PathBuf,
        /// Where their masks belong.
        masks: PathBuf,
    },
    /// A directory is not laid out as images and masks.
    #[error(
        "{directory}: no directory {missing}; images and masks are looked for in train/images, train/masks, val/images \
         and val/masks (and test/images and test/masks, where there are any)"
    )]
    NoSegmentationFolder {
        /// The directory of the set.
        directory: PathBuf,
        /// The part that is missing, relative to it.
        missing: String,
    },
    /// There is nothing to tell apart.
    #[error(
        "{directory}: {reason}; at least two classes are needed, the background counted (255 marks pixels to ignore: \
         where masks mark an object with 255, write its class instead)"
    )]
    TooFewClasses {
        /// The directory of the set.
        directory: PathBuf,
        /// What was found.
        reason: String,
    },
    /// A file of class names cannot be used.
    #[error("{path}: {reason}; give the name of one class a line, class 0 first")]
    BadClassNames {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Scenes cannot be composed as they are asked for.
    #[error("{source_text}: {reason}")]
    Composition {
        /// The source.
        source_text: String,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// The source of images with masks is neither the built-in one nor a directory.
    #[error(
        "{name:?} is neither `scenes`, the images with masks that are built in (scenes?canvas=128&seed=1 and so on), nor a \
         directory; name one that holds train/images, train/masks, val/images and val/masks"
    )]
    UnknownScenes {
        /// What was asked for.
        name: String,
    },
    /// The source is neither a known name nor a directory.
    #[error(
        "{name:?} is neither a known data set nor a directory; known: {}; or name a directory that holds the four IDX \
         files (train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte, each \
         with or without .gz), which is also how MNIST is read, the binary files of CIFAR-10 or CIFAR-100, or images in \
         train/CLASS and test/CLASS; or multi-size:NAME", known.join(", ")
    )]
    UnknownSource {
        /// What was asked for.
        name: String,
        /// The names that are known.
        known: Vec<&'static str>,
    },
}

impl DataError {
    /// The error for a failed look-up, opening or reading of `path`.
    pub(crate) fn from_io(path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::NotFound => Self::Missing { path },
            _ => Self::Io { path, source },
        }
    }
}
