//! Folders of images: `DIR/train/CLASS/*` and `DIR/test/CLASS/*`, or `val` instead of `test`, or `train` alone.

use std::fs;
use std::path::{Path, PathBuf};

use super::files::Memory;
use super::{DataError, Dataset, ImageFiles, Samples, Skipped, Watch, decode, stratified_split};

const TRAIN: &str = "train";
const TEST: [&str; 2] = ["test", "val"];

/// Labels are bytes.
const MOST_CLASSES: usize = 256;

/// How a folder of images is read.
#[derive(Debug, Clone, PartialEq)]
pub struct FolderConfig {
    /// Decoded images are kept in memory up to so many bytes; the others are decoded again each time.
    pub held_bytes: usize,
    /// Images of more pixels are skipped.
    pub most_pixels: u64,
    /// Part of the images of `train` that becomes the test images where there are no others, class by class.
    pub test_part: f64,
    /// Decides which these are.
    pub seed: u64,
}

impl Default for FolderConfig {
    /// One gibibyte, 100 megapixels, a fifth.
    fn default() -> Self {
        Self { held_bytes: 1 << 30, most_pixels: decode::MOST_PIXELS, test_part: 0.2, seed: 0 }
    }
}

/// Whether a directory can be read by [`load_image_folder`].
pub(super) fn is_image_folder(directory: &Path) -> bool {
    directory.join(TRAIN).is_dir()
}

/// Loads a folder of images. The directories in `train` are the classes, in the order of their names, and their files the
/// images: of any size, and of any format that [`read_image`](super::read_image) takes, whatever their names.
///
/// The test images are those of `test`, or of `val` where there is no `test`. Where there is neither, a part of `train`
/// becomes the test images. Every file is decoded once; those that cannot be used are skipped and named by
/// [`ImageFiles::skipped`]. Names that begin with a dot are passed over.
///
/// # Errors
///
/// A [`DataError`] that names the directory: there are no classes, or more than 256, a class has no image that can be
/// used, or there are test images of a class that has no training images.
pub fn load_image_folder(directory: impl AsRef<Path>, config: &FolderConfig) -> Result<Dataset, DataError> {
    read_image_folder(directory.as_ref(), config, &|_, _| {})
}

/// [`load_image_folder`]; `watch` is told of every file that is decoded.
pub(super) fn read_image_folder(
    directory: &Path,
    config: &FolderConfig,
    watch: Watch<'_>,
) -> Result<Dataset, DataError> {
    let memory = Memory::new(config.held_bytes);
    let train_path = directory.join(TRAIN);
    let classes = class_names(&train_path)?;
    if classes.is_empty() {
        return Err(DataError::NoClasses { path: train_path });
    }
    if classes.len() > MOST_CLASSES {
        return Err(DataError::TooManyClasses { path: train_path, found: classes.len(), most: MOST_CLASSES });
    }
    let test_path = TEST.map(|name| directory.join(name)).into_iter().find(|path| path.is_dir());
    // Before anything is decoded.
    if let Some(path) = &test_path
        && let Some(class) = class_names(path)?.into_iter().find(|class| !classes.contains(class))
    {
        return Err(DataError::UnknownClass { path: path.join(class), train: train_path });
    }

    let train_files = listed(&train_path, &classes)?;
    let test = match test_path {
        Some(path) => Some((listed(&path, &classes)?, path)),
        None => None,
    };
    let all = train_files.len() + test.as_ref().map_or(0, |(files, _)| files.len());
    let train = ImageFiles::read(&train_files, config.most_pixels, &memory, &|done, _| watch(done, all));
    if let Some(label) = (0..classes.len()).find(|&label| !train.labels().contains(&(label as u8))) {
        return Err(no_images(train_path.join(&classes[label]), train.skipped()));
    }
    let (train, test) = match test {
        Some((files, path)) => {
            let before = train_files.len();
            let test = ImageFiles::read(&files, config.most_pixels, &memory, &|done, _| watch(before + done, all));
            if test.labels().is_empty() {
                return Err(no_images(path, test.skipped()));
            }
            (train, test)
        }
        None => {
            let (kept, split) = stratified_split(train.labels(), config.test_part, config.seed);
            (train.subset(&kept).with_skipped(train.skipped().to_vec()), train.subset(&split))
        }
    };
    let [train, test] = [train, test].map(Samples::Files);
    Ok(Dataset { name: directory.display().to_string(), classes, train, test })
}

fn no_images(path: PathBuf, skipped: &[Skipped]) -> DataError {
    let mut here = skipped.iter().filter(|file| file.path.starts_with(&path));
    let first = here.next();
    let count = here.count() + usize::from(first.is_some());
    let example = first.map(|Skipped { path, reason }| format!("; {}: {reason}", path.display())).unwrap_or_default();
    DataError::NoImages { path, skipped: count, example }
}

/// Entries of a directory whose names do not begin with a dot, in the order of their names.
pub(crate) fn entries(directory: &Path) -> Result<Vec<PathBuf>, DataError> {
    let failed = |error| DataError::from_io(directory, error);
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            paths.push(entry.path());
        }
    }
    paths.sort_unstable();
    Ok(paths)
}

fn class_names(part: &Path) -> Result<Vec<String>, DataError> {
    let directories = entries(part)?.into_iter().filter(|path| path.is_dir());
    directories
        .map(|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.map(str::to_owned).ok_or_else(|| DataError::ClassNotUtf8 { path: path.clone() })
        })
        .collect()
}

/// The files of a part with their labels, class by class.
fn listed(part: &Path, classes: &[String]) -> Result<Vec<(PathBuf, u8)>, DataError> {
    let mut files = Vec::new();
    for (class, label) in classes.iter().zip(0u8..=u8::MAX) {
        let directory = part.join(class);
        if directory.is_dir() {
            files.extend(entries(&directory)?.into_iter().map(|path| (path, label)));
        }
    }
    Ok(files)
}
