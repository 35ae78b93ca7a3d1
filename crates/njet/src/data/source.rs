//! Data sets by name or directory.

use serde::Serialize;
use std::env;
use std::path::{Path, PathBuf};

use super::cifar::Cifar;
use super::folder::{is_image_folder, read_image_folder};
use super::idx::{self, parse_idx_images, parse_idx_labels};
use super::multi_size::MULTI_SIZE_PREFIX;
use super::{DataError, Dataset, FolderConfig, ImageSet, MultiSize, Watch};

/// The source used when none is named: a real set that is built into the library.
pub const DEFAULT_SOURCE: &str = "fashion-mnist-subset";

/// The environment variable that names the directory of the full Fashion-MNIST.
pub const FASHION_MNIST_VARIABLE: &str = "NJET_FASHION_MNIST";

/// The ten classes of Fashion-MNIST, by label.
pub const FASHION_MNIST_CLASSES: [&str; 10] =
    ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];

const FASHION_MNIST: &str = "fashion-mnist";
const FASHION_MNIST_PACKAGE: &str = "dataset-fashion-mnist";
const FASHION_MNIST_DIRECTORY: &str = "/usr/share/datasets/fashion-mnist";

/// A data set that has a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceInfo {
    /// The name [`load`] takes.
    pub name: &'static str,
    /// What it is, in a line.
    pub description: &'static str,
    /// Whether all its files are there.
    pub available: bool,
    /// Where its files are, or are looked for.
    pub location: String,
    /// How to get it, if it is not available.
    pub advice: Option<String>,
}

/// The data sets that have names, the default first. Directories can be loaded besides.
///
/// ```
/// let sources = njet::data::sources();
/// assert_eq!(sources[0].name, "fashion-mnist-subset");
/// assert!(sources[0].available);
/// ```
pub fn sources() -> Vec<SourceInfo> {
    let directory = fashion_mnist_directory();
    let files = Part::ALL.map(|part| part.find(&directory));
    let available = files.iter().all(Result::is_ok);
    vec![
        SourceInfo {
            name: DEFAULT_SOURCE,
            description: "12,000 + 2,000 images of Fashion-MNIST, 28×28 grey, ten classes in equal numbers",
            available: true,
            location: "built in".to_string(),
            advice: None,
        },
        SourceInfo {
            name: FASHION_MNIST,
            description: "Fashion-MNIST in full: 60,000 + 10,000 images, 28×28 grey, ten classes",
            available,
            location: directory.display().to_string(),
            advice: (!available).then(|| {
                format!(
                    "apt-get install {FASHION_MNIST_PACKAGE}, or set {FASHION_MNIST_VARIABLE} to the directory of its \
                     four IDX files"
                )
            }),
        },
    ]
}

/// Loads a data set by name or from a directory.
///
/// - `fashion-mnist-subset`: built in; see [`DEFAULT_SOURCE`].
/// - `fashion-mnist`: the files of the Debian package `dataset-fashion-mnist`, or those in the directory that the
///   environment variable `NJET_FASHION_MNIST` names.
/// - a directory: see [`load_directory`]. One with the name of a known set is given as `./fashion-mnist`.
/// - `multi-size:BASE?…`: the objects of another source at many sizes; see [`MultiSize`].
///
/// ```
/// # fn main() -> Result<(), njet::data::DataError> {
/// let set = njet::data::load(njet::data::DEFAULT_SOURCE)?;
/// assert_eq!((set.train.len(), set.test.len()), (12_000, 2_000));
/// println!("the first image is of the class {}", set.classes[usize::from(set.train.label(0))]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// A [`DataError`] that says where was looked, what is wrong there, and what to do.
pub fn load(source: &str) -> Result<Dataset, DataError> {
    load_watched(source, &|_, _| {})
}

/// [`load`]; `watch` is told of every file that is decoded, where the images are files.
///
/// # Errors
///
/// As [`load`].
pub fn load_watched(source: &str, watch: Watch<'_>) -> Result<Dataset, DataError> {
    match source {
        DEFAULT_SOURCE => embedded(),
        FASHION_MNIST => fashion_mnist(&fashion_mnist_directory()),
        multi_size if multi_size.starts_with(MULTI_SIZE_PREFIX) => multi_size.parse::<MultiSize>()?.load_watched(watch),
        directory if Path::new(directory).is_dir() => read_directory(Path::new(directory), watch),
        _ => Err(DataError::UnknownSource { name: source.to_string(), known: vec![DEFAULT_SOURCE, FASHION_MNIST] }),
    }
}

/// Loads the set in a directory, recognised by what the directory holds:
///
/// - files of the names of IDX: as [`load_idx_directory`] with classes named by their numbers; MNIST is read so;
/// - the binary version of CIFAR-10 (`data_batch_1.bin` … `test_batch.bin`, `batches.meta.txt`) or CIFAR-100 (`train.bin`,
///   `test.bin`, `fine_label_names.txt`), there or in the directory that the archive unpacks to; without the file of
///   names the classes are named by their numbers, and those of CIFAR-100 are the fine ones;
/// - a directory `train`: as [`load_image_folder`](super::load_image_folder) with the default settings.
///
/// The set's name is the directory.
///
/// # Errors
///
/// A [`DataError`] that names the file or the directory; [`DataError::UnknownDirectory`] says what was looked for.
pub fn load_directory(directory: impl AsRef<Path>) -> Result<Dataset, DataError> {
    read_directory(directory.as_ref(), &|_, _| {})
}

fn read_directory(directory: &Path, watch: Watch<'_>) -> Result<Dataset, DataError> {
    if Part::ALL.iter().any(|part| part.find(directory).is_ok()) {
        return load_idx_directory(directory, None);
    }
    for cifar in Cifar::ALL {
        if let Some(place) = cifar.find(directory) {
            return cifar.load(&place, directory.display().to_string());
        }
    }
    if is_image_folder(directory) {
        return read_image_folder(directory, &FolderConfig::default(), watch);
    }
    Err(DataError::UnknownDirectory { directory: directory.to_path_buf() })
}

/// Loads the four IDX files of a directory: `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`,
/// `t10k-images-idx3-ubyte`, `t10k-labels-idx1-ubyte`, each with or without `.gz`, and also with a dot before `idx`.
///
/// Without `classes`, the classes are `0`, `1`, … up to the greatest label. The set's name is the directory.
///
/// # Errors
///
/// A [`DataError`] that names the file, if one is missing or damaged, if files do not belong together, or if a label
/// has no class.
pub fn load_idx_directory(directory: impl AsRef<Path>, classes: Option<&[&str]>) -> Result<Dataset, DataError> {
    let directory = directory.as_ref();
    let [train_images, train_labels, test_images, test_labels] = Part::ALL.map(|part| part.find(directory));
    let (train_labels, test_labels) = (train_labels?, test_labels?);
    let train = idx::read_idx_set(train_images?, &train_labels)?;
    let test = idx::read_idx_set(test_images?, &test_labels)?;
    let parts = [(train_labels.as_path(), train), (test_labels.as_path(), test)];
    assemble(directory.display().to_string(), directory, parts, classes)
}

fn embedded() -> Result<Dataset, DataError> {
    macro_rules! file {
        ($name:literal) => {
            (
                Path::new(concat!("built-in fashion-mnist-subset/", $name)),
                include_bytes!(concat!("../../data/fashion-mnist-subset/", $name)).as_slice(),
            )
        };
    }
    let read = |(images_path, images), (labels_path, labels)| {
        let set = idx::pair(
            images_path,
            parse_idx_images(images_path, images)?,
            labels_path,
            parse_idx_labels(labels_path, labels)?,
        )?;
        Ok((labels_path, set))
    };
    let train = read(file!("train-images-idx3-ubyte.gz"), file!("train-labels-idx1-ubyte.gz"))?;
    let test = read(file!("t10k-images-idx3-ubyte.gz"), file!("t10k-labels-idx1-ubyte.gz"))?;
    let name = DEFAULT_SOURCE.to_string();
    assemble(name, Path::new(DEFAULT_SOURCE), [train, test], Some(&FASHION_MNIST_CLASSES))
}

fn fashion_mnist_directory() -> PathBuf {
    env::var_os(FASHION_MNIST_VARIABLE)
        .filter(|directory| !directory.is_empty())
        .map_or_else(|| PathBuf::from(FASHION_MNIST_DIRECTORY), PathBuf::from)
}

fn fashion_mnist(directory: &Path) -> Result<Dataset, DataError> {
    if Part::ALL.iter().all(|part| part.find(directory).is_err()) {
        return Err(DataError::NotInstalled {
            name: FASHION_MNIST,
            directory: directory.to_path_buf(),
            package: FASHION_MNIST_PACKAGE,
            variable: FASHION_MNIST_VARIABLE,
        });
    }
    let set = load_idx_directory(directory, Some(&FASHION_MNIST_CLASSES))?;
    Ok(Dataset { name: FASHION_MNIST.to_string(), ..set })
}

/// Checks that training and test images belong together and that every label has a class. `origin` is named in messages
/// about the whole, the path beside each part in messages about its labels.
fn assemble(
    name: String,
    origin: &Path,
    [(train_labels, train), (test_labels, test)]: [(&Path, ImageSet); 2],
    classes: Option<&[&str]>,
) -> Result<Dataset, DataError> {
    if train.shape() != test.shape() {
        let text = |set: &ImageSet| set.shape().map(|n| n.to_string()).join("×");
        return Err(DataError::ShapeMismatch { path: origin.to_path_buf(), train: text(&train), test: text(&test) });
    }
    let classes: Vec<String> = match classes {
        Some(names) => names.iter().map(ToString::to_string).collect(),
        None => {
            let greatest = train.labels().iter().chain(test.labels()).max().copied().unwrap_or(0);
            (0..=greatest).map(|label| label.to_string()).collect()
        }
    };
    for (path, set) in [(train_labels, &train), (test_labels, &test)] {
        if let Some(index) = set.labels().iter().position(|&label| usize::from(label) >= classes.len()) {
            return Err(DataError::LabelOutOfRange {
                path: path.to_path_buf(),
                index,
                label: set.label(index),
                classes: classes.len(),
            });
        }
    }
    Ok(Dataset { name, classes, train: train.into(), test: test.into() })
}

/// One of the four IDX files of a set.
#[derive(Debug, Clone, Copy)]
struct Part {
    stem: &'static str,
    kind: &'static str,
}

impl Part {
    const ALL: [Self; 4] = [
        Self { stem: "train-images", kind: "idx3-ubyte" },
        Self { stem: "train-labels", kind: "idx1-ubyte" },
        Self { stem: "t10k-images", kind: "idx3-ubyte" },
        Self { stem: "t10k-labels", kind: "idx1-ubyte" },
    ];

    /// The first file in `directory` that has one of the names in use.
    fn find(self, directory: &Path) -> Result<PathBuf, DataError> {
        let Self { stem, kind } = self;
        let names = ["-", "."].map(|separator| format!("{stem}{separator}{kind}"));
        let tried: Vec<String> = names.iter().flat_map(|name| [name.clone(), format!("{name}.gz")]).collect();
        let found = tried.iter().map(|name| directory.join(name)).find(|path| path.exists());
        found.ok_or_else(|| {
            let [name, _] = names;
            DataError::MissingInDirectory { directory: directory.to_path_buf(), name, tried }
        })
    }
}
